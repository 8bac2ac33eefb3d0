"""Physics quantities of calorimeter showers, as pure functions of arrays; no files, no plots.

Showers are (n, x, y, z) cell energies in GeV with z the depth; any grid will do. Results are jax
arrays, so every function compiles, and all but the counts differentiate. An empty shower has zero
fractions, moments and ratios rather than NaN. Formulas follow the published 3DGAN analysis
(svalleco/3Dgan, branch Anglegan) unless said otherwise.
"""

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array | np.ndarray

HIT_THRESHOLD = 3e-4
"""GeV; cells above count as hits in the published plots."""
RATIO_LAYERS = ((0, 8), (8, 16), (16, 25))
"""Layers summed in R1, R2 and R3; the last one is open-ended."""
SPARSITY_EXPONENTS = tuple(range(-13, 1))
"""Thresholds 10^t GeV of the sparsity curve."""
SPECTRUM_RANGE = (-12.0, 1.0)
"""log10 of cell energies in GeV covered by the published spectrum, in 100 bins."""
SPECTRUM_BINS = 100
CORRELATED = ("Mx1", "My1", "Mz1", "Mx2", "My2", "Mz2", "Esum", "Ep", "hits", "R1", "R2", "R3")
"""Columns of ``correlated`` and of the published correlation matrix of the fixed-angle model; with
a variable angle ``|theta - pi/2|`` stands behind them."""


def ecal_sum(showers: Array) -> jax.Array:
    """Visible energy of each shower, (n,) GeV."""
    return jnp.sum(jnp.asarray(showers), axis=(1, 2, 3))


def sampling_fraction(showers: Array, energy: Array) -> jax.Array:
    """Visible over incident energy of each shower, (n,).

    Args:
      showers: (n, x, y, z) cell energies, GeV.
      energy: (n,) incident energies, GeV, positive.
    """
    return ecal_sum(showers) / jnp.asarray(energy)


def published_sampling_fraction(energy: Array) -> jax.Array:
    """Mean sampling fraction of electrons and photons in the CLIC calorimeter.

    Args:
      energy: incident energies, GeV, any shape; the fit covers 10 to 500 GeV.
    Returns:
      same shape; 0.0218 at 10 GeV falling to 0.0181 at 500 GeV.
    Source: polynomial of the published training code, Ecal = r(e) e with e = energy / 100 GeV.
    """
    e = jnp.asarray(energy) / 100.0
    return jnp.polyval(jnp.array([0.0018, -0.023, 0.11, -0.28, 2.21]), e) / 100.0


def profiles(showers: Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Energy along x, y and z of each shower in GeV: (n, x), (n, y), (n, z)."""
    showers = jnp.asarray(showers)
    return showers.sum((2, 3)), showers.sum((1, 3)), showers.sum((1, 2))


def projections(showers: Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Energy summed along one axis: (n, x, y), (n, x, z), (n, y, z) in GeV."""
    showers = jnp.asarray(showers)
    return showers.sum(3), showers.sum(2), showers.sum(1)


def moments(showers: Array, orders: int = 2) -> jax.Array:
    """Energy-weighted moments along x, y and z, in units of cells.

    M1 = sum(i E_i) / E and Mk = sum((i - M1)^k E_i) / E with i = 0 .. cells-1 (no half added).

    Returns:
      (n, orders, 3); orders 1 to ``orders`` (the optimisation metric uses two).
    """
    return jnp.stack([_moments(p, orders) for p in profiles(showers)], axis=-1)


def _moments(profile: jax.Array, orders: int) -> jax.Array:
    index = jnp.arange(profile.shape[1], dtype=profile.dtype)
    weight = _share(profile, profile.sum(1, keepdims=True))
    mean = weight @ index
    distance = index - mean[:, None]
    return jnp.stack([mean, *((weight * distance**k).sum(1) for k in range(2, orders + 1))], 1)


def longitudinal_ratios(
    showers: Array, layers: tuple[tuple[int, int], ...] = RATIO_LAYERS
) -> jax.Array:
    """R1, R2, R3: share of the visible energy in layers 0-7, 8-15 and from 16 on, (n, 3).

    Args:
      layers: first and one past the last of each part; ``Calorimeter.thirds`` of another detector.
    """
    by_layer = profiles(showers)[2]
    parts = [by_layer[:, a:b] for a, b in layers[:-1]] + [by_layer[:, layers[-1][0] :]]
    return jnp.stack([_share(part.sum(1), by_layer.sum(1)) for part in parts], axis=1)


def hits(showers: Array, threshold: float = HIT_THRESHOLD) -> jax.Array:
    """Number of cells above ``threshold`` GeV in each shower, (n,) int32."""
    return (jnp.asarray(showers) > threshold).sum((1, 2, 3), dtype=jnp.int32)


def sparsity(showers: Array) -> jax.Array:
    """Share of cells above 10^t GeV for each t of ``SPARSITY_EXPONENTS``: (n, 14)."""
    showers = jnp.asarray(showers)
    return jnp.stack([(showers > 10.0**t).mean((1, 2, 3)) for t in SPARSITY_EXPONENTS], axis=1)


def cell_spectrum(showers: Array) -> jax.Array:
    """Cells of each shower by log10 of their energy: (n, 100) int32 counts, 1e-12 to 10 GeV.

    Cells without energy or outside the range are not counted.
    """
    cells = jnp.asarray(showers).reshape(len(showers), -1)
    low, high = SPECTRUM_RANGE
    positive = cells > 0
    position = (jnp.log10(jnp.where(positive, cells, 1.0)) - low) / (high - low) * SPECTRUM_BINS
    inside = positive & (position >= 0) & (position < SPECTRUM_BINS)
    # One bin more takes what is not counted.
    column = jnp.where(inside, position.astype(jnp.int32), SPECTRUM_BINS)
    counts = jnp.zeros((len(cells), SPECTRUM_BINS + 1), jnp.int32)
    return counts.at[jnp.arange(len(cells))[:, None], column].add(1)[:, :-1]


def max_position(showers: Array) -> jax.Array:
    """Index along x, y and z of the cell with most energy, (n, 3) int32; (0, 0, 0) if empty."""
    showers = jnp.asarray(showers)
    flat = showers.reshape(len(showers), -1).argmax(1)
    return jnp.stack(jnp.unravel_index(flat, showers.shape[1:]), axis=1).astype(jnp.int32)


def correlated(showers: Array, energy: Array) -> jax.Array:
    """The quantities of the published correlation matrix, (n, 12), named by ``CORRELATED``."""
    return correlated_columns(
        moments(showers), ecal_sum(showers), energy, hits(showers), longitudinal_ratios(showers)
    )


def correlated_columns(
    moments: Array, total: Array, energy: Array, hits: Array, ratios: Array,
    theta: Array | None = None,
) -> jax.Array:  # fmt: skip
    """The same from quantities of any calorimeter, (n, 12); with angles in rad (n, 13)."""
    first_two = jnp.asarray(moments)[:, :2].reshape(len(moments), -1)
    columns = [jnp.asarray(total), jnp.asarray(energy), jnp.asarray(hits).astype(first_two.dtype)]
    parts = [first_two, jnp.stack(columns, axis=1), jnp.asarray(ratios)]
    if theta is not None:
        parts.append(jnp.abs(jnp.asarray(theta) - jnp.pi / 2)[:, None])
    return jnp.concatenate(parts, axis=1)


def correlation_matrix(columns: Array) -> jax.Array:
    """Pearson correlations of ``columns`` (n, k): (k, k); 0 with a column that is constant."""
    columns = jnp.asarray(columns)
    centred = columns - columns.mean(0)
    # Rounding leaves a constant column a spread of some 1e-7 of its size.
    constant = jnp.abs(centred).max(0) <= 1e-6 * jnp.abs(columns).max(0)
    centred = jnp.where(constant, 0.0, centred)
    unit = _share(centred, jnp.sqrt((centred**2).sum(0)))
    return jnp.where(jnp.eye(columns.shape[1], dtype=bool), 1.0, unit.T @ unit)


def peak_share(showers: Array) -> jax.Array:
    """Share of the visible energy in the hottest cell, (n,)."""
    showers = jnp.asarray(showers)
    return _share(showers.max((1, 2, 3)), ecal_sum(showers))


def tail_share(showers: Array, core: tuple[slice, slice]) -> jax.Array:
    """Share of the visible energy outside the columns of cells ``core`` along the depth, (n,)."""
    showers = jnp.asarray(showers)
    total = ecal_sum(showers)
    return _share(jnp.maximum(total - ecal_sum(showers[:, core[0], core[1]]), 0.0), total)


def measured_angle(showers: Array) -> jax.Array:
    """Polar angle of the shower axis in the y-z plane, (n,) rad; pi/2 is normal incidence.

    Each layer with energy gives the slope of the line from the barycentre of the shower to its own
    barycentre (x, y)(z); their angles are averaged with weight z. Cell centres lie at i + 0.5.
    An empty shower gives 100, the published flag. Differentiable everywhere, empty showers and
    layers included: values that are masked out are made harmless before they are used.
    """
    showers = jnp.asarray(showers)
    along_x, along_y, by_layer = profiles(showers)
    x, y, z = (jnp.arange(n, dtype=showers.dtype) + 0.5 for n in showers.shape[1:])
    total = by_layer.sum(1)
    x0, y0, z0 = _share(along_x @ x, total), _share(along_y @ y, total), _share(by_layer @ z, total)
    layer_x = _share(jnp.einsum("nxyz,x->nz", showers, x), by_layer)
    layer_y = _share(jnp.einsum("nxyz,y->nz", showers, y), by_layer)

    squared = (layer_x - x0[:, None]) ** 2 + (z - z0[:, None]) ** 2
    # The floor goes under the root: its gradient at 0 is infinite.
    slope = (layer_y - y0[:, None]) / jnp.sqrt(jnp.maximum(squared, 1e-14))
    angle = jnp.pi / 2 - jnp.arctan(jnp.where(z < z0[:, None], -slope, slope))
    weight = jnp.where(by_layer > 0, z, 0.0)
    return jnp.where(total > 0, _share((weight * angle).sum(1), weight.sum(1)), 100.0)


def _share(part: jax.Array, whole: jax.Array) -> jax.Array:
    """part / whole, 0 where there is no whole; its gradient is finite there too."""
    some = whole > 0
    return jnp.where(some, part / jnp.where(some, whole, 1.0), 0.0)
