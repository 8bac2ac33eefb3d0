"""Normal scores: the vector of stage 1 with margins that are standard normal at every incident
energy, and then without correlations, by tables gathered from the training showers.

The flow of stage 1 begins as this Gaussian copula (Sklar, 1959) and learns what is left. Without
it the flow would have to learn how each component depends on the incident energy, and how narrow
it is at one energy. The tables stand at ``NODES`` incident energies, linear between them. They are
gathered one after the other: means, spreads, quantiles, correlations.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

NODES = 12
"""Incident energies, equally spaced in the logarithm."""
REACH, BINS = 6.0, 192
"""Histograms of standardised components: bins between -REACH and REACH."""
LEVELS = np.linspace(-2.5, 2.5, 21).astype(np.float32)
"""Normal numbers at which the quantiles are kept; linear tails beyond."""
PARTS = (0.125, 0.25, 0.5)
"""Shares of the updates of ``objective.statistics`` at which the next table begins."""
OF = {"gram": 0, "right": 0, "weight": 1, "square": 1, "counts": 2, "second": 3}
"""In which part each sum is gathered."""
TABLES = ("mean", "spread", "quantiles", "root", "inverse")
SMOOTH = 1e-4
"""Weight of the second differences of the means: nodes without showers lie on a line."""
SHARED, NORMAL = 5e-3, 1e-3
"""Weights of the histogram of all energies and of a normal one in that of a node; a node has about
1 / NODES of the showers."""
SHRINK = 1e-3
"""Share of the identity in the correlations."""


def start(size: int) -> dict[str, jax.Array]:
    """Sums and tables before the first shower; with these the scores are the vector itself."""
    return {
        "batches": jnp.zeros(len(PARTS) + 1),
        "gram": jnp.zeros((size, NODES, NODES)), "right": jnp.zeros((size, NODES)),
        "weight": jnp.zeros((size, NODES)), "square": jnp.zeros((size, NODES)),
        "counts": jnp.zeros((size, NODES, BINS)), "second": jnp.eye(size),
        "mean": jnp.zeros((size, NODES)), "spread": jnp.ones((size, NODES)),
        "quantiles": jnp.broadcast_to(LEVELS, (size, NODES, len(LEVELS))),
        "root": jnp.eye(size), "inverse": jnp.eye(size),
    }  # fmt: skip


def nodes(condition: jax.Array) -> jax.Array:
    """Weights (n, NODES) of the nodes for the condition (n, 1) of -1.7 to 1.7; they sum to 1."""
    place = jnp.clip((condition + 1.7) / 3.4, 0.0, 1.0) * (NODES - 1)
    return jnp.maximum(1.0 - jnp.abs(place - jnp.arange(NODES)), 0.0)


def to_scores(tables: Any, vector: jax.Array, condition: jax.Array) -> jax.Array:
    """Normal scores (n, size) of a vector (n, size) at the condition (n, 1)."""
    at = nodes(condition)
    return piecewise(_standardised(tables, vector, at), _quantiles(tables, at), LEVELS)


def from_scores(tables: Any, scores: jax.Array, condition: jax.Array) -> jax.Array:
    """The inverse of ``to_scores``."""
    at = nodes(condition)
    plain = piecewise(scores, LEVELS, _quantiles(tables, at))
    return plain * _at(tables["spread"], at) + _at(tables["mean"], at)


def whitened(tables: Any, scores: jax.Array) -> jax.Array:
    """Scores without their correlations."""
    return jnp.matmul(scores, tables["inverse"].T, precision="highest")


def coloured(tables: Any, white: jax.Array) -> jax.Array:
    """The inverse of ``whitened``."""
    return jnp.matmul(white, tables["root"].T, precision="highest")


def piecewise(x: jax.Array, xs: Any, ys: Any) -> jax.Array:
    """The function through (xs, ys), both (..., k) and rising, linear between and beyond them."""
    xs, ys = (jnp.broadcast_to(a, (*x.shape, a.shape[-1])) for a in (xs, ys))
    number = (x[..., None] >= xs[..., 1:-1]).sum(-1, keepdims=True)
    chosen = jnp.arange(xs.shape[-1] - 1) == number

    def at(values: jax.Array) -> jax.Array:
        return jnp.where(chosen, values, 0.0).sum(-1)

    x0, y0 = at(xs[..., :-1]), at(ys[..., :-1])
    return y0 + (x - x0) * at(jnp.diff(ys)) / at(jnp.diff(xs))


def sums(
    tables: Any, vector: jax.Array, present: jax.Array, condition: jax.Array, noise: jax.Array
) -> dict[str, jax.Array]:
    """What a batch adds to the sums, as means over its showers.

    Args:
      present: (n, size) bool, components that count.
      noise: (n, size) normal numbers in the place of the others.
    """
    at, here = nodes(condition), present.astype(jnp.float32)
    centred = vector - _at(tables["mean"], at)
    plain = _standardised(tables, vector, at)
    place = jnp.floor((plain + REACH) * (BINS / (2 * REACH)))
    bins = jax.nn.one_hot(jnp.clip(place, 0, BINS - 1).astype(jnp.int32), BINS) * here[..., None]
    scores = jnp.where(present, to_scores(tables, vector, condition), noise)
    n = len(vector)
    return {
        "gram": jnp.einsum("ns,na,nb->sab", here, at, at) / n,
        "right": jnp.einsum("ns,na->sa", here * vector, at) / n,
        "weight": jnp.einsum("ns,na->sa", here, at) / n,
        "square": jnp.einsum("ns,na->sa", here * centred**2, at) / n,
        "counts": jnp.einsum("nsb,na->sab", bins, at) / n,
        "second": jnp.matmul(scores.T, scores, precision="highest") / n,
    }


def gathered(tables: Any, batch: dict[str, jax.Array], share: jax.Array) -> dict[str, jax.Array]:
    """Sums and tables with a batch more.

    Args:
      share: () of the updates of ``objective.statistics`` that are done.
    """
    part = (share >= jnp.asarray(PARTS)).sum()
    # A warm start finds tables of other showers and gathers its own.
    on, done = jnp.arange(len(PARTS) + 1) == part, jnp.where(share > 0, tables["batches"], 0.0)

    def mixed(name: str) -> jax.Array:
        step = on[OF[name]] / (done[OF[name]] + 1)
        return tables[name] + step * (batch[name] - tables[name])

    new = tables | {name: mixed(name) for name in OF} | {"batches": done + on}
    found = {
        "mean": means(new["gram"], new["right"]),
        "spread": spreads(new["weight"], new["square"]),
        "quantiles": quantiles(new["counts"]),
    } | roots(new["second"])  # fmt: skip
    of = dict(zip(TABLES, (0, 1, 2, 3, 3), strict=True))
    return new | {name: jnp.where(on[of[name]], found[name], tables[name]) for name in TABLES}


def means(gram: jax.Array, right: jax.Array) -> jax.Array:
    """Means (size, NODES) at the nodes: least squares of hat functions, a little smoothed."""
    second = np.diff(np.eye(NODES), n=2, axis=0)
    smooth = SMOOTH * second.T @ second + 1e-7 * np.eye(NODES)
    return jnp.linalg.solve(gram + jnp.asarray(smooth, gram.dtype), right[..., None])[..., 0]


def spreads(weight: jax.Array, square: jax.Array) -> jax.Array:
    """Spreads (size, NODES) about the means; nodes without showers have that of all energies."""
    total = weight.sum(1, keepdims=True)
    overall = square.sum(1, keepdims=True) / jnp.maximum(total, 1e-12)
    found = jnp.sqrt(jnp.maximum((square + 1e-4 * overall) / (weight + 1e-4), 1e-8))
    return jnp.where(total > 0, found, 1.0)


def quantiles(counts: jax.Array) -> jax.Array:
    """Quantiles (size, NODES, levels) of histograms (size, NODES, BINS), rising."""
    edges = np.linspace(-REACH, REACH, BINS + 1)
    normal = np.diff(special.ndtr(edges))
    total = counts.sum(1, keepdims=True)
    total = total / jnp.maximum(total.sum(-1, keepdims=True), 1e-12)
    density = counts + SHARED * total + NORMAL * jnp.asarray(normal, counts.dtype)
    below = jnp.cumsum(density, axis=-1)
    below = jnp.pad(below / below[..., -1:], ((0, 0), (0, 0), (1, 0)))
    levels = jnp.asarray(special.ndtr(LEVELS))
    find = jax.vmap(jax.vmap(lambda b: jnp.interp(levels, b, jnp.asarray(edges, b.dtype))))
    found = find(below)
    rising = jnp.maximum(jnp.diff(found), 1e-3)
    first = found[..., :1]
    return jnp.concatenate([first, first + jnp.cumsum(rising, axis=-1)], axis=-1)


def roots(second: jax.Array) -> dict[str, jax.Array]:
    """Cholesky root of the second moments of the scores, and its inverse."""
    one = jnp.eye(len(second))
    root = jnp.linalg.cholesky((1 - SHRINK) * second + SHRINK * one)
    return {"root": root, "inverse": jax.scipy.linalg.solve_triangular(root, one, lower=True)}


def _standardised(tables: Any, vector: jax.Array, at: jax.Array) -> jax.Array:
    return (vector - _at(tables["mean"], at)) / _at(tables["spread"], at)


def _at(table: jax.Array, at: jax.Array) -> jax.Array:
    """Values (n, size) of a table (size, NODES)."""
    return jnp.matmul(at, table.T, precision="highest")


def _quantiles(tables: Any, at: jax.Array) -> jax.Array:
    return jnp.einsum("na,sak->nsk", at, tables["quantiles"], precision="highest")
