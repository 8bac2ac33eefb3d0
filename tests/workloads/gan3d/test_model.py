"""The networks have the published sizes and the semantics of Keras."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.gan3d import TINY, packaged
from helpers.models import initial

from hepjax.nn.convolution import Conv3D, Dropout
from hepjax.workloads.gan3d import objective
from hepjax.workloads.gan3d.config import ModelConfig
from hepjax.workloads.gan3d.layers import Layer
from hepjax.workloads.gan3d.model import Discriminator, Generator


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("name", "generator", "discriminator"),
    [
        ("published", (872_948, 872_808), (73_450, 73_402)),
        ("filters16", (1_042_528, None), (174_866, None)),
        ("angle", (1_365_047, None), (87_402, None)),
    ],
)
def test_published_number_of_parameters(name, generator, discriminator):
    cfg = packaged(name)
    state = jax.eval_shape(lambda: objective.init(cfg, jax.random.key(0)))
    for network, (total, trainable) in (
        (state.generator, generator), (state.discriminator, discriminator),
    ):  # fmt: skip
        assert count(network.params) + count(network.stats) == total
        assert trainable in (None, count(network.params))


@pytest.mark.parametrize(
    ("name", "shower", "features"),
    [("published", (25, 25, 25), 10_648), ("angle", (51, 51, 25), 19_152)],
)
def test_shapes_through_the_networks(name, shower, features):
    cfg = packaged(name)
    state = jax.eval_shape(lambda: objective.init(cfg, jax.random.key(0)))
    generator, discriminator = objective.networks(cfg)
    latent = jnp.zeros((2, cfg.model.latent))
    made = jax.eval_shape(
        lambda s: generator.apply(objective.frozen(cfg, s), latent, False), state.generator
    )
    assert made.shape == (2, *shower, 1)
    answers = jax.eval_shape(
        lambda s, x: discriminator.apply(objective.frozen(cfg, s), x, False),
        state.discriminator, made,
    )  # fmt: skip
    assert {name: a.shape for name, a in answers.items()} == dict.fromkeys(
        ("real", *cfg.model.heads), (2,)
    )
    assert state.discriminator.params["generation"]["kernel"].shape == (features, 1)


def test_a_closed_azimuth_has_no_seam():
    """A shower that is turned about the axis is judged alike, and so are its features."""
    layer = Layer(filters=2, kernel=(3, 3, 3), activation="leaky")
    model = ModelConfig(discriminator=(layer, layer), heads=("sum",))
    shower = jax.random.uniform(jax.random.key(1), (1, 8, 4, 5, 1))

    def features(closed):
        network = Discriminator(model, closed=closed)
        variables = jax.jit(partial(network.init, train=False))(jax.random.key(0), shower)
        apply = jax.jit(partial(
            network.apply, train=False, capture_intermediates=True, mutable=["intermediates"]
        ))  # fmt: skip
        return [
            apply(variables, x)[1]["intermediates"]["Conv3D_1"]["__call__"][0]
            for x in (shower, jnp.roll(shower, 3, axis=1))
        ]

    plain, turned = features(closed=True)
    np.testing.assert_allclose(jnp.roll(plain, 3, axis=1), turned, rtol=1e-4, atol=1e-5)
    plain, turned = features(closed=False)
    assert np.abs(jnp.roll(plain, 3, axis=1) - turned).max() > 0.01


def test_upsampling_along_an_azimuth_closes_too():
    layer = Layer(upsample=(2, 1, 1), filters=1, kernel=(3, 1, 1), padding=(1, 0, 0))
    model = ModelConfig(latent=4, generator=(Layer(dense=(4, 1, 1, 1)), layer))
    network = Generator(model, closed=True)
    variables = network.init(jax.random.key(0), jnp.zeros((1, 4)), False)
    params = jax.tree.map(jnp.ones_like, variables["params"])
    params["Dense_0"] = {"kernel": jnp.eye(4), "bias": jnp.zeros(4)}
    params["Conv3D_0"]["bias"] = jnp.zeros(1)
    made = network.apply({"params": params}, jnp.array([[1.0, 2.0, 3.0, 4.0]]), False)
    # 1 1 2 2 3 3 4 4 and on from the beginning, sums of three neighbours.
    np.testing.assert_allclose(made.ravel(), [6, 4, 5, 7, 8, 10, 11, 9])


def test_even_kernel_with_same_padding_pads_more_at_the_end():
    # Keras: a kernel of 2 over two cells with 'same' sees (0, 1) and then (1, nothing).
    conv = Conv3D(1, (1, 1, 2), ((0, 0), (0, 0), (0, 1)), use_bias=False)
    x = jnp.array([1.0, 10.0]).reshape(1, 1, 1, 2, 1)
    params = {"params": {"kernel": jnp.ones((1, 1, 2, 1, 1))}}
    np.testing.assert_array_equal(conv.apply(params, x).ravel(), [11.0, 10.0])


def test_upsampling_repeats_the_nearest_cell():
    conv = Conv3D(1, (1, 1, 1), ((0, 0),) * 3, scale=(1, 1, 3), use_bias=False)
    x = jnp.array([1.0, 2.0]).reshape(1, 1, 1, 2, 1)
    params = {"params": {"kernel": jnp.ones((1, 1, 1, 1, 1))}}
    np.testing.assert_array_equal(conv.apply(params, x).ravel(), [1, 1, 1, 2, 2, 2])


def test_batch_norm_and_leaky_relu_are_those_of_keras():
    model = Discriminator(TINY.model)
    shower = jax.random.uniform(jax.random.key(1), (4, 25, 25, 25, 1))
    variables = jax.jit(partial(model.init, train=False))(jax.random.key(0), shower)
    apply = jax.jit(partial(
        model.apply, train=True, mutable=["batch_stats", "intermediates"],
        capture_intermediates=True,
    ))  # fmt: skip
    _, state = apply(variables, shower, rngs={"dropout": jax.random.key(2)})
    out = state["intermediates"]
    before = np.asarray(out["Conv3D_1"]["__call__"][0], np.float64)
    active = np.where(before > 0, before, 0.3 * before)
    mean, variance = active.mean((0, 1, 2, 3)), active.var((0, 1, 2, 3))
    moved = state["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(moved["mean"], 0.01 * mean, rtol=1e-4)
    np.testing.assert_allclose(moved["var"], 0.99 + 0.01 * variance, rtol=1e-4)
    after = (active - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(out["BatchNorm_0"]["__call__"][0], after, rtol=2e-3, atol=2e-4)


def test_bfloat16_keeps_parameters_and_outputs_in_float32():
    model = Generator(TINY.model, jnp.bfloat16)
    latent = jax.random.normal(jax.random.key(1), (2, 4))
    begin = jax.jit(partial(model.init_with_output, train=False))
    shower, variables = begin(jax.random.key(0), latent)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert shower.dtype == jnp.float32
    reference = jax.jit(partial(Generator(TINY.model).apply, train=False))(variables, latent)
    scale = np.abs(reference).max()
    assert 0 < np.abs(shower - reference).max() < 0.05 * scale


def test_dropout_keeps_the_share_and_the_mean():
    x = jnp.ones((64, 5, 5, 5, 3))
    y = Dropout(0.2).apply({}, x, True, rngs={"dropout": jax.random.key(0)})
    kept = 205 / 256
    spread = np.sqrt(kept * (1 - kept) / y.size)
    assert float((y > 0).mean()) == pytest.approx(kept, abs=4 * spread)
    np.testing.assert_allclose(np.unique(y), [0, 256 / 205], rtol=1e-6)
    assert np.ptp(np.asarray((y > 0).mean((1, 2, 3, 4)))) > 0  # events differ
    np.testing.assert_array_equal(Dropout(0.2).apply({}, x, False), x)


def test_cells_grow_with_the_energy_to_the_power():
    """The same noise at twice the energy, seen by a generator that cannot see the energy itself."""
    cfg = packaged("any", "data.calorimeter=atlas-photons", "data.energy_range=[1,10]")
    variables = objective.frozen(cfg, initial(objective, cfg).generator)
    kernel = variables["params"]["Dense_0"]["kernel"].at[0].set(0.0)
    variables["params"] = variables["params"] | {
        "Dense_0": variables["params"]["Dense_0"] | {"kernel": kernel}
    }
    noise = jnp.tile(jax.random.normal(jax.random.key(1), (1, objective.noise_size(cfg))), (2, 1))
    inputs = objective.with_noise(cfg, {"energy": jnp.array([0.05, 0.1])}, noise)
    np.testing.assert_allclose(inputs[:, 0], [0.5, 1.0], rtol=1e-6)  # of 10 GeV
    once, twice = jax.jit(partial(objective.generate, cfg))(variables, inputs)
    assert once.max() > 0
    np.testing.assert_allclose(twice, once * 2**0.85, rtol=1e-5)
