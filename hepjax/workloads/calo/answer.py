"""What a trained two-stage generator gives: showers at incident energies; and the report on them.

Shower ``i`` depends on the seed, on ``i`` and on its own energy alone.
"""

from pathlib import Path

import jax
import numpy as np

from hepjax import InputError
from hepjax.engine.inference import HostBatch
from hepjax.engine.progress import progress
from hepjax.engine.workload import (
    About,
    Answer,
    Batch,
    Field,
    Model,
    Range,
    Ranges,
    Scores,
    Spec,
)
from hepjax.formats.showers.sample import first_showers, require_energies
from hepjax.formats.source import Source
from hepjax.workloads.calo.config import CaloConfig
from hepjax.workloads.calo.generator import showers_of
from hepjax.workloads.calo.objective import State, trained

MOST_EVENTS = 10_000
"""Showers of a report at most."""
BATCH = 256


def inputs(cfg: CaloConfig) -> Spec:
    """Incident energy."""
    return Spec((Field("energy", (), "float32", "GeV"),))


def outputs(cfg: CaloConfig) -> Answer:
    """Cell energies as the calorimeter has them; of a box the axes are x, y, z (depth)."""
    return Answer("showers", Spec((Field("ecal", cfg.calorimeter.shape, "float32", "GeV"),)))


def infer(cfg: CaloConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """Showers ``ecal`` (n, *calorimeter.shape) GeV for energies ``energy`` (n,) GeV."""
    params = trained(cfg, state)
    return {"ecal": showers_of(cfg, params, state.stats, inputs["energy"], keys)}


def ranges(cfg: CaloConfig) -> Ranges:
    """Incident energies that the model was trained on."""
    return {"energy": Range(*cfg.energies, "GeV")}


def conditions(cfg: CaloConfig, asked: dict[str, np.ndarray]) -> HostBatch:
    """Incident energies (n,) GeV as the model takes them.

    Raises:
      InputError: other conditions, or energies that are not positive.
    """
    if set(asked) != {"energy"}:
        raise InputError(f"conditions: expected energy, found {', '.join(asked) or 'none'}")
    energy = np.asarray(asked["energy"], np.float32)
    require_energies(energy)
    return {"energy": energy}


def evaluate(
    cfg: CaloConfig, model: Model[CaloConfig, State], source: Source, out: Path, about: About
) -> Scores:
    """Report on showers generated at the energies of ``source``; return the scores."""
    from hepjax.physics.calorimeter.report import report
    from hepjax.report.document import check_folder, write_report

    check_folder(out)
    total = min(len(source), MOST_EVENTS)
    with progress("read", total, "showers", quiet=model.quiet) as advance:
        reference = first_showers(source, cfg.calorimeter.shape, total, advance)
    cells, energy = reference["ecal"], reference["energy"]
    cells = np.where(cells < cfg.threshold, np.float32(0), cells)
    made = []
    with progress("generate", total, "showers", quiet=model.quiet) as advance:
        for answer in model.given({"energy": energy}, BATCH):
            made.append(answer["ecal"])
            advance(len(made[-1]))
    found = report(
        {"ecal": cells, "energy": energy}, {"ecal": np.concatenate(made), "energy": energy},
        labels=("Monte Carlo", "calo"), calorimeter=cfg.calorimeter,
    )  # fmt: skip
    return write_report(found, out, **about._asdict())
