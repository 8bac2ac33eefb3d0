"""The update of the taggers: input, loss, schedule, augmentation, and every layout of devices."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.tagger import CHANNELS, FINE, GRID, TINY, prepared, raw_batch, toy_images

from hepjax import InputError
from hepjax.engine import optimizers
from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.engine.mesh import make_mesh, over_data, replicated, state_shardings
from hepjax.engine.settings import find_config, read_settings
from hepjax.engine.workload import Clock
from hepjax.workloads.table import configure
from hepjax.workloads.tagger import objective
from hepjax.workloads.tagger.config import (
    DataConfig,
    ModelConfig,
    TaggerConfig,
    published_optimizer,
)
from hepjax.workloads.tagger.workload import WORKLOAD


def at(epoch):
    """The time of an update."""
    return Clock(jnp.float32(epoch), jnp.int32(0))


@pytest.fixture(scope="module")
def state():
    return jax.jit(partial(objective.init, TINY))(jax.random.key(0))


def batch_of(cfg=TINY, n=8, seed=0):
    return prepared(raw_batch(n, seed), cfg)


def step_on(cfg, state, raw):
    def step(state, raw):
        return objective.train_step(cfg, state, prepared(raw, cfg), jax.random.key(3), at(0))

    mesh = make_mesh(cfg.mesh, 8)
    shardings = state_shardings(cfg.mesh, mesh, state)
    with jax.set_mesh(mesh):
        compiled = jax.jit(
            step, in_shardings=(shardings, over_data(mesh)),
            out_shardings=(shardings, replicated(mesh)),
        )  # fmt: skip
        raw = jax.device_put(raw, over_data(mesh))
        return jax.device_get(compiled(jax.device_put(state, shardings), raw))


@pytest.mark.parametrize("grid", [FINE, GRID], ids=["pixels", "towers"])
def test_the_network_sees_the_image_however_it_is_stored(grid):
    batch = prepared(raw_batch(4, grid=grid), grid=grid)
    np.testing.assert_array_equal(batch["image"], toy_images(4)[0])


def test_pixels_are_suppressed_scaled_raised_and_clipped():
    cfg = DataConfig(
        channels=("pT", "d0"), suppress=(("d0", 0.5),), scale=(("pT", 4.0),), power=0.5, clip=3.0
    )
    image = jnp.array([[0.25, -0.4], [1.0, -4.0], [100.0, 0.6]]).reshape(3, 1, 1, 2)
    found = objective.normalise(cfg, image).reshape(3, 2)
    # Suppression is by absolute value: a negative d0 survives.
    np.testing.assert_allclose(found, [[1.0, 0.0], [2.0, -2.0], [3.0, 0.6**0.5]], rtol=1e-6)


def test_loss_of_two_sigmoids_is_that_of_keras():
    logits, label = jnp.array([[1.0, -2.0], [0.5, 3.0]]), jnp.array([0, 1])
    p = jax.nn.sigmoid(logits)
    expected = -(jnp.log(p[0, 0]) + jnp.log(1 - p[0, 1])) / 2
    assert float(objective.losses(logits, label)[0]) == pytest.approx(float(expected), rel=1e-5)
    single = objective.losses(logits[:, 1:], label)
    np.testing.assert_allclose(single, -jnp.log(jnp.array([1 - p[0, 1], p[1, 1]])), rtol=1e-5)


def rates(epochs, batch_size=32, **optimizer):
    cfg = TaggerConfig(
        optimizer=replace(published_optimizer(), **optimizer),
        train=TrainConfig(batch_size=batch_size),
    )
    rate = partial(optimizers.learning_rate, cfg.optimizer, cfg.train)
    return [round(float(rate(*at(e))) / 5e-4, 5) for e in epochs]


def test_published_schedules():
    # Keras: 0.5 ** ((epoch + 1) // 10) of the epoch counted from 0.
    assert rates([0, 8.99, 9, 18.99, 19, 29.5]) == [1, 1, 0.5, 0.5, 0.25, 0.125]
    assert rates([9.99, 10, 19.99, 20, 29], decay_first=10.0) == [1, 0.5, 0.5, 0.25, 0.25]
    horovod = {"reference_batch": 64, "warmup_epochs": 5}
    assert rates([0, 2.5, 5, 8.9, 9], batch_size=512, **horovod) == [1, 4.5, 8, 8, 4]
    assert rates([100], decay_every=0.0) == [1]


@pytest.mark.parametrize("name", ["adam", "novograd"])
def test_the_rate_of_the_epoch_acts(state, name):
    cfg = replace(TINY, optimizer=replace(published_optimizer(), name=name))
    begin = objective.State(state.params, optimizers.init(cfg.optimizer, state.params))
    batch = batch_of()
    moved = []
    step = jax.jit(partial(objective.train_step, cfg))
    for epoch in (0.0, 9.0):
        after, metrics = step(begin, batch, jax.random.key(0), at(epoch))
        moved.append(jax.tree.map(jnp.subtract, after.params, begin.params))
        assert float(metrics["learning_rate"]) == pytest.approx(5e-4 * (0.5 if epoch else 1))
    ratio = optax.tree.norm(moved[1]) / optax.tree.norm(moved[0])
    assert float(ratio) == pytest.approx(0.5, rel=2e-3)


def test_the_gradient_is_the_numerical_one(state):
    batch = batch_of()

    def loss(params):
        outputs = objective.module(TINY).apply({"params": params}, batch["image"], train=False)
        return objective.losses(outputs, batch["label"]).mean()

    gradient = jax.jit(jax.grad(loss))(state.params)
    norm = optax.tree.norm(gradient)

    @jax.jit
    def f(t):
        return loss(jax.tree.map(lambda p, g: p + t * g / norm, state.params, gradient))

    h = 3e-3
    assert float((f(h) - f(-h)) / (2 * h)) == pytest.approx(float(norm), rel=0.02)


def test_an_event_of_weight_zero_does_not_count(state):
    step = jax.jit(partial(objective.train_step, TINY))
    batch = batch_of()
    weight = jnp.ones(8).at[0].set(0.0)
    changed = batch["image"].at[0].add(1.0)
    results = [
        step(state, batch | {"image": image, "weight": w}, jax.random.key(0), at(0))[0]
        for image, w in ((batch["image"], weight), (changed, weight), (changed, jnp.ones(8)))
    ]
    a, b, c = (jax.tree.leaves(result.params) for result in results)
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not all(np.array_equal(x, y) for x, y in zip(a, c, strict=True))


def test_mirrored_images_keep_the_sense_of_impact_parameters():
    image = jnp.asarray(toy_images(64)[0])
    mirrored = np.asarray(objective.mirror(CHANNELS, image, jax.random.key(0)))
    sign_of = {"eta": [1, 1, -1, 1], "phi": [1, -1, 1, 1]}  # of pT, d0, dz, HCAL
    kinds = set()
    for before, after in zip(np.asarray(image), mirrored, strict=True):
        for eta in (False, True):
            for phi in (False, True):
                expected = before[::-1] * sign_of["eta"] if eta else before
                expected = expected[:, ::-1] * sign_of["phi"] if phi else expected
                if np.array_equal(after, expected):
                    kinds.add((eta, phi))
                    break
    assert len(kinds) == 4
    # Energy and its distance from the centre stay.
    np.testing.assert_allclose(mirrored[..., 0].sum((1, 2)), image[..., 0].sum((1, 2)), rtol=1e-6)


def test_flips_act_in_training_alone(state):
    cfg = replace(TINY, data=replace(TINY.data, flip=True))
    batch = batch_of()
    step = jax.jit(objective.train_step, static_argnums=0)
    losses = [
        float(step(c, state, batch, jax.random.key(k), at(0))[1]["loss"])
        for c, k in ((cfg, 0), (cfg, 1), (TINY, 0), (TINY, 1))
    ]
    assert losses[0] != losses[1]
    assert losses[2] == losses[3]
    np.testing.assert_array_equal(batch_of(cfg)["image"], batch["image"])


LAYOUTS = [
    MeshConfig("spatial", devices=8, model_devices=2),
    pytest.param(MeshConfig("replicated", devices=8), marks=pytest.mark.slow),
    pytest.param(MeshConfig("fsdp", devices=8), marks=pytest.mark.slow),
    pytest.param(MeshConfig("hybrid", devices=8, model_devices=2), marks=pytest.mark.slow),
    pytest.param(MeshConfig("channel", devices=8, model_devices=2), marks=pytest.mark.slow),
]


@pytest.mark.parametrize(
    "model", [ModelConfig(), ModelConfig(head="global"), ModelConfig("vgg")],
    ids=["keras", "pytorch", "vgg"],
)  # fmt: skip
def test_learns_32_jets_by_heart(model):
    optimizer = replace(published_optimizer(), learning_rate=1e-3, decay_every=0.0)
    cfg = replace(TINY, model=model, optimizer=optimizer)
    state = jax.jit(partial(objective.init, cfg))(jax.random.key(0))
    step = jax.jit(partial(objective.train_step, cfg))
    batch = batch_of(cfg, 32)
    for k in range(150):
        state, metrics = step(state, batch, jax.random.key(k), at(0))
        if metrics["loss"] < 0.05:
            break
    assert float(metrics["accuracy"]) == 1.0


def test_a_dead_network_is_seen():
    assert "same for all" in WORKLOAD.failure(TINY, 3, {"spread": 0.0})
    assert WORKLOAD.failure(TINY, 3, {"spread": 1e-9}) is None


FINER = TaggerConfig(model=ModelConfig(granularity=3))


def data(**settings):
    """What makes a configuration with these settings of the data."""
    return lambda: TaggerConfig(data=DataConfig(**settings))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (data(channels=("pT", "tracks")), "data.channels: expected each channel once"),
        (data(scale=(("foo", 1.0),)), "data.scale: expected channels out of"),
        (data(fractions=(0.5, 0.1, 0.1)), "data.fractions: .*sum to 1"),
        (data(labels=("top", "top")), "data.labels: expected two names"),
        (data(shape=(12, 12)), "data.shape: expected 16 or more"),
        (
            lambda: replace(FINER, data=DataConfig(shape=(32, 32))),
            "data.shape: .*48",
        ),
        (lambda: TaggerConfig(model=ModelConfig("vgg", head="global")), "model.head: .*flatten"),
        (data(scale=(("pT", 0.0),)), "data.scale: expected numbers above 0"),
        (data(fractions=(1.2, -0.1, -0.1)), "data.fractions: expected 0 or more"),
        (data(power=1.5), "data.power: expected above 0, at most 1"),
        (data(rotate=1.0), "data.rotate: expected 0 up to 1"),
    ],
)
def test_bad_settings_are_one_line(make, expected):
    with pytest.raises(InputError, match=f"^{expected}") as error:
        make()
    assert "\n" not in str(error.value)


def test_groups_of_channels_are_spelt_out():
    assert DataConfig(channels=("tracks", "calo")).names == ("pT", "d0", "dz", "ECAL", "HCAL")
    assert len(DataConfig().names) == 8


def test_packaged_configurations_can_be_used():
    paths = sorted(find_config("tagger/top").parent.glob("*.yaml"))
    assert len(paths) >= 7
    for path in paths:
        workload, cfg = configure(read_settings(path, []))
        assert workload is WORKLOAD
        jax.eval_shape(lambda cfg=cfg: objective.init(cfg, jax.random.key(0)))


@pytest.mark.parametrize(
    ("name", "batch_size", "epochs"),
    [("top", 32, 20), ("top_x3", 32, 20), ("quark_gluon", 32, 30), ("egamma_vgg", 64, 25)],
)
def test_published_configurations_have_the_published_batch(name, batch_size, epochs):
    _, cfg = configure(read_settings(find_config(f"tagger/{name}"), []))
    assert (cfg.train.batch_size, cfg.train.epochs) == (batch_size, epochs)
