"""The score that chooses the checkpoint: chi2 of the total energy, summed over the energies.

For each incident energy the histogram of the total energy has 30 bins from 3 RMS below the mode to
3 RMS above. Source: the code of BoloGAN, which takes ROOT's chi2 of weighted histograms. There
showers outside of the histogram do not count; here they count in its first and last bin, so that a
generator that misses it altogether has a score.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.engine.workload import Batch
from hepjax.workloads.wgan.config import WganConfig
from hepjax.workloads.wgan.objective import generated, noise_of, slice_of
from hepjax.workloads.wgan.reference import BINS

NAME = "chi2_ndf"


class Made(NamedTuple):
    """Sums over generated showers of each member at each energy."""

    histograms: jax.Array
    """(members, energies, BINS) of the total energy."""
    layers: jax.Array
    """(members, energies, layers) mean energies of the layers over the incident energy."""


def made(cfg: WganConfig, generators: Any, batch: Batch, key: jax.Array) -> Made:
    """Let each member make ``objective.score_showers`` showers around each of ``data.energies``.

    All make them of the same noise, so that chance favours none.

    Args:
      generators: weights of the generators (members, ...).
      batch: ``edges`` and ``energies`` of it count, see reference.py.
    """
    count, offsets = cfg.objective.score_showers, cfg.calorimeter.offsets
    layer_of = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))

    def one(number: jax.Array, weights: Any) -> tuple[jax.Array, jax.Array]:
        points, edges = batch["energies"][number], batch["edges"][number]

        def at(index: jax.Array) -> tuple[jax.Array, jax.Array]:
            energy = points[index][jnp.arange(count) % points.shape[-1]]
            noise = noise_of(cfg, jax.random.fold_in(key, index), count)
            showers = generated(cfg, weights, energy, noise)
            found = jnp.zeros(BINS).at[place(showers.sum(-1), edges[index])].add(1.0)
            return found, jax.ops.segment_sum(showers.mean(0), layer_of, len(offsets) - 1)

        # One energy after the other: the showers of all of them would need much memory.
        return jax.lax.map(at, jnp.arange(len(points)))

    return Made(*jax.vmap(one)(slice_of(cfg), generators))


def place(total: jax.Array, edges: jax.Array) -> jax.Array:
    """(n,) bins of totals (n,) over E; ``edges`` (..., 2) are the lowest edge and the width."""
    place = jnp.nan_to_num((total - edges[..., 0]) / edges[..., 1])
    return jnp.clip(place, 0, BINS - 1).astype(jnp.int32)


def histograms(
    cfg: WganConfig, total: jax.Array, energy: jax.Array, edges: jax.Array, weight: jax.Array
) -> jax.Array:
    """(energies, BINS) of totals (n,) over E at energies (n,), weighted; what lies outside counts
    in the first and the last bin."""
    middles = jnp.array(
        [(a * b) ** 0.5 for a, b in zip(cfg.data.energies, cfg.data.energies[1:], strict=False)]
    )
    index = jnp.searchsorted(middles, energy)
    flat = jnp.zeros(len(cfg.data.energies) * BINS)
    flat = flat.at[index * BINS + place(total, edges[index])].add(weight)
    return flat.reshape(-1, BINS)


def reduced(real: jax.Array, made: jax.Array) -> jax.Array:
    """(...) chi2 over degrees of freedom of counts (..., energies, BINS), summed over the energies.

    Of two histograms with N and M events chi2 is the sum over the bins of (M a - N b)^2 / (a + b),
    over N M (ROOT, ``TH1::Chi2Test`` of unweighted histograms). Each energy has one degree of
    freedom less than bins that are not empty in both. One without events on one side does not
    count.
    """
    n, m = real.sum(-1, keepdims=True), made.sum(-1, keepdims=True)
    both = real + made
    there = (both > 0) & (n > 0) & (m > 0)
    ratio = jnp.sqrt(jnp.maximum(m, 1.0) / jnp.maximum(n, 1.0))
    chi2 = jnp.where(there, (ratio * real - made / ratio) ** 2 / jnp.where(there, both, 1.0), 0.0)
    free = jnp.maximum(there.sum(-1) - 1, 0).sum(-1)
    return chi2.sum((-1, -2)) / jnp.maximum(free, 1)
