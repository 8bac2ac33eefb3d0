"""What a trained 3DGAN gives: showers at incident energies; and the report on them.

Shower ``i`` depends on the seed, on ``i`` and on its energy alone.
"""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.engine.inference import HostBatch
from hepjax.engine.mesh import split_events
from hepjax.engine.progress import progress
from hepjax.engine.workload import About, Answer, Batch, Field, Model, Scores, Spec
from hepjax.formats.showers.reader import with_cells
from hepjax.formats.source import Source
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.model import GRID
from hepjax.workloads.gan3d.objective import (
    ENERGY_UNIT,
    State,
    cells_in_gev,
    frozen,
    networks,
)

MOST_EVENTS = 10_000  # of the published validation; keeps the samples within 2 GB of memory
BATCH = 256


def inputs(cfg: Gan3DConfig) -> Spec:
    """Incident energy."""
    return Spec((Field("energy", (), "float32", "GeV"),))


def outputs(cfg: Gan3DConfig) -> Answer:
    """Cell energies, axes x, y, z (depth)."""
    return Answer("showers", Spec((Field("ecal", GRID, "float32", "GeV"),)))


def infer(cfg: Gan3DConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """Showers ``ecal`` (n, 25, 25, 25) in GeV for incident energies ``energy`` (n,) in GeV."""
    noise = jax.vmap(lambda key: jax.random.normal(key, (cfg.model.latent,)))(keys)
    latent = (inputs["energy"] / ENERGY_UNIT)[:, None] * noise
    shower = networks(cfg)[0].apply(frozen(cfg, state.generator), latent, train=False)
    cells = cells_in_gev(cfg, split_events(cfg.mesh, shower))
    # The same threshold that the training showers passed.
    return {"ecal": jnp.where(cells < cfg.data.threshold, 0.0, cells)}


def conditions(cfg: Gan3DConfig, asked: dict[str, np.ndarray]) -> HostBatch:
    """Incident energies (n,) GeV as the model takes them.

    Raises:
      InputError: other conditions, or energies that are not positive finite numbers.
    """
    if set(asked) != {"energy"}:
        raise InputError(f"conditions: expected energy, found {', '.join(asked) or 'none'}")
    energy = np.asarray(asked["energy"], np.float32)
    if energy.ndim != 1 or len(energy) == 0 or not np.all(np.isfinite(energy) & (energy > 0)):
        raise InputError("energy: expected a list of positive numbers in GeV, found others")
    return {"energy": energy}


@functools.lru_cache(maxsize=4)
def real_probability(cfg: Gan3DConfig) -> Any:
    """A function of state and showers ``ecal``: how real the discriminator holds each, 0 to 1."""

    def judge(state: State, batch: Batch, keys: jax.Array) -> Batch:
        shower = ((batch["ecal"] * cfg.data.scale) ** cfg.data.power)[..., None]
        variables = frozen(cfg, state.discriminator)
        outputs = networks(cfg)[1].apply(variables, split_events(cfg.mesh, shower), train=False)
        return {"real": jax.nn.sigmoid(outputs[0])}

    return judge


def evaluate(
    cfg: Gan3DConfig, model: Model[Gan3DConfig, State], source: Source, out: Path, about: About
) -> Scores:
    """Report on showers generated at the energies of ``source``; return the scores."""
    from hepjax.physics.calorimeter.report import report
    from hepjax.report.document import check_folder, write_report

    check_folder(out)
    reference = read_showers(source, "read", model.quiet)
    reference["ecal"] = np.where(reference["ecal"] < cfg.data.threshold, 0.0, reference["ecal"])
    energy, made = reference["energy"], []
    with progress("generate", len(energy), "showers", quiet=model.quiet) as advance:
        for answer in model.given({"energy": energy}, BATCH):
            made.append(answer["ecal"])
            advance(len(made[-1]))
    generated = {"ecal": np.concatenate(made), "energy": energy}
    real = {}
    for name, sample in (("reference", reference), ("generated", generated)):
        cells = {"ecal": sample["ecal"].astype(np.float32)}
        parts = model.placed.given(real_probability(cfg), cells, BATCH)
        real[name] = np.concatenate([part["real"] for part in parts])
    return write_report(report(reference, generated, discriminator=real), out, **about._asdict())


def read_showers(source: Source, label: str, quiet: bool) -> dict[str, np.ndarray]:
    """The first ``MOST_EVENTS`` showers: ``ecal`` (n, x, y, z) GeV and ``energy`` (n,) GeV."""
    total = min(len(source), MOST_EVENTS)
    parts = []
    with progress(label, total, "showers", quiet=quiet) as advance:
        for start in range(0, total, BATCH):
            batch = source[np.arange(start, min(start + BATCH, total))]
            parts.append(with_cells(batch, GRID))
            advance(len(parts[-1]["energy"]))
    return {field: np.concatenate([p[field] for p in parts]) for field in ("ecal", "energy")}
