"""Monotonic rational-quadratic splines with linear tails, element by element, and their inverse.

Source: Durkan et al., Neural Spline Flows (arXiv:1906.04032), equations 4 to 8.
"""

import jax
import jax.numpy as jnp

LEAST_BIN, LEAST_SLOPE = 1e-3, 1e-3
"""Of a bin as a share of the interval, and of the slope at a knot (published)."""


def parameters(bins: int) -> int:
    """Numbers that describe a spline of ``bins`` bins: widths, heights, inner slopes."""
    return 3 * bins - 1


def spline(
    x: jax.Array, raw: jax.Array, bound: float, *, inverse: bool = False
) -> tuple[jax.Array, jax.Array]:
    """The spline or its inverse; the identity outside of (-bound, bound).

    Args:
      x: (...) numbers.
      raw: (..., 3 bins - 1) unconstrained widths, heights and inner slopes; all 0 is the identity.
    Returns:
      values (...), and the logarithm of the derivative (...) of what was applied.
    """
    bins = (raw.shape[-1] + 1) // 3
    left, width = _bins(raw[..., :bins], bound)
    low, height = _bins(raw[..., bins : 2 * bins], bound)
    # softplus of this is 1 - LEAST_SLOPE, so that raw slopes of 0 are slopes of 1.
    shift = jnp.log(jnp.expm1(1.0 - LEAST_SLOPE))
    inner = LEAST_SLOPE + jax.nn.softplus(raw[..., 2 * bins :] + shift)
    ends = [(0, 0)] * (raw.ndim - 1) + [(1, 1)]
    slope = jnp.pad(inner, ends, constant_values=1.0)

    inside = (x > -bound) & (x < bound)
    safe = jnp.where(inside, x, 0.0)
    knots = low if inverse else left
    # The number of the bin, so that no number is between two bins by rounding.
    number = (safe[..., None] >= knots[..., 1:]).sum(-1, keepdims=True)
    chosen = jnp.arange(bins) == number

    def at(values: jax.Array) -> jax.Array:
        return jnp.where(chosen, values, 0.0).sum(-1)

    x0, w, y0, h = at(left), at(width), at(low), at(height)
    d0, d1 = at(slope[..., :-1]), at(slope[..., 1:])
    w, h = jnp.where(inside, w, 1.0), jnp.where(inside, h, 1.0)
    d0, d1 = jnp.where(inside, d0, 1.0), jnp.where(inside, d1, 1.0)
    s = h / w
    curve = d0 + d1 - 2 * s
    if inverse:
        rise = safe - y0
        a = h * (s - d0) + rise * curve
        b = h * d0 - rise * curve
        c = -s * rise
        root = jnp.sqrt(jnp.maximum(b * b - 4 * a * c, 1e-20))
        t = jnp.clip(2 * c / (-b - root), 0.0, 1.0)
        value = x0 + t * w
    else:
        t = (safe - x0) / w
        value = y0 + h * (s * t * t + d0 * t * (1 - t)) / (s + curve * t * (1 - t))
    under = s + curve * t * (1 - t)
    over = s * s * (d1 * t * t + 2 * s * t * (1 - t) + d0 * (1 - t) ** 2)
    slopes = jnp.log(over) - 2 * jnp.log(under)
    slopes = -slopes if inverse else slopes
    return jnp.where(inside, value, x), jnp.where(inside, slopes, 0.0)


def _bins(raw: jax.Array, bound: float) -> tuple[jax.Array, jax.Array]:
    """Left edges and sizes of bins that fill (-bound, bound)."""
    share = LEAST_BIN + (1 - LEAST_BIN * raw.shape[-1]) * jax.nn.softmax(raw, axis=-1)
    size = 2 * bound * share
    return jnp.cumsum(size, axis=-1) - size - bound, size
