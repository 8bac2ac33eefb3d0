"""What is computed on the validation showers after each epoch, and the score of the best epoch.

Sums over showers go in and means come out, so they are exact over uneven batches and devices.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.engine.workload import Batch, Metrics
from hepjax.physics.calorimeter import grids, metrics, observables
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.geometry import to_cells
from hepjax.workloads.gan3d.objective import (
    ENERGY_UNIT,
    FAKE,
    REAL,
    State,
    cells_in_gev,
    frozen,
    generate,
    latent,
    losses,
    networks,
    total_loss,
    truth_of,
)

ENERGY_BINS, ANGLE_BINS = 8, 6
SCORE = "sampling_fraction_mre"


def eval_step(cfg: Gan3DConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums over a batch: losses of both networks, and physics of real and generated showers.

    Each shower is generated at the energy of its real partner, both networks in inference mode.
    """
    mask, energy = batch["mask"], batch["energy"]
    truth = truth_of(batch)
    fake = generate(cfg, frozen(cfg, state.generator), latent(cfg, truth, key))
    variables = frozen(cfg, state.discriminator)
    sums: Metrics = {"showers": mask.sum()}
    for name, shower, label in (("real", batch["shower"], REAL), ("fake", fake, FAKE)):
        outputs = networks(cfg)[1].apply(variables, shower, train=False)
        terms = losses(outputs, label, truth)
        sums |= {f"{name}_{term}": (value * mask).sum() for term, value in terms.items()}
        sums[f"{name}_loss"] = (total_loss(cfg, terms) * mask).sum()
        if label == FAKE:
            terms = losses(outputs, REAL, truth)
            sums["gen_loss"] = (total_loss(cfg, terms) * mask).sum()

        voxels = to_cells(cfg.calorimeter, cells_in_gev(cfg, shower))
        cells = grids.on_grid(voxels, cfg.calorimeter)
        if "angle" in outputs and cfg.with_angle:
            sums[f"{name}_angles"] = metrics.binned_sums(
                outputs["angle"], batch["theta"], _angle_bins(cfg), mask
            )
        fraction = observables.sampling_fraction(cells, energy * ENERGY_UNIT)
        sums |= {
            f"{name}_fraction": metrics.binned_sums(
                fraction, energy * ENERGY_UNIT, _bins(cfg), mask
            ),
            f"{name}_moments": jnp.einsum("nak,n->ak", observables.moments(cells), mask),
        }
        for axis, profile in zip("xyz", observables.profiles(cells), strict=True):
            sums[f"{name}_profile_{axis}"] = mask @ profile
    return sums


def _bins(cfg: Gan3DConfig) -> metrics.Bins:
    """Equal bins that leave no shower out: the report's narrow ones would hold too few here."""
    return _equal(*cfg.energies, ENERGY_BINS)


def _angle_bins(cfg: Gan3DConfig) -> metrics.Bins:
    """Equal bins of the polar angle, rad."""
    return _equal(*cfg.angles, ANGLE_BINS)


def _equal(low: float, high: float, bins: int) -> metrics.Bins:
    edges = np.linspace(low, high, bins + 1)
    return tuple((float(low), float(high)) for low, high in itertools.pairwise(edges))


def summarise(cfg: Gan3DConfig, sums: dict[str, Any]) -> dict[str, float]:
    """Mean losses, and the published distances of generated from real showers.

    ``sampling_fraction_mre`` is the criterion of the best epoch: the mean over energy bins of the
    relative difference of the mean sampling fractions. ``moments`` and ``shapes`` are the two terms
    of the published optimisation metric over the whole spectrum. ``angle_mre``, where the polar
    angle is an input, is the criterion's like for the measured angle in bins of the angle asked.
    Bins with fewer than ``metrics.MIN_EVENTS`` showers do not count; where all have fewer, they
    are joined, see ``metrics.joined``. ``energy_bins`` says how many count, if not all do.
    """
    n = float(sums["showers"])
    means = {
        f"{name}_{term}": float(sums[f"{name}_{term}"]) / n
        for name in ("real", "fake")
        for term in ("loss", "bce", "energy", "sum", "angle", "counts")
        if f"{name}_{term}" in sums
    }
    if "real_angles" in sums:
        means["angle_mre"], _ = _relative_error(sums, "angles")
    profiles = [
        metrics.relative(sums[f"real_profile_{axis}"], sums[f"fake_profile_{axis}"])
        for axis in "xyz"
    ]
    score, used = _relative_error(sums, "fraction")
    if 0 < used < ENERGY_BINS:
        means["energy_bins"] = float(used)
    return means | {
        "gen_loss": float(sums["gen_loss"]) / n,
        SCORE: score,
        "moments": metrics.relative(sums["real_moments"], sums["fake_moments"]),
        "shapes": float(np.mean(profiles)),
    }


def _relative_error(sums: dict[str, Any], name: str) -> tuple[float, int]:
    """The mean relative error of generated sums, and the number of bins that it is the mean of."""
    real, fake = metrics.joined(sums[f"real_{name}"], sums[f"fake_{name}"])
    used = int((np.minimum(real[:, 0], fake[:, 0]) >= metrics.MIN_EVENTS).sum())
    return metrics.mean_relative_error(real, fake)[0], used
