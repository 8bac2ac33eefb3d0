"""The networks have the published sizes; PyTorch gives the same numbers for the same weights."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax.nn.convolution import max_pool
from hepjax.workloads.tagger.config import ModelConfig
from hepjax.workloads.tagger.model import network

PYTORCH = ModelConfig(head="global")
VGG = ModelConfig(network="vgg", dropout=0.2)


def shapes_of(cfg, side, channels):
    module = network(cfg, jnp.dtype("float32"))
    image = jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)
    return jax.eval_shape(lambda x: module.init(jax.random.key(0), x, False)["params"], image)


@pytest.mark.parametrize(
    ("cfg", "side", "channels", "expected"),
    [
        (ModelConfig(), 125, 8, 94_226),
        (ModelConfig(granularity=3), 375, 8, 144_402),
        (ModelConfig(), 125, 3, 90_306),
        (ModelConfig(), 125, 1, 88_738),
        (ModelConfig(granularity=3), 375, 3, 109_122),
        (PYTORCH, 125, 3, 86_241),
        (VGG, 32, 2, 574_081),
        (VGG, 32, 1, 573_937),
    ],
)
def test_published_number_of_parameters(cfg, side, channels, expected):
    leaves = jax.tree.leaves(shapes_of(cfg, side, channels))
    assert sum(leaf.size for leaf in leaves) == expected


@pytest.mark.parametrize(
    ("cfg", "sizes"),
    [(ModelConfig(), [63, 31, 16]), (PYTORCH, [61, 30, 15]),
     (ModelConfig(granularity=3), [63, 31, 16])],
)  # fmt: skip
def test_published_sizes_of_the_layers(cfg, sizes):
    side = 125 * cfg.granularity
    module = network(cfg, jnp.dtype("float32"))

    def layers(x):
        return module.init_with_output(
            jax.random.key(0), x, False, capture_intermediates=True, mutable=True
        )[1]["intermediates"]  # fmt: skip

    found = jax.eval_shape(layers, jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32))
    # Convolutions 0 and 1 are the first and that after the pooling; 7 has the stride of 2.
    assert [found[f"Conv_{k}"]["__call__"][0].shape[1] for k in (0, 1, 7)] == sizes


def test_pooling_is_that_of_the_library_with_its_gradient():
    x = jax.random.normal(jax.random.key(0), (2, 7, 6, 3))
    weight = jax.random.normal(jax.random.key(1), (2, 3, 3, 3))

    def library(x):
        return nn.max_pool(x, (2, 2), strides=(2, 2))

    np.testing.assert_array_equal(max_pool(x), library(x))
    a, b = (jax.grad(lambda x, f=f: (f(x) * weight).sum())(x) for f in (max_pool, library))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cfg", [ModelConfig(), PYTORCH, VGG], ids=["keras", "pytorch", "vgg"])
def test_bfloat16_keeps_parameters_and_outputs_in_float32(cfg):
    image = jax.random.normal(jax.random.key(1), (2, 32, 32, 2))
    module = network(cfg, jnp.dtype("bfloat16"))
    init = jax.jit(module.init_with_output, static_argnums=2)
    logits, variables = init(jax.random.key(0), image, False)
    assert {leaf.dtype for leaf in jax.tree.leaves((logits, variables))} == {jnp.dtype("float32")}
    exact = jax.jit(network(cfg, jnp.dtype("float32")).apply, static_argnums=2)
    reference = exact(variables, image, False)
    assert 0 < np.abs(logits - reference).max() < 0.05 * np.abs(reference).max()


@pytest.mark.parametrize("cfg", [ModelConfig(dropout=0.5), VGG], ids=["resnet15", "vgg"])
def test_dropout_acts_in_training_alone(cfg):
    image = jax.random.normal(jax.random.key(1), (2, 32, 32, 2))
    module = network(cfg, jnp.dtype("float32"))
    variables = jax.jit(module.init, static_argnums=2)(jax.random.key(0), image, False)

    @partial(jax.jit, static_argnums=1)
    def run(seed, train):
        return module.apply(variables, image, train, rngs={"dropout": jax.random.key(seed)})

    assert np.abs(run(0, True) - run(1, True)).max() > 0
    np.testing.assert_array_equal(run(0, False), run(1, False))


def test_pytorch_form_gives_the_numbers_of_pytorch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    image = jax.random.normal(jax.random.key(1), (2, 48, 40, 3))
    module = network(PYTORCH, jnp.dtype("float32"))
    params = jax.jit(module.init, static_argnums=2)(jax.random.key(0), image, False)["params"]
    params = jax.tree.map(lambda p: p + 0.01, params)  # biases too are not 0
    names = iter(range(16))

    def conv(x, stride, pad):
        weights = params[f"Conv_{next(names)}"]
        kernel = torch.tensor(np.array(weights["kernel"])).permute(3, 2, 0, 1)
        return functional.conv2d(x, kernel, torch.tensor(np.array(weights["bias"])), stride, pad)

    x = torch.tensor(np.array(image)).permute(0, 3, 1, 2)
    x = functional.max_pool2d(torch.relu(conv(x, 2, 1)), 2)
    for stride in (1, 1, 1, 2, 1, 1, 1):
        y = conv(torch.relu(conv(x, stride, 1)), 1, 1)
        x = torch.relu(y + (x if stride == 1 else conv(x, stride, 0)))
    dense = {k: torch.tensor(np.array(v)) for k, v in params["Dense_0"].items()}
    expected = x.amax((2, 3)) @ dense["kernel"] + dense["bias"]
    found = jax.jit(module.apply, static_argnums=2)({"params": params}, image, False)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert next(names, None) is None
