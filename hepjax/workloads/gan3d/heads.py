"""Answers of the discriminator that follow from the cells alone: no weights, but gradients.

The loss of the generator goes through them, so their gradients are finite everywhere, in empty
showers too. Source: svalleco/3Dgan, branches Anglegan (sum, angle) and svalleco/sc18 (counts).
"""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp

from hepjax.physics.calorimeter.observables import measured_angle

Answers = dict[str, jax.Array]
COUNT_EDGES = (1e-3, 6e-4, 4e-4, 2.5e-4, 1.6e-4, 6e-5, 0.0)
"""GeV; the published ones are 50 times these, as the cells in the published files are."""


def analytic(heads: Sequence[str], showers: jax.Array, scale: float, power: float) -> Answers:
    """Those of ``heads`` that are functions of the cells.

    Args:
      showers: (n, ..., 1) in (GeV x scale)^power.
    Returns:
      ``sum`` (n,) visible energy, GeV x scale; ``angle`` (n,) measured polar angle, rad, 100 for an
      empty shower; ``counts`` (n, 8) see ``bin_counts``.
    """
    cells = showers ** (1.0 / power)
    answers = {}
    if "angle" in heads:
        answers["angle"] = measured_angle(cells[..., 0])
    if "sum" in heads:
        answers["sum"] = cells.sum(axis=tuple(range(1, cells.ndim)))
    if "counts" in heads:
        answers["counts"] = bin_counts(cells / scale)
    return answers


def bin_counts(cells: jax.Array) -> jax.Array:
    """Cells of each shower between neighbours of ``COUNT_EDGES``, from the highest down, (n, 8).

    The first counts those above 1 MeV, the last the empty ones. They are steps, so their gradient
    is 0, as in the published code.

    Args:
      cells: (n, ...) GeV.
    """
    flat = cells.reshape(len(cells), -1)
    above = [(flat > edge).sum(1) for edge in COUNT_EDGES]
    total = jnp.full_like(above[0], flat.shape[1])
    between = [lower - higher for higher, lower in pairwise(above)]
    counts = [above[0], *between, total - above[-1]]
    return jnp.stack(counts, axis=1).astype(jnp.float32)
