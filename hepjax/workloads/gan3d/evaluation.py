"""From a trained 3DGAN, or two sets of files, to the validation report."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hepjax.engine.progress import progress
from hepjax.formats.source import Source
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.generation import generated_batches
from hepjax.workloads.gan3d.objective import Network, State, networks

MOST_EVENTS = 10_000  # of the published validation; keeps the samples within 2 GB of memory
BATCH = 256


def read_showers(source: Source, label: str, quiet: bool) -> dict[str, np.ndarray]:
    """The first ``MOST_EVENTS`` showers: ``ecal`` (n, x, y, z) GeV and ``energy`` (n,) GeV."""
    total = min(len(source), MOST_EVENTS)
    parts = []
    with progress(label, total, "showers", quiet=quiet) as advance:
        for start in range(0, total, BATCH):
            parts.append(source[np.arange(start, min(start + BATCH, total))])
            advance(len(parts[-1]["energy"]))
    return {field: np.concatenate([p[field] for p in parts]) for field in ("ecal", "energy")}


def evaluate(
    cfg: Gan3DConfig, state: State, source: Source, out: Path,
    *, seed: int, about: dict[str, Any], quiet: bool,
) -> dict[str, Any]:  # fmt: skip
    """Report on showers generated at the energies of ``source``; return the scores."""
    from hepjax.physics.calorimeter.report import report
    from hepjax.report.document import check_folder, write_report

    check_folder(out)
    reference = read_showers(source, "read", quiet)
    reference["ecal"] = np.where(reference["ecal"] < cfg.data.threshold, 0.0, reference["ecal"])
    made = []
    with progress("generate", len(reference["energy"]), "showers", quiet=quiet) as advance:
        for showers in generated_batches(cfg, state.generator, reference["energy"], seed, BATCH):
            made.append(showers)
            advance(len(showers))
    generated = {"ecal": np.concatenate(made), "energy": reference["energy"]}
    discriminator = {
        name: real_probability(cfg, state.discriminator, sample["ecal"])
        for name, sample in (("reference", reference), ("generated", generated))
    }
    return write_report(report(reference, generated, discriminator=discriminator), out, **about)


def real_probability(cfg: Gan3DConfig, network: Network, showers: np.ndarray) -> np.ndarray:
    """How real the discriminator holds each shower (n, 25, 25, 25) GeV, (n,) from 0 to 1."""

    @partial(jax.jit, static_argnums=0)
    def judge(cfg: Gan3DConfig, network: Network, cells: jax.Array) -> jax.Array:
        variables = {"params": network.params, "batch_stats": network.stats}
        shower = ((cells * cfg.data.scale) ** cfg.data.power)[..., None]
        return jax.nn.sigmoid(networks(cfg)[1].apply(variables, shower, train=False)[0])

    parts = []
    for start in range(0, len(showers), BATCH):
        cells = showers[start : start + BATCH]
        # One compiled shape: the last batch repeats its last shower.
        filled = np.pad(cells, ((0, BATCH - len(cells)), (0, 0), (0, 0), (0, 0)), mode="edge")
        parts.append(np.asarray(judge(cfg, network, filled))[: len(cells)])
    return np.concatenate(parts)
