"""What a trained network gives: the fields of gas of each box, and the report on them."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.engine.inference import HostBatch
from hepjax.engine.progress import progress
from hepjax.engine.workload import About, Answer, Batch, Field, Model, Scores, Spec
from hepjax.formats.fields.box import DARK, GAS
from hepjax.formats.source import Source
from hepjax.workloads.fields import objective
from hepjax.workloads.fields.config import FieldsConfig
from hepjax.workloads.fields.data import files_of, require_gas
from hepjax.workloads.fields.objective import State

BATCH = 1
"""Boxes at a time: one may be as large as the memory allows."""
EDGES = ("x", "y", "z")
"""Of a box."""


def inputs(cfg: FieldsConfig) -> Spec:
    """Density of dark matter in units of its mean and velocity in km/s, on a periodic box of cells,
    whose number along each edge is a multiple of ``ModelConfig.divisor``."""
    dark = Field("dark", (None, None, None, len(DARK)), "float32", axes=EDGES)
    return Spec((dark,), (("multiple", cfg.model.divisor),))


def outputs(cfg: FieldsConfig) -> Answer:
    """Density in units of its mean, temperature in K and velocity in km/s of gas."""
    gas = Field("gas", (None, None, None, len(GAS)), "float32", axes=EDGES)
    return Answer("table", Spec((gas,)), BATCH)


def infer(cfg: FieldsConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """``gas`` (n, x, y, z, 5)."""
    return {"gas": objective.fields(cfg, state, inputs["dark"])}


def rows(
    cfg: FieldsConfig, events: HostBatch, answers: HostBatch, first: int
) -> dict[str, np.ndarray]:
    """One row a cell: ``box``, ``x``, ``y``, ``z`` (from 0 on) and the fields of gas."""
    gas = answers["gas"]
    _require_finite(gas)
    n, *cells = gas.shape[:4]
    box, x, y, z = np.unravel_index(np.arange(gas[..., 0].size), (n, *cells))
    made = {"box": first + box, "x": x, "y": y, "z": z}
    columns = {name: values.astype(np.int32) for name, values in made.items()}
    return columns | {name: gas[..., k].reshape(-1) for k, name in enumerate(GAS)}


def evaluate(
    cfg: FieldsConfig, model: Model[FieldsConfig, State], source: Source, out: Path, about: About
) -> Scores:
    """Report on the boxes of ``source``, or on boxes that are made; return the scores.

    Raises:
      InputError: boxes without gas.
    """
    from hepjax.formats.fields.box import Facts
    from hepjax.physics.fields.report import Judged, report
    from hepjax.report.document import check_folder, write_report

    check_folder(out)
    known, judged = files_of(source), []
    margin = 0 if known is None else known.margin
    if known is None:
        setting = cfg.data.setting
        facts = [Facts(setting.length / setting.cells, setting.redshift, setting.cosmology.omega_m)]
    else:
        require_gas(known)
        facts = [f.facts for f in known.files]
    with progress("predict", len(source), "boxes", quiet=model.quiet) as advance:
        for events, answers in model.over(source, BATCH, advance=advance):
            for row, made in enumerate(answers["gas"]):
                _require_finite(made)
                dark, true = _true(cfg, events, row)
                cut = tuple(slice(margin, size - margin) for size in made.shape[:3])
                about_box = facts[0 if known is None else int(events["box"][row])]
                judged.append(Judged(about_box, dark[cut], true[cut], made[cut]))
    found = report(judged)
    return write_report(found, out, **about._asdict())


def _true(cfg: FieldsConfig, events: HostBatch, row: int) -> tuple[np.ndarray, np.ndarray]:
    if "gas" in events:
        return events["dark"][row], events["gas"][row]
    number = events["box"][row : row + 1]
    again = _made_again(cfg, jnp.asarray(number))
    return np.asarray(again["dark"][0]), np.asarray(again["gas"][0])


@functools.partial(jax.jit, static_argnums=0)
def _made_again(cfg: FieldsConfig, number: jax.Array) -> Batch:
    """The boxes of ``prepare``, which the loop of inference does not hand out."""
    return objective.prepare(cfg, Spec(), {"box": number})


def _require_finite(gas: np.ndarray) -> None:
    bad = int(np.count_nonzero(~np.isfinite(gas)))
    if bad:
        raise InputError(
            f"gas: expected finite numbers, found {bad:,} others; use another checkpoint (--step)"
        )
