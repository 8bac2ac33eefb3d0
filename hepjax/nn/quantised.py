"""Dense layers in fixed point whose bits are learned with the weights (HGQ, arXiv:2405.00645).

A value x becomes round(x 2^f) 2^-f, half to even, with f whole fraction bits: one f a weight, one
for the activations of a layer. The gradient passes the rounding straight through. That of f is of
|x - q(x)|, which halves with each bit: dq/df = ln 2 (x - q(x)). Widths count bits of magnitudes,
sign apart, of the quantised numbers; as a cost their derivative by f is 1 where they are not 0.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hepjax.ops.fixed_point import Dense, Grid, Network, on_grid

UNIT = 8.0
"""Fraction bits in a parameter of 1, so that steps of weights' size move them by bits in a
training."""
LEAST, MOST = -8, 12
"""Fraction bits."""
KEPT = 0.999
"""Of the largest activation seen, an update later; it grows at once."""
EXACT = jax.lax.Precision.HIGHEST
"""On GPUs and TPUs products of float32 are rounded otherwise."""


class Signal(NamedTuple):
    """Numbers in fixed point."""

    value: jax.Array
    width: jax.Array
    """Bits of the largest magnitude, with its gradient."""
    overflow: jax.Array
    """How many of each event (n,) lay beyond the largest."""


def power_of_two(k: jax.Array) -> jax.Array:
    """2^k, float32, to the last bit; k whole, -126 to 127."""
    exponent = (jnp.asarray(k).astype(jnp.int32) + 127) << 23
    return jax.lax.bitcast_convert_type(exponent, jnp.float32)


def magnitude_bits(k: jax.Array) -> jax.Array:
    """Bits of the magnitude of whole numbers below 2^24, float32; 0 of 0."""
    stored = jax.lax.bitcast_convert_type(jnp.abs(k).astype(jnp.float32), jnp.int32)
    return jnp.maximum((stored >> 23) - 126, 0).astype(jnp.float32)


def whole(fraction: jax.Array) -> jax.Array:
    """Fraction bits of a parameter, whole numbers as float32, without a gradient."""
    return jnp.clip(jnp.round(jax.lax.stop_gradient(fraction) * UNIT), LEAST, MOST)


@jax.custom_vjp
def rounded(x: jax.Array, fraction: jax.Array) -> jax.Array:
    """x with the fraction bits of a parameter, which broadcasts against it."""
    scale = power_of_two(whole(fraction))
    return jnp.round(x * scale) / scale


def _rounded(x: jax.Array, fraction: jax.Array) -> tuple[jax.Array, Any]:
    q = rounded(x, fraction)
    return q, (x - q, fraction)


def _gradients(kept: Any, g: jax.Array) -> tuple[jax.Array, jax.Array]:
    error, fraction = kept
    slope = UNIT * jnp.log(2.0) * g * error
    spread = slope.ndim - fraction.ndim
    slope = slope.sum(axis=tuple(range(spread)))
    same = tuple(k for k, n in enumerate(fraction.shape) if n == 1 and slope.shape[k] != 1)
    return g, slope.sum(axis=same, keepdims=True)


rounded.defvjp(_rounded, _gradients)


def width(q: jax.Array, fraction: jax.Array) -> jax.Array:
    """Bits of the magnitude of quantised numbers; its derivative by the fraction bits is 1, or 0
    where there are none."""
    exact = magnitude_bits(jax.lax.stop_gradient(q) * power_of_two(whole(fraction)))
    moving = UNIT * (fraction - jax.lax.stop_gradient(fraction))
    return exact + jnp.where(exact > 0, moving, 0.0)


def pruned(kernel: jax.Array, share: jax.Array | float) -> jax.Array:
    """Weights without the ``share`` of smallest magnitude; the gradient reaches all, so that a
    weight may come back."""
    ordered = jnp.sort(jnp.abs(kernel).reshape(-1))
    place = jnp.clip(jnp.round(share * ordered.size), 0, ordered.size).astype(jnp.int32)
    least = jnp.concatenate([ordered, jnp.full(1, jnp.inf)])[place]
    kept = jnp.where(jnp.abs(kernel) >= least, kernel, 0.0)
    return kernel + jax.lax.stop_gradient(kept - kernel)


class Quantised(nn.Module):
    """Values (n, k) on the grid of their layer, saturating.

    With ``integer`` they are signed and below 2^integer. Without, they are not negative, and the
    collection ``ranges`` follows the largest of the training.
    """

    bits: float
    """Fraction bits in the beginning."""
    integer: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> Signal:
        fraction = self.param("fraction", nn.initializers.constant(self.bits / UNIT), ())
        scale = power_of_two(whole(fraction))
        moving = UNIT * (fraction - jax.lax.stop_gradient(fraction))
        if self.integer is not None:
            bits = jnp.maximum(self.integer + whole(fraction), 1.0)
            low = -power_of_two(bits)
        else:
            largest = self.variable("ranges", "largest", lambda: jnp.float32(0.0))
            if train and not self.is_initializing():
                seen = jax.lax.stop_gradient(x.max())
                largest.value = jnp.maximum(seen, KEPT * largest.value)
            bits = jnp.clip(magnitude_bits(jnp.round(largest.value * scale)), 1.0, 24.0)
            low = jnp.float32(0.0)
        high = power_of_two(bits) - 1.0
        q = rounded(x, fraction)
        beyond = (q * scale > high) | (q * scale < low)
        value = jnp.clip(q, low / scale, high / scale)
        return Signal(value, bits + moving, beyond.sum(axis=-1))


class QuantisedDense(nn.Module):
    """Sums (n, features) of quantised weights and inputs, exact below 2^24 steps; and the effective
    bit operations that they cost."""

    features: int
    bits: float
    """Fraction bits of weights and biases in the beginning."""

    @nn.compact
    def __call__(self, x: Signal, share: jax.Array | float | None) -> tuple[jax.Array, jax.Array]:
        """``share`` of the weights is pruned; None: the layer is never pruned."""
        shape = (x.value.shape[-1], self.features)
        start = nn.initializers.constant(self.bits / UNIT)
        kernel = self.param("kernel", nn.initializers.lecun_uniform(), shape)
        kernel_fraction = self.param("kernel_fraction", start, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        bias_fraction = self.param("bias_fraction", start, (self.features,))
        weight = rounded(kernel if share is None else pruned(kernel, share), kernel_fraction)
        offset = rounded(bias, bias_fraction)
        cost = x.width * width(weight, kernel_fraction).sum()
        cost += width(offset, bias_fraction).sum()
        return jnp.dot(x.value, weight, precision=EXACT) + offset, cost


class QuantisedMlp(nn.Module):
    """Inputs (n, k) -> sums of the last layer (n, outputs), cost in effective bit operations, and
    the values beyond their grids in each event (n,). ``share`` of the weights of each hidden layer
    is pruned."""

    hidden: tuple[int, ...]
    outputs: int
    weight_bits: float
    activation_bits: float
    integer: int
    """Inputs saturate at +- 2^integer."""

    @nn.compact
    def __call__(
        self, x: jax.Array, share: jax.Array | float | None = None, train: bool = False
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        signal = Quantised(self.activation_bits, self.integer, name="inputs")(x, train)
        cost, overflow = jnp.float32(0.0), signal.overflow
        for number, features in enumerate(self.hidden):
            layer = QuantisedDense(features, self.weight_bits, name=f"dense_{number}")
            sums, more = layer(signal, share)
            signal = Quantised(self.activation_bits, name=f"after_{number}")(nn.relu(sums), train)
            cost, overflow = cost + more, overflow + signal.overflow
        last = QuantisedDense(self.outputs, self.weight_bits, name=f"dense_{len(self.hidden)}")
        sums, more = last(signal, None)
        return sums, cost + more, overflow


def network(
    params: Any, ranges: Any, integer: int, share: float | None, *, hidden: int
) -> Network:  # fmt: skip
    """A trained ``QuantisedMlp`` as integers; NumPy, rounded in float32 as the layers do it.

    Args:
      params, ranges: its collections, without further leading axes.
      integer: of its inputs.
      share: of the hidden weights that is pruned; None: pruning is off.
      hidden: number of hidden layers.
    """

    def bits(parameter: Any) -> np.ndarray:
        return np.clip(np.rint(np.asarray(parameter, np.float32) * np.float32(UNIT)), LEAST, MOST)

    def steps(values: np.ndarray, parameter: Any) -> tuple[np.ndarray, Grid]:
        scale = np.ldexp(np.float32(1.0), bits(parameter).astype(np.int32))
        return on_grid(np.rint(values * scale) / scale)

    inputs = int(bits(params["inputs"]["fraction"]))
    first = Grid(inputs, max(integer + inputs, 1) + 1, True)
    layers = []
    for number in range(hidden + 1):
        own, after = params[f"dense_{number}"], None
        kernel = np.asarray(own["kernel"], np.float32)
        kernel = kernel if share is None or number == hidden else _without_smallest(kernel, share)
        if number < hidden:
            f = int(bits(params[f"after_{number}"]["fraction"]))
            largest = np.float32(ranges[f"after_{number}"]["largest"])
            width = np.frexp(np.rint(largest * np.float32(2.0**f)))[1]
            after = Grid(f, int(np.clip(width, 1, 24)), False)
        bias = np.asarray(own["bias"], np.float32)
        layers.append(Dense(
            *steps(kernel, own["kernel_fraction"]), *steps(bias, own["bias_fraction"]), after
        ))  # fmt: skip
    return Network(first, tuple(layers))


def _without_smallest(kernel: np.ndarray, share: float) -> np.ndarray:
    """``pruned`` in NumPy."""
    ordered = np.append(np.sort(np.abs(kernel).reshape(-1)), np.float32(np.inf))
    place = int(np.clip(np.rint(np.float32(share) * np.float32(kernel.size)), 0, kernel.size))
    return np.where(np.abs(kernel) >= ordered[place], kernel, np.float32(0.0))
