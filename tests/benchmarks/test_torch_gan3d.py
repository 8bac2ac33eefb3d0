"""The networks and updates in Flax and in PyTorch give the same numbers, layer for layer.

That makes the benchmarks fair, and checks ours against code that shares nothing with Flax: even
kernels, batch statistics, LeakyReLU, pooling, flattening order, RMSprop.
"""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers.gan3d import TINY, TINY_ANGLE, narrow, raw_showers  # noqa: E402

from benchmarks.speed import torch_gan3d as twin  # noqa: E402
from hepjax.engine.workload import Spec  # noqa: E402
from hepjax.workloads.gan3d import objective  # noqa: E402
from hepjax.workloads.gan3d.layers import Layer  # noqa: E402

# Without randomness inside the updates the two must agree to rounding.
CFG = replace(
    TINY,
    model=replace(TINY.model, dropout=0.0),
    objective=replace(TINY.objective, label_flip=0.0, conditions="batch"),
)


def state_of(cfg):
    """Biases, scales and batch statistics that all matter; optimizer at its start."""
    state = jax.jit(partial(objective.init, cfg))(jax.random.key(1))
    leaves, tree = jax.tree.flatten(state)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    leaves = [
        x + 0.1 * jax.random.uniform(k, x.shape, minval=-1)
        for x, k in zip(leaves, keys, strict=True)
    ]
    moved = jax.tree.unflatten(tree, leaves)
    return objective.State(
        replace(moved.generator, optimizer=state.generator.optimizer),
        replace(moved.discriminator, optimizer=state.discriminator.optimizer),
    )


def double_gan(cfg, state):
    """PyTorch in float64: its float32 batch statistics are only good to a few 1e-3 in gradients."""
    gan = twin.make_gan(cfg, state)
    gan.generator.double(), gan.discriminator.double()
    return gan


def double(array):
    return torch.tensor(np.array(array), dtype=torch.float64)


def batches():
    """The same four events for both."""
    batch = objective.prepare(CFG, Spec(), {k: jnp.asarray(v) for k, v in raw_showers(4).items()})
    return batch, as_torch(batch)


def as_torch(batch):
    channels_first = batch | {"shower": batch["shower"].transpose(0, 4, 1, 2, 3)}
    return {k: double(v) for k, v in channels_first.items()}


def assert_same_update(network, module, optimizer):
    """Gradients (through their squared averages), new parameters and batch statistics agree."""
    for layer, leaves in network.params.items():
        submodule = module.get_submodule(layer.lower())
        for name, leaf in leaves.items():
            parameter = submodule.bias if name == "bias" else submodule.weight
            new, square = parameter.detach().numpy(), optimizer.state[parameter]["square_avg"]
            found = np.sqrt(square.numpy())
            if name == "kernel":
                new, found = (np.moveaxis(a, (0, 1), (-1, -2)) for a in (new, found))
            truth = np.sqrt(network.optimizer.nu[layer][name])
            np.testing.assert_allclose(found, truth, rtol=1e-4, atol=1e-4 * truth.max())
            # A first RMSprop step is the sign of the gradient, so not where that is rounding.
            sure = truth > 1e-2 * truth.max()
            np.testing.assert_allclose(new[sure], np.array(leaf)[sure], atol=1e-6)
    assert_same_statistics(network, module)


def assert_same_statistics(network, module):
    for layer, leaves in network.stats.items():
        norm = module.get_submodule(layer.lower())
        np.testing.assert_allclose(norm.running_mean, leaves["mean"], rtol=1e-5, atol=1e-6)
        # PyTorch's n / (n - 1), for 4 x 7 x 7 x 8 cells or more, on a hundredth of the variance.
        np.testing.assert_allclose(norm.running_var, leaves["var"], rtol=1e-4)


def assert_same_metrics(ours, theirs):
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("kernel", "pool"), [(3, 1), (5, 1), (3, 2)])
def test_networks_give_the_same_outputs(kernel, pool):
    cfg = replace(CFG, model=replace(narrow(2, kernel, pool), dropout=0.0))
    compare(cfg, *batches())


def test_networks_with_an_angle_give_the_same_outputs():
    heads = ("energy", "angle", "sum")
    cfg = replace(TINY_ANGLE, model=replace(TINY_ANGLE.model, dropout=0.0, heads=heads))
    raw = {k: jnp.asarray(v) for k, v in raw_showers(4, shape=(11, 11, 6)).items()}
    batch = objective.prepare(cfg, Spec(), raw)
    compare(cfg, batch, as_torch(batch))


def compare(cfg, batch, torch_batch):
    state = state_of(cfg)
    inputs = objective.latent(cfg, objective.truth_of(batch), jax.random.key(3))
    gan = double_gan(cfg, state)
    gan.generator.eval(), gan.discriminator.eval()

    expected = jax.jit(partial(objective.generate, cfg))(
        objective.frozen(cfg, state.generator), inputs
    )[..., 0]
    found = gan.generator(double(inputs)).detach().numpy()[:, 0]
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())

    network = state.discriminator
    variables = {"params": network.params, "batch_stats": network.stats}
    apply = jax.jit(partial(objective.networks(cfg)[1].apply, train=False))
    expected = apply(variables, batch["shower"])
    found = gan.discriminator(torch_batch["shower"])
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name].detach(), value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("label", [objective.REAL, objective.FAKE])
def test_discriminator_update_is_the_same(label):
    state, (batch, torch_batch) = state_of(CFG), batches()
    rate = jnp.float32(CFG.optimizer.learning_rate)
    update = jax.jit(partial(objective.train_discriminator, CFG, label=label))
    network, ours = update(
        state.discriminator, batch["shower"], truth=objective.truth_of(batch),
        rate=rate, key=jax.random.key(4),
    )  # fmt: skip
    gan = double_gan(CFG, state)
    labels = twin.flip_labels(CFG, label, 4).double()
    theirs = twin.train_discriminator(
        gan, torch_batch["shower"], labels, twin.truth_of(torch_batch)
    )
    assert_same_metrics(ours, theirs)
    assert_same_update(network, gan.discriminator, gan.discriminator_optimizer)


def test_generator_update_is_the_same_and_leaves_the_discriminator():
    state, (batch, torch_batch) = state_of(CFG), batches()
    rate, key = jnp.float32(CFG.optimizer.learning_rate), jax.random.key(5)
    update = jax.jit(partial(objective.train_generator, CFG))
    truth = objective.truth_of(batch)
    after, ours = update(state, truth, rate, key)
    gan = double_gan(CFG, state)
    before = [p.detach().clone() for p in gan.discriminator.parameters()]
    inputs = objective.latent(CFG, truth, jax.random.split(key)[0])
    theirs = twin.train_generator(gan, double(inputs), twin.truth_of(torch_batch))
    assert_same_metrics(ours, theirs)
    assert_same_update(after.generator, gan.generator, gan.generator_optimizer)
    assert_same_statistics(after.discriminator, gan.discriminator)
    assert all(map(torch.equal, before, gan.discriminator.parameters()))
    assert all(p.grad is None for p in gan.discriminator.parameters())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_whole_update_moves_both_networks(precision):
    cfg = replace(TINY, train=replace(TINY.train, precision=precision))
    gan = twin.make_gan(cfg, state_of(cfg))
    before = [p.detach().clone() for p in gan.generator.parameters()]
    metrics = twin.train_step(gan, {k: v.float() for k, v in batches()[1].items()})
    assert len(metrics) == 4
    assert all(torch.isfinite(value) for terms in metrics for value in terms.values())
    assert not any(map(torch.equal, before, gan.generator.parameters()))


def test_exported_generator_gives_the_same_showers(tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    state = state_of(CFG)
    twin.export_onnx(CFG, state.generator, tmp_path / "generator.onnx")
    session = runtime.InferenceSession(tmp_path / "generator.onnx")
    inputs = np.array(objective.latent(CFG, {"energy": jnp.ones(3)}, jax.random.key(6)))
    expected = jax.jit(partial(objective.generate, CFG))(
        objective.frozen(CFG, state.generator), inputs
    )[..., 0]
    found = session.run(None, {"latent": inputs})[0][:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())


DEEP = replace(TINY_ANGLE.model, generator=(Layer(dense=(6,)), *TINY_ANGLE.model.generator))


@pytest.mark.parametrize(
    "cfg", [TINY, replace(TINY_ANGLE, model=DEEP)], ids=["energy", "angle, two dense layers"]
)
def test_generated_cells_are_the_same(cfg, monkeypatch):
    state = state_of(cfg)
    noise = np.random.default_rng(7).standard_normal((3, objective.noise_size(cfg)), np.float32)
    monkeypatch.setattr(torch, "randn", lambda *shape: torch.tensor(noise))
    truth = {"energy": np.array([0.4, 1.0, 3.0], np.float32)}
    if cfg.with_angle:
        truth["theta"] = np.array([1.1, 1.5, 2.0], np.float32)
    latent = objective.with_noise(cfg, truth, jnp.array(noise))
    images = jax.jit(partial(objective.generate, cfg))(
        objective.frozen(cfg, state.generator), latent
    )
    expected = objective.cells_in_gev(cfg, images)
    asked = {k: torch.tensor(v * (100 if k == "energy" else 1)) for k, v in truth.items()}
    found = twin.make_generate(cfg, state.generator)(**asked)[:, 0].numpy()
    expected = np.where(expected < cfg.threshold, 0.0, expected)
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())
