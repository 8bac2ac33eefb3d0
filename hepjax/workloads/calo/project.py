"""Cells that have the energy, the hits and the transverse moments that stage 1 gave."""

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.workloads.calo.geometry import plan
from hepjax.workloads.calo.layers import Layers, grouped, resolved

FARTHEST = 10.0
"""No number to be cut is farther from 0: the edge of a cell and its normal number are within 5."""
BISECTIONS = 20
"""Halvings of the interval in which the cut on the cells lies."""
STEPS = 3
"""Newton steps to the moments."""
STEEPEST = 4.0
"""The tilt changes a cell by a factor of exp of at most this."""
LONGEST = 2.0
"""Of a step, as the spread over the energy of the logarithm by which it changes cells."""
RIDGE = 2e-3
"""Relative damping of the Newton steps: layers of few hits cannot have any moments."""


def with_hits(
    calorimeter: Calorimeter, above: jax.Array, hits: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The cut that ``hits`` (n, layers) of the cells of each layer exceed, and which do.

    Args:
      above: (n, layers, cells) numbers to be cut, of at most ``FARTHEST``. No gradient passes
        through the cut.
    Returns:
      (n, layers), and (n, layers, cells) bool.
    """
    inside = plan(calorimeter).inside & (hits > 0)[..., None]
    fixed = jax.lax.stop_gradient(jnp.where(inside, above, -jnp.inf))

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = (low + high) / 2
        many = (fixed > middle[..., None]).sum(2) > hits
        return jnp.where(many, middle, low), jnp.where(many, high, middle)

    start = jnp.full(hits.shape, -FARTHEST - 1.0), jnp.full(hits.shape, FARTHEST)
    _, cut = jax.lax.fori_loop(0, BISECTIONS, halve, start)
    return cut, fixed > cut[..., None]


def with_energy(value: jax.Array, hit: jax.Array, energy: jax.Array, threshold: float) -> jax.Array:
    """Cells (n, layers, cells) GeV whose sum is ``energy`` (n, layers) GeV.

    Args:
      value: logarithm of what hits have above the threshold, in thresholds, before it is scaled; so
        no hit falls below the threshold.
    """
    # No cell has more than its layer.
    most = jnp.log(jnp.maximum(energy / threshold, 1.0))[..., None]
    excess = jnp.where(hit, jnp.exp(jnp.minimum(jnp.where(hit, value, 0.0), most)), 0.0)
    return _scaled(excess, hit, energy, threshold)


def _scaled(excess: jax.Array, hit: jax.Array, energy: jax.Array, threshold: float) -> jax.Array:
    wanted = jnp.maximum(energy / threshold - hit.sum(2), 0.0)
    # A product keeps XLA from computing the cells anew, number by number, inside the sum.
    total = jnp.matmul(excess, jnp.ones(excess.shape[2]), precision="highest")
    factor = wanted / jnp.maximum(total, 1e-12)
    return threshold * jnp.where(hit, 1.0 + excess * factor[..., None], 0.0)


def with_moments(
    calorimeter: Calorimeter, cells: jax.Array, wanted: Layers, threshold: float
) -> jax.Array:
    """Cells tilted by exp(a x + b y + c x^2 + d y^2 + e r) so that groups of layers with enough
    hits (``layers.resolved``) have the moments.

    Newton steps on the convex dual of the relative entropy; the energies of the layers stay.
    """
    functions = plan(calorimeter).functions
    count = wanted.moments.shape[1]
    facts = grouped(calorimeter, count)
    square = wanted.moments[..., 2] + wanted.moments[..., 3]
    length = jnp.sqrt(jnp.maximum(square, facts.floor))[..., None]
    unit = jnp.concatenate([length, length, length**2, length**2, length], axis=-1)
    hit = cells > 0
    excess = jnp.where(hit, jnp.maximum(cells / threshold - 1.0, 0.0), 0.0)
    energy = jnp.maximum(wanted.energy, 1e-12 * threshold)[..., None]
    # Shares of the layers in the energy of their group, (n, groups, layers).
    parts = wanted.energy[:, None] * facts.member
    parts = parts / jnp.maximum(parts.sum(2, keepdims=True), 1e-12 * threshold)
    tilt = jnp.zeros_like(unit)
    known = resolved(calorimeter, wanted.hits, count)[..., None]
    tilted = excess
    for _ in range(STEPS):
        now = _scaled(tilted, hit, wanted.energy, threshold)
        mean, covariance = _spread(now / energy, functions, parts, unit)
        miss = jnp.where(known, wanted.moments / unit - mean, 0.0)
        step = _solved(covariance, miss)
        # Moments that the hits cannot have would tilt without end.
        length_of_step = jnp.sqrt(jnp.maximum((step * miss).sum(-1, keepdims=True), 0.0))
        tilt = tilt + step * (LONGEST / jnp.maximum(length_of_step, LONGEST))
        of_layers = jnp.einsum("ngk,gl->nlk", tilt / unit, facts.member, precision="highest")
        exponent = _tilted(of_layers, functions)
        tilted = excess * jnp.exp(jnp.clip(exponent, -STEEPEST, STEEPEST))
    return _scaled(tilted, hit, wanted.energy, threshold)


def _means(share: jax.Array, functions: np.ndarray) -> jax.Array:
    """Sums (n, layers, k) of functions (layers, cells, k) with shares (n, layers, cells)."""
    if (functions == functions[:1]).all():  # one matrix product for all layers
        return jnp.matmul(share, functions[0], precision="highest")
    return jnp.einsum("nlc,lck->nlk", share, functions, precision="highest")


def _tilted(factors: jax.Array, functions: np.ndarray) -> jax.Array:
    """Sums (n, layers, cells) of functions (layers, cells, k) with factors (n, layers, k)."""
    if (functions == functions[:1]).all():
        return jnp.matmul(factors, functions[0].T)
    return jnp.einsum("nlk,lck->nlc", factors, functions)


def _spread(
    share: jax.Array, functions: np.ndarray, parts: jax.Array, unit: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Means (n, groups, 5) of the functions in their units, and what a tilt changes in them,
    (n, groups, 5, 5): the covariances inside the layers.

    Args:
      share: (n, layers, cells) of the cells in the energy of their layer.
      parts: (n, groups, layers) of the layers in the energy of their group.
    """
    k = functions.shape[-1]
    row, column = np.triu_indices(k)
    both = np.concatenate([functions, functions[..., row] * functions[..., column]], axis=-1)
    sums = _means(share, both)
    mean = sums[..., :k]
    pairs = sums[..., k:] - mean[..., row] * mean[..., column]
    of_groups = jnp.einsum(
        "ngl,nlk->ngk", parts, jnp.concatenate([mean, pairs], axis=-1), precision="highest"
    )
    pairs = of_groups[..., k:] / (unit[..., row] * unit[..., column])
    place = np.zeros((k, k), int)
    place[row, column] = place[column, row] = np.arange(len(row))
    return of_groups[..., :k] / unit, pairs[..., place]


def _solved(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """Damped solution of symmetric systems (..., k, k), by Cholesky's method, written out."""
    k = right.shape[-1]
    # As correlations, whose rounding is far below the damping.
    scale = jnp.sqrt(jnp.maximum(jnp.diagonal(matrix, axis1=-2, axis2=-1), 1e-6))
    matrix = matrix / (scale[..., :, None] * scale[..., None, :])
    right = right / scale
    low: dict[tuple[int, int], jax.Array] = {}
    for j in range(k):
        rest = matrix[..., j, j] + RIDGE - sum(low[j, m] ** 2 for m in range(j))
        low[j, j] = jnp.sqrt(jnp.maximum(rest, RIDGE / 2))
        for i in range(j + 1, k):
            rest = matrix[..., i, j] - sum(low[i, m] * low[j, m] for m in range(j))
            # More than 1 is rounding: layers with one hit have no covariance.
            low[i, j] = jnp.clip(rest / low[j, j], -1.0, 1.0)
    forward: list[jax.Array] = []
    for i in range(k):
        rest = right[..., i] - sum(low[i, m] * forward[m] for m in range(i))
        forward.append(rest / low[i, i])
    solution: list[jax.Array] = [forward[0]] * k
    for i in reversed(range(k)):
        rest = forward[i] - sum(low[m, i] * solution[m] for m in range(i + 1, k))
        solution[i] = rest / low[i, i]
    return jnp.stack(solution, axis=-1) / scale
