"""Layers on blocks of cells give what they give on cells."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.gan3d import narrow
from hypothesis import given, settings
from hypothesis import strategies as st

from hepjax.nn.blocks import BatchNorm, elementwise, to_blocks, to_cells
from hepjax.nn.convolution import Conv3D, Dropout, average_pool
from hepjax.nn.keras import leaky
from hepjax.workloads.gan3d.model import Discriminator


def uniform(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


@settings(max_examples=6, derandomize=True)
@given(
    size=st.tuples(*(st.integers(1, 6),) * 3),
    block=st.tuples(*(st.integers(1, 3),) * 3),
    pads=st.lists(st.tuples(*(st.integers(0, 3),) * 3), min_size=1, max_size=3),
)
def test_cells_come_back_from_their_blocks(size, block, pads):
    x = uniform(0, 2, *size, 3)
    blocks = to_blocks(x, block, pads)
    np.testing.assert_array_equal(to_cells(blocks), x)
    np.testing.assert_array_equal(blocks.inside.sum(), np.prod(size))
    # What is not inside is zero at first, so the sum over blocks is that over cells.
    np.testing.assert_allclose(blocks.array.sum(), x.sum(), rtol=1e-5, atol=1e-5)
    assert (blocks.size, blocks.channels) == (size, 3)


@pytest.mark.parametrize("block", [(2, 2, 2), (1, 2, 3)])
def test_layers_on_blocks_are_those_on_cells(block):
    """Each layer with its padding, odd sizes, asymmetric padding, and blocks filled with noise."""
    pads = (((1, 2), (0, 2), (2, 1)), ((2, 0), (1, 1), (0, 1)))

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            for pad in pads:
                x = Conv3D(4, (3, 2, 4), pad)(x)
                x = BatchNorm(use_running_average=not train)(x)
                x = Dropout(0.3)(x, train)
            return average_pool(x, (2, 2, 2))

    x, net = uniform(1, 3, 7, 6, 5, 2), Net()
    low = [[p[0] for p in pad] for pad in pads]
    variables = jax.jit(partial(net.init, train=False))({"params": jax.random.key(0)}, x)

    def run(x, params):
        y, moved = net.apply(
            {**variables, "params": params}, x, True, mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(5)},
        )  # fmt: skip
        return jnp.sin(to_cells(y)).sum(), (y, moved)

    def both(into):
        step = jax.value_and_grad(lambda x, p: run(into(x), p), (0, 1), has_aux=True)
        return jax.jit(step)(x, variables["params"])

    on_cells, on_blocks = both(lambda x: x), both(lambda x: to_blocks(x, block, low))
    assert jax.tree.structure(on_cells) == jax.tree.structure(on_blocks)
    for a, b in zip(jax.tree.leaves(on_cells), jax.tree.leaves(on_blocks), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-4)


def test_dropout_of_a_cell_is_the_same_in_its_block():
    x = jnp.ones((2, 5, 4, 3, 6))
    drop, key = Dropout(0.4), {"dropout": jax.random.key(7)}
    blocks = drop.apply({}, to_blocks(x, (2, 2, 2), [(1, 1, 1)]), True, rngs=key)
    np.testing.assert_array_equal(to_cells(blocks), drop.apply({}, x, True, rngs=key))


@pytest.mark.parametrize(("kernel", "pool"), [(5, 1), (3, 1), (5, 2)])
def test_the_discriminator_in_blocks_is_the_discriminator(kernel, pool, monkeypatch):
    """Outputs, batch statistics and both gradients, in training."""
    cfg = narrow(3, kernel, pool)
    model, showers = Discriminator(cfg), uniform(2, 2, 25, 25, 25, 1) ** 2
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), showers, False))
    draw = np.random.default_rng(3)
    variables = jax.tree.map(
        lambda a: jnp.asarray(draw.uniform(0.1, 0.3, a.shape), a.dtype), variables
    )

    def loss(params, showers):
        outputs, moved = model.apply(
            {**variables, "params": params}, showers, True, mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(4)},
        )  # fmt: skip
        return jnp.tanh(outputs["real"] + outputs["energy"]).sum(), (outputs, moved)

    def found(form):
        monkeypatch.setenv("HEPJAX_CONV3D", form)
        step = jax.jit(lambda *a: jax.value_and_grad(loss, (0, 1), has_aux=True)(*a))
        return step(variables["params"], showers)

    for a, b in zip(*map(jax.tree.leaves, (found("auto"), found("blocked"))), strict=True):
        scale = max(1e-6, float(jnp.abs(a).max()))
        np.testing.assert_allclose(a / scale, b / scale, rtol=0, atol=1e-4)


def test_batch_norm_of_blocks_over_devices_is_that_of_cells():
    """Statistics averaged over a mesh axis: outputs, statistics, and gradients on each device."""
    norm = BatchNorm(use_running_average=False, axis_name="d")
    x = uniform(5, 2, 3, 5, 4, 3, 2) * jnp.array([1.0, 3.0]).reshape(2, 1, 1, 1, 1, 1)
    params = {"scale": uniform(6, 2), "bias": uniform(7, 2)}
    variables = {"params": params, "batch_stats": {"mean": jnp.zeros(2), "var": jnp.ones(2)}}

    def loss(params, x, into):
        y, moved = norm.apply(variables | {"params": params}, into(x), mutable=["batch_stats"])
        return jnp.sin(to_cells(y)).sum(), (to_cells(y), moved)

    def found(into):
        step = jax.value_and_grad(lambda p, x: loss(p, x, into), (0, 1), has_aux=True)
        return jax.jit(jax.vmap(step, (None, 0), axis_name="d"))(params, x)

    on_cells, on_blocks = found(lambda x: x), found(lambda x: to_blocks(x, (2, 2, 2), [(1, 0, 1)]))
    for a, b in zip(jax.tree.leaves(on_cells), jax.tree.leaves(on_blocks), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)


def test_bias_and_activation_of_blocks_have_their_gradients():
    x, bias = to_blocks(uniform(8, 2, 3, 3, 3, 2), (2, 2, 2), [(1, 1, 1)]), uniform(9, 2)

    def both(x, bias):
        plain = leaky(x.by_cell + bias).reshape(x.array.shape)
        return elementwise(leaky, x.with_bias(bias)).array, plain

    (ours, plain), pull = jax.vjp(both, x, bias)
    np.testing.assert_allclose(ours, plain, rtol=1e-6)
    dy = uniform(10, *ours.shape)
    for a, b in zip(jax.tree.leaves(pull((dy, 0 * dy))), jax.tree.leaves(pull((0 * dy, dy))),
                    strict=True):  # fmt: skip
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
