"""The score that chooses the checkpoint: chi2 of the total energy, summed over the energies.

For each incident energy the histogram of the total energy has 30 bins from 3 RMS below the mode to
3 RMS above. Source: the code of BoloGAN, which takes ROOT's chi2 of two weighted histograms.
"""

import jax
import jax.numpy as jnp

from hepjax.workloads.wgan.config import WganConfig
from hepjax.workloads.wgan.data import BINS

NAME = "chi2_ndf"
WORST = 1e30
"""In place of infinity, which the guard against non-finite updates would take for a failure."""


def histograms(
    cfg: WganConfig, total: jax.Array, energy: jax.Array, edges: jax.Array, weight: jax.Array
) -> jax.Array:
    """(energies, BINS) of totals (n,) over E at energies (n,), weighted; what lies outside counts
    in the first and the last bin."""
    middles = jnp.array(
        [(a * b) ** 0.5 for a, b in zip(cfg.data.energies, cfg.data.energies[1:], strict=False)]
    )
    index = jnp.searchsorted(middles, energy)
    low, width = edges[index, 0], edges[index, 1]
    place = jnp.clip(jnp.nan_to_num((total - low) / width), 0, BINS - 1).astype(jnp.int32)
    flat = jnp.zeros(len(cfg.data.energies) * BINS).at[index * BINS + place].add(weight)
    return flat.reshape(-1, BINS)


def reduced(real: jax.Array, made: jax.Array) -> jax.Array:
    """(members,) chi2 over degrees of freedom of histograms (members, energies, BINS).

    Both have the same number of events, so chi2 is the sum of (a - b)^2 / (a + b), and each energy
    has one degree of freedom less than bins that are not empty in both.
    """
    both = real + made
    chi2 = jnp.where(both > 0, (real - made) ** 2 / jnp.maximum(both, 1e-6), 0.0).sum((-1, -2))
    free = jnp.maximum((both > 0).sum(-1) - 1, 0).sum(-1)
    return chi2 / jnp.maximum(free, 1)
