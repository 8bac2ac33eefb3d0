"""Periodic convolutions: against sums written out, rolled boxes, and boxes cut over devices."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from hepjax.nn.periodic import PeriodicConv, PeriodicTranspose, wrapped


def box(seed, n=4, channels=2, events=1):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=(events, n, n, n, channels)), jnp.float32)


def applied(module, x, seed=0):
    params = jax.jit(module.init)(jax.random.key(seed), x)["params"]
    params = params | {"bias": jnp.arange(1.0, module.features + 1)}
    return params, np.asarray(jax.jit(module.apply)({"params": params}, x))


def convolved(x, kernel, stride, faces):
    """The sum over taps of rolled boxes."""
    made = np.zeros((*x.shape[:4], kernel.shape[-1]))
    for tap in itertools.product(*(range(k) for k in kernel.shape[:3])):
        shift = [faces - t for t in tap]
        made += np.einsum("nxyzi,io->nxyzo", np.roll(x, shift, (1, 2, 3)), kernel[tap])
    return made[:, ::stride, ::stride, ::stride]


@pytest.mark.parametrize(("kernel", "stride", "faces"), [(3, 1, 1), (4, 2, 1), (1, 1, 0)])
def test_a_convolution_is_the_sum_of_rolled_boxes(kernel, stride, faces):
    x = box(0)
    params, y = applied(PeriodicConv(3, kernel, stride), x)
    expected = convolved(np.asarray(x), np.asarray(params["kernel"]), stride, faces)
    np.testing.assert_allclose(y, expected + np.asarray(params["bias"]), atol=1e-4)


def test_a_transposed_convolution_scatters_as_in_pytorch():
    """Each input adds its kernel to the outputs 2 i - 1 + tap, modulo the box."""
    x = box(1, n=3)
    params, y = applied(PeriodicTranspose(2), x)
    kernel, expected = np.asarray(params["kernel"]), np.zeros((1, 6, 6, 6, 2))
    for place in itertools.product(range(3), repeat=3):
        for tap in itertools.product(range(4), repeat=3):
            out = tuple((2 * i - 1 + t) % 6 for i, t in zip(place, tap, strict=True))
            expected[(0, *out)] += np.asarray(x)[(0, *place)] @ kernel[tap]
    np.testing.assert_allclose(y, expected + np.asarray(params["bias"]), atol=1e-4)


def test_one_cell_sees_itself_on_all_sides():
    assert wrapped(box(2, n=1), 1).shape == (1, 3, 3, 3, 2)
    assert float(jnp.ptp(wrapped(box(2, n=1), 1), axis=(1, 2, 3)).max()) == 0


def test_faces_come_from_the_neighbours():
    x = box(3, n=8)
    mesh = jax.make_mesh((4,), ("model",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])

    def of_each(part):
        return wrapped(part, 1, "model")

    with jax.set_mesh(mesh):
        cut = jax.jit(
            jax.shard_map(of_each, in_specs=P(None, "model"), out_specs=P(None, "model"))
        )(x)
    whole = np.asarray(wrapped(x, 1))
    for device in range(4):
        part = np.asarray(cut)[:, 4 * device : 4 * device + 4]
        np.testing.assert_array_equal(part, whole[:, 2 * device : 2 * device + 4])
