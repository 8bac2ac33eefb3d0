"""What a trained network gives: four parameters a sample, and the report on them."""

from pathlib import Path

import jax
import numpy as np

from hepjax.engine.inference import HostBatch
from hepjax.engine.progress import progress
from hepjax.engine.workload import About, Answer, Batch, Field, Model, Scores, Spec
from hepjax.formats.fields.cosmoflow import NAMES, PARAMETERS, TIMES
from hepjax.formats.source import Source
from hepjax.workloads.cosmoflow import objective
from hepjax.workloads.cosmoflow.config import CosmoflowConfig
from hepjax.workloads.cosmoflow.objective import State

BATCH = 16


def inputs(cfg: CosmoflowConfig) -> Spec:
    """Counts of particles at four redshifts."""
    return Spec((Field("counts", (*(cfg.data.cells,) * 3, TIMES), "int16"),))


def outputs(cfg: CosmoflowConfig) -> Answer:
    """The parameters, from -1 to 1 over the range of the training samples."""
    return Answer("table", Spec((Field("parameters", (PARAMETERS,), "float32"),)), BATCH)


def infer(cfg: CosmoflowConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """``parameters`` (n, 4)."""
    return {
        "parameters": objective.predict(cfg, objective.trained(cfg, state), inputs["counts"])
    }  # fmt: skip


def rows(
    cfg: CosmoflowConfig, events: HostBatch, answers: HostBatch, first: int
) -> dict[str, np.ndarray]:
    """One row a sample: ``sample`` and the parameters by name."""
    found = answers["parameters"]
    sample = np.arange(first, first + len(found), dtype=np.int32)
    return {"sample": sample} | {name: found[:, k] for k, name in enumerate(NAMES)}


def evaluate(
    cfg: CosmoflowConfig, model: Model[CosmoflowConfig, State], source: Source, out: Path,
    about: About,
) -> Scores:  # fmt: skip
    """Report on the samples of ``source``; return the scores."""
    from hepjax.physics.fields.parameters import report
    from hepjax.report.document import check_folder, write_report

    check_folder(out)
    true, found = [], []
    with progress("predict", len(source), "samples", quiet=model.quiet) as advance:
        for events, answers in model.over(source, BATCH, advance=advance):
            true.append(events["parameters"])
            found.append(answers["parameters"])
    made = report(np.concatenate(true), np.concatenate(found))
    return write_report(made, out, **about._asdict())
