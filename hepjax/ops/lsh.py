"""Locality-sensitive hashing of elements into bins of equal size, and the dense graph of each bin.

Elements are sorted by their hash and cut into slices of ``size``; only elements of one slice are
neighbours. Masked elements come last and touch nobody, so padding does not change the others.
Distances and hashes are float32 whatever the type of the features.
"""

import jax
import jax.numpy as jnp

FLOOR = 1e-6
"""Smallest squared distance, and what is added to a degree before its root (published)."""
DEGREE_LIMIT = 1000.0
"""Largest degree of an element (published)."""


def hash_codes(z: jax.Array, codebook: jax.Array, bins: jax.Array | int) -> jax.Array:
    """Code of each element: the nearest of the random directions and their opposites.

    Args:
      z: (n, elements, d) coordinates, float32.
      codebook: (d, columns) random directions, float32.
      bins: number of bins to tell apart, an int or (n,) one for each event; bins // 2 columns are
        used, at least 1 and at most all.
    Returns:
      (n, elements) int32, equal for elements in similar directions.
    """
    columns = codebook.shape[1]
    used = jnp.clip(jnp.asarray(bins) // 2, 1, columns).reshape(-1, 1, 1)
    along = jnp.einsum("nid,dk->nik", z, codebook, precision=jax.lax.Precision.HIGHEST)
    valid = jnp.arange(columns) < used
    both = jnp.concatenate([jnp.where(valid, s * along, -jnp.inf) for s in (1, -1)], axis=-1)
    return jnp.argmax(both, axis=-1).astype(jnp.int32)


def sort_by_code(codes: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The order (n, elements) that sorts by code, masked elements last, and its inverse, int32.

    The sort is stable: equal codes keep the order of the event, whatever its padding.
    """
    last = jnp.iinfo(jnp.int32).max
    order = jnp.argsort(jnp.where(mask, codes, last), axis=-1, stable=True).astype(jnp.int32)
    # Two sorts of integers are cheaper than scattering.
    return order, jnp.argsort(order, axis=-1).astype(jnp.int32)


@jax.custom_vjp
def permute(x: jax.Array, order: jax.Array, inverse: jax.Array) -> jax.Array:
    """Rows ``order`` (n, elements) of ``x`` (n, elements, ...); ``inverse`` undoes it."""
    return _take(x, order)


def _take(x: jax.Array, order: jax.Array) -> jax.Array:
    index = order.reshape(*order.shape, *(1,) * (x.ndim - 2))
    return jnp.take_along_axis(x, index, axis=1, mode="promise_in_bounds")


def _permute_forward(x: jax.Array, order: jax.Array, inverse: jax.Array) -> tuple:
    return _take(x, order), inverse


def _permute_backward(inverse: jax.Array, gradient: jax.Array) -> tuple:
    # The gradient of a permutation is its inverse: a gather, where autodiff would scatter and add.
    return _take(gradient, inverse), None, None


permute.defvjp(_permute_forward, _permute_backward)


def to_bins(x: jax.Array, order: jax.Array, inverse: jax.Array, size: int) -> jax.Array:
    """Elements (n, elements, ...) sorted into bins (n, bins, size, ...)."""
    return permute(x, order, inverse).reshape(x.shape[0], -1, size, *x.shape[2:])


def from_bins(binned: jax.Array, order: jax.Array, inverse: jax.Array) -> jax.Array:
    """The elements (n, elements, ...) of the bins (n, bins, size, ...) in their own order."""
    return permute(binned.reshape(*order.shape, *binned.shape[3:]), inverse, order)


def distances(z: jax.Array, mask: jax.Array) -> jax.Array:
    """Distance of each pair of elements in a bin, infinite where one is masked.

    Args:
      z: (..., size, d) coordinates, float32.
      mask: (..., size) bool.
    Returns:
      (..., size, size) float32, at least 1e-3 as published.
    """
    z = jnp.where(mask[..., None], z, 0.0)
    square = (z * z).sum(-1)
    product = jnp.einsum("...id,...jd->...ij", z, z, precision=jax.lax.Precision.HIGHEST)
    square = jnp.maximum(square[..., None] - 2 * product + square[..., None, :], FLOOR)
    return jnp.where(mask[..., None] & mask[..., None, :], jnp.sqrt(square), jnp.inf)


def normalisation(degree: jax.Array, mask: jax.Array) -> jax.Array:
    """Degree^(-1/2) of each element as published, 0 where masked."""
    return jnp.where(mask, (jnp.clip(degree, 0.0, DEGREE_LIMIT) + FLOOR) ** -0.5, 0.0)


def propagate(z: jax.Array, x: jax.Array, mask: jax.Array, scale: float) -> jax.Array:
    """Degree-normalised sum over neighbours, D^(-1/2) A D^(-1/2) x, in each bin.

    A_ij = exp(-scale x distance of z_i and z_j), D its row sums.

    Args:
      z: (..., size, d) coordinates, float32.
      x: (..., size, features), whose type is that of the product; it sums in float32.
      mask: (..., size) bool.
    Returns:
      (..., size, features) float32.
    """
    weights = jnp.exp(-scale * distances(z, mask))
    norm = normalisation(weights.sum(-1), mask)[..., None]
    scaled = (norm * x).astype(x.dtype)
    return norm * jnp.einsum(
        "...ij,...jf->...if", weights.astype(x.dtype), scaled, preferred_element_type=jnp.float32
    )
