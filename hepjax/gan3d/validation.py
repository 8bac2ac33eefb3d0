"""What is computed on the validation showers after each epoch, and the score of the best epoch.

Sums over showers go in and means come out, so they are exact over uneven batches and devices.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.gan3d import physics
from hepjax.gan3d.config import Gan3DConfig
from hepjax.gan3d.objective import (
    ENERGY_UNIT,
    FAKE,
    REAL,
    Batch,
    Metrics,
    State,
    generate,
    latent,
    losses,
    networks,
    total_loss,
)

ENERGY_BINS = 8
SCORE = "sampling_fraction_mre"


def eval_step(cfg: Gan3DConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums over a batch: losses of both networks, and physics of real and generated showers.

    Each shower is generated at the energy of its real partner, both networks in inference mode.
    """
    mask, energy = batch["mask"], batch["energy"]
    fake = generate(cfg, state.generator, latent(cfg, energy, key))
    variables = {
        "params": state.discriminator.params,
        "batch_stats": state.discriminator.stats,
    }
    sums: Metrics = {"showers": mask.sum()}
    for name, shower, label in (("real", batch["shower"], REAL), ("fake", fake, FAKE)):
        outputs = networks(cfg)[1].apply(variables, shower, train=False)
        terms = losses(outputs, label, energy, batch["sum"])
        sums |= {f"{name}_{term}": (value * mask).sum() for term, value in terms.items()}
        sums[f"{name}_loss"] = (total_loss(cfg, terms) * mask).sum()
        if label == FAKE:
            terms = losses(outputs, REAL, energy, batch["sum"])
            sums["gen_loss"] = (total_loss(cfg, terms) * mask).sum()

        cells = shower[..., 0] / cfg.data.scale
        fraction = physics.sampling_fraction(cells, energy * ENERGY_UNIT)
        in_bin = jax.nn.one_hot(_energy_bin(cfg, energy * ENERGY_UNIT), ENERGY_BINS) * mask[:, None]
        sums |= {
            "bin_showers": in_bin.sum(axis=0),
            f"{name}_fraction": fraction @ in_bin,
            f"{name}_moments": jnp.einsum("nak,n->ak", physics.moments(cells), mask),
        }
        for axis, profile in zip("xyz", physics.profiles(cells), strict=True):
            sums[f"{name}_profile_{axis}"] = mask @ profile
    return sums


def _energy_bin(cfg: Gan3DConfig, energy: jax.Array) -> jax.Array:
    low, high = cfg.data.energy_range
    return jnp.clip(((energy - low) / (high - low) * ENERGY_BINS).astype(int), 0, ENERGY_BINS - 1)


def summarise(sums: dict[str, Any]) -> dict[str, float]:
    """Mean losses, and the published distances of generated from real showers.

    ``sampling_fraction_mre`` is the criterion of the best epoch: the mean over energy bins of the
    relative difference of the mean sampling fractions. ``moments`` and ``shapes`` are the two terms
    of the published optimisation metric over the whole spectrum.
    """
    n = float(sums["showers"])
    means = {
        f"{name}_{term}": float(sums[f"{name}_{term}"]) / n
        for name in ("real", "fake")
        for term in ("loss", "bce", "energy", "sum")
    }
    filled = sums["bin_showers"] > 0
    result = means | {
        "gen_loss": float(sums["gen_loss"]) / n,
        SCORE: _relative(sums["real_fraction"][filled], sums["fake_fraction"][filled]),
        "moments": _relative(sums["real_moments"], sums["fake_moments"]),
        "shapes": float(
            np.mean([
                _relative(sums[f"real_profile_{axis}"], sums[f"fake_profile_{axis}"])
                for axis in "xyz"
            ])
        ),
    }  # fmt: skip
    return {name: float(value) for name, value in result.items()}


def _relative(reference: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean(np.abs(reference - other) / np.maximum(np.abs(reference), 1e-12)))
