"""Locality-sensitive hashing (LSH) of elements into bins, and the dense graph inside each bin.

Elements are sorted by their hash and cut into bins of ``size`` elements. Two elements are
neighbours if they share a bin. Masked elements (padding) are sorted to the end and have no
neighbours, so padding does not change the others. Distances and hashes are float32 for any type of
the features.
"""

from functools import partial

import jax
import jax.numpy as jnp

FLOOR = 1e-6
"""Lower bound of a squared distance; also added to a degree before the square root (published)."""
DEGREE_LIMIT = 1000.0
"""Upper bound of the degree of an element (published)."""


def hash_codes(z: jax.Array, codebook: jax.Array, bins: jax.Array | int) -> jax.Array:
    """Random-projection hash: the index of the nearest random direction or its opposite.

    Args:
      z: (n, elements, d) coordinates, float32.
      codebook: (d, columns) random directions, float32.
      bins: number of hash values, an int or (n,) one for each event. The hash uses bins // 2
        columns, at least 1 and at most all.
    Returns:
      (n, elements) int32. Elements in similar directions have equal codes.
    """
    columns = codebook.shape[1]
    used = jnp.clip(jnp.asarray(bins) // 2, 1, columns).reshape(-1, 1, 1)
    along = jnp.einsum("nid,dk->nik", z, codebook, precision=jax.lax.Precision.HIGHEST)
    valid = jnp.arange(columns) < used
    both = jnp.concatenate([jnp.where(valid, s * along, -jnp.inf) for s in (1, -1)], axis=-1)
    return jnp.argmax(both, axis=-1).astype(jnp.int32)


def sort_by_code(codes: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Argsort by code with masked elements last, and the inverse permutation.

    The sort is stable, so elements of equal code keep their order and padding does not change it.

    Returns:
      order and inverse, (n, elements) int32 each.
    """
    last = jnp.iinfo(jnp.int32).max
    order = jnp.argsort(jnp.where(mask, codes, last), axis=-1, stable=True).astype(jnp.int32)
    # A second sort inverts the permutation; it is cheaper than a scatter.
    return order, jnp.argsort(order, axis=-1).astype(jnp.int32)


@jax.custom_vjp
def permute(x: jax.Array, order: jax.Array, inverse: jax.Array) -> jax.Array:
    """Permute the elements of each event: row i of the result is row ``order[i]`` of ``x``.

    Args:
      x: (n, elements, ...).
      order: (n, elements) int32 permutation.
      inverse: (n, elements) int32, its inverse, for the gradient.
    """
    return _take(x, order)


def _take(x: jax.Array, order: jax.Array) -> jax.Array:
    index = order.reshape(*order.shape, *(1,) * (x.ndim - 2))
    return jnp.take_along_axis(x, index, axis=1, mode="promise_in_bounds")


def _permute_forward(x: jax.Array, order: jax.Array, inverse: jax.Array) -> tuple:
    return _take(x, order), inverse


def _permute_backward(inverse: jax.Array, gradient: jax.Array) -> tuple:
    # The gradient permutes back, which is a gather. Autodiff would use a scatter-add.
    return _take(gradient, inverse), None, None


permute.defvjp(_permute_forward, _permute_backward)


def to_bins(x: jax.Array, order: jax.Array, inverse: jax.Array, size: int) -> jax.Array:
    """Sort elements (n, elements, ...) into bins (n, bins, size, ...)."""
    return permute(x, order, inverse).reshape(x.shape[0], -1, size, *x.shape[2:])


def from_bins(binned: jax.Array, order: jax.Array, inverse: jax.Array) -> jax.Array:
    """Undo ``to_bins``: bins (n, bins, size, ...) to elements (n, elements, ...) in input order."""
    return permute(binned.reshape(*order.shape, *binned.shape[3:]), inverse, order)


def squared_distances(z: jax.Array, mask: jax.Array) -> jax.Array:
    """Squared Euclidean distance of each pair in a bin; infinite if either element is masked.

    Args:
      z: (..., size, d) coordinates, float32.
      mask: (..., size) bool.
    Returns:
      (..., size, size) float32, at least ``FLOOR``.
    """
    z = jnp.where(mask[..., None], z, 0.0)
    square = (z * z).sum(-1)
    product = jnp.einsum("...id,...jd->...ij", z, z, precision=jax.lax.Precision.HIGHEST)
    square = jnp.maximum(square[..., None] - 2 * product + square[..., None, :], FLOOR)
    return jnp.where(mask[..., None] & mask[..., None, :], square, jnp.inf)


def normalisation(degree: jax.Array, mask: jax.Array) -> jax.Array:
    """Symmetric normalisation D^(-1/2) of each element as published; 0 where masked."""
    return jnp.where(mask, (jnp.clip(degree, 0.0, DEGREE_LIMIT) + FLOOR) ** -0.5, 0.0)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def propagate(z: jax.Array, x: jax.Array, mask: jax.Array, scale: float) -> jax.Array:
    """Graph convolution in each bin with symmetric normalisation: D^(-1/2) A D^(-1/2) x.

    The adjacency is A_ij = exp(-scale * |z_i - z_j|), and D holds its row sums.

    Args:
      z: (..., size, d) coordinates, float32.
      x: (..., size, features) float32 or bfloat16. Products use this type and sum in float32.
      mask: (..., size) bool.
      scale: inverse length of the exponential.
    Returns:
      (..., size, features) float32.
    """
    return _propagate_forward(z, x, mask, scale)[0]


def _product(a: jax.Array, x: jax.Array) -> jax.Array:
    """Batched matrix product a x in the type of ``x``, summed in float32."""
    return jnp.einsum(
        "...ij,...jf->...if", a.astype(x.dtype), x, preferred_element_type=jnp.float32
    )


def _propagate_forward(
    z: jax.Array, x: jax.Array, mask: jax.Array, scale: float
) -> tuple[jax.Array, tuple]:
    square = squared_distances(z, mask)
    weights = jnp.exp(-scale * jnp.sqrt(square))
    degree = weights.sum(-1)
    norm = normalisation(degree, mask)[..., None]
    sums = _product(weights, (norm * x).astype(x.dtype))
    return norm * sums, (z, x, square, degree[..., None], norm, sums)


def _propagate_backward(scale: float, kept: tuple, gradient: jax.Array) -> tuple:
    """Gradients of z and x. A is symmetric, so this needs half the products of autodiff."""
    z, x, square, degree, norm, sums = kept
    distance = jnp.sqrt(square)
    weights = jnp.exp(-scale * distance)
    g_sums = (norm * gradient).astype(x.dtype)
    scaled = (norm * x).astype(x.dtype)
    g_scaled = _product(weights, g_sums)
    g_norm = (gradient * sums + g_scaled * x).sum(-1, keepdims=True)
    g_degree = jnp.where(degree < DEGREE_LIMIT, -0.5 * norm**3 * g_norm, 0.0)
    g_weights = g_degree + jnp.einsum(
        "...if,...jf->...ij", g_sums, scaled, preferred_element_type=jnp.float32
    )
    # Gradient of the squared distance: 0 at the floor, and 0 for masked pairs (division by inf).
    g_square = jnp.where(square > FLOOR, -0.5 * scale * g_weights * weights / distance, 0.0)
    pairs = g_square + jnp.swapaxes(g_square, -1, -2)
    g_z = 2 * (pairs.sum(-1, keepdims=True) * z - _product(pairs, z))
    return g_z, (norm * g_scaled).astype(x.dtype), None


propagate.defvjp(_propagate_forward, _propagate_backward)
