"""The published update: losses, labels, schedule, what moves and what stays."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.gan3d import TINY, raw_showers

from hepjax.engine import optimizers
from hepjax.engine.config import MeshConfig
from hepjax.engine.mesh import make_mesh, over_data, replicated, state_shardings
from hepjax.engine.step import TrainState, compiled_step
from hepjax.engine.workload import Clock, Spec
from hepjax.formats.sparse import padded, padded_width
from hepjax.physics.calorimeter.observables import published_sampling_fraction
from hepjax.workloads.gan3d import objective
from hepjax.workloads.gan3d.config import published_optimizer
from hepjax.workloads.gan3d.workload import WORKLOAD

BEGIN = Clock(jnp.float32(0), jnp.int32(0))


@pytest.fixture(scope="module")
def state():
    return jax.jit(partial(objective.init, TINY))(jax.random.key(0))


@pytest.fixture(scope="module")
def batch():
    return objective.prepare(TINY, Spec(), {k: jnp.asarray(v) for k, v in raw_showers(8).items()})


def step_on(cfg, state, raw):
    def step(state, raw):
        prepared = objective.prepare(cfg, Spec(), raw)
        return objective.train_step(cfg, state, prepared, jax.random.key(3), BEGIN)

    mesh = make_mesh(cfg.mesh, 8)
    shardings = state_shardings(cfg.mesh, mesh, state)
    with jax.set_mesh(mesh):
        compiled = jax.jit(
            step, in_shardings=(shardings, over_data(mesh)),
            out_shardings=(shardings, replicated(mesh)),
        )  # fmt: skip
        raw = jax.device_put(raw, over_data(mesh))
        return jax.device_get(compiled(jax.device_put(state, shardings), raw))


@pytest.fixture(scope="module")
def stepped(state):
    return step_on(TINY, state, raw_showers(8))


def test_prepare_cuts_and_scales():
    ecal = np.zeros((1, 25, 25, 25), np.float32)
    ecal[0, 1, 2, 3], ecal[0, 4, 5, 6] = 0.5, 0.9e-6
    out = objective.prepare(TINY, Spec(), {"ecal": jnp.asarray(ecal), "energy": jnp.array([50.0])})
    assert out["shower"].shape == (1, 25, 25, 25, 1)
    assert np.count_nonzero(out["shower"]) == 1
    assert float(out["sum"][0]) == pytest.approx(50.0)
    assert float(out["energy"][0]) == pytest.approx(0.5)


def test_sparse_showers_train_to_the_bits_of_dense_ones(state, stepped):
    raw = raw_showers(8)
    cells = raw["ecal"].reshape(8, -1)
    hit = [np.flatnonzero(row) for row in cells]
    views = [(at, row[at]) for at, row in zip(hit, cells, strict=True)]
    sparse = padded(views, padded_width(max(map(len, hit))), cells.shape[1])
    found = step_on(TINY, state, sparse | {"energy": raw["energy"]})
    jax.tree.map(np.testing.assert_array_equal, found, stepped)


def test_mape_is_that_of_keras():
    np.testing.assert_allclose(
        objective.mape(jnp.array([2.0, 0.0]), jnp.array([1.0, 1e-7])), [50.0, 100.0], rtol=1e-6
    )


def test_published_weights_make_the_loss():
    answers = {
        "real": jnp.array([0.0]), "energy": jnp.array([1.1]), "sum": jnp.array([30.0])
    }  # fmt: skip
    truth = {"energy": jnp.array([1.0]), "sum": jnp.array([20.0])}
    terms = objective.losses(answers, 1.0, truth)
    expected = 2 * np.log(2) + 0.1 * 10 + 0.1 * 50
    assert float(objective.total_loss(TINY, terms)[0]) == pytest.approx(expected, rel=1e-5)


def test_rmsprop_is_that_of_keras():
    params, gradient = {"w": jnp.array([1.0])}, {"w": jnp.array([0.5])}
    cfg = published_optimizer()
    network = objective.Network(params, {}, optimizers.init(cfg, params))
    average, w = 0.0, 1.0
    for _ in range(3):
        network = objective.update(cfg, network, gradient, {}, jnp.float32(1e-3))
        average = 0.9 * average + 0.1 * 0.25
        w -= 1e-3 * 0.5 / (np.sqrt(average) + 1e-7)
    assert float(network.params["w"][0]) == pytest.approx(w, rel=1e-6)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 1e-3), (2.5, 4.5e-3), (5, 8e-3), (20, 8e-3)])
def test_learning_rate_climbs_to_the_scaled_value(epoch, rate):
    cfg = replace(
        TINY, optimizer=published_optimizer(), train=replace(TINY.train, batch_size=1024)
    )  # fmt: skip
    found = optimizers.learning_rate(cfg.optimizer, cfg.train, jnp.float32(epoch))
    assert float(found) == pytest.approx(rate)


@pytest.mark.parametrize(("epoch", "rate"), [(2, 1e-3), (3, 1e-4), (7, 1e-5)])
def test_learning_rate_drops(epoch, rate):
    cfg = replace(TINY, optimizer=replace(TINY.optimizer, drops=((6.0, 0.01), (3.0, 0.1))))
    found = optimizers.learning_rate(cfg.optimizer, cfg.train, jnp.float32(epoch))
    assert float(found) == pytest.approx(rate)


def test_uniform_conditions_follow_the_published_fit(batch):
    many = {"energy": jnp.zeros(2000), "sum": jnp.zeros(2000)}
    energy, total = objective.conditions(TINY, many, jax.random.key(0)).values()
    assert 0.1 <= float(energy.min()) < 0.2 < 4.9 < float(energy.max()) <= 5.0
    np.testing.assert_allclose(
        total, published_sampling_fraction(energy * 100) * energy * 1e4, rtol=1e-5
    )
    again = replace(TINY, objective=replace(TINY.objective, conditions="batch"))
    asked = objective.conditions(again, batch, jax.random.key(0))
    np.testing.assert_array_equal(asked["sum"], batch["sum"])


def test_labels_are_flipped_as_often_as_asked():
    keys = jax.random.split(jax.random.key(0), 500)
    labels = jax.vmap(lambda key: objective.flip_labels(TINY, 1.0, 8, key))(keys)
    assert set(np.unique(labels)) == {0.0, 1.0}
    assert float(1 - labels.mean()) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 4000))


def test_one_update_moves_both_networks(state, stepped):
    after, metrics = stepped
    for name in ("generator", "discriminator"):
        before, moved = getattr(state, name), getattr(after, name)
        for old, new in zip(
            jax.tree.leaves((before.params, before.stats)),
            jax.tree.leaves((moved.params, moved.stats)), strict=True,
        ):  # fmt: skip
            assert not np.array_equal(old, new)
    assert all(np.isfinite(v) for v in metrics.values())
    assert metrics["learning_rate"] == pytest.approx(1e-3)


def test_the_generator_update_leaves_the_discriminators_parameters(state, batch):
    after, _ = jax.jit(partial(objective.train_generator, TINY))(
        state, objective.truth_of(batch), jnp.float32(1e-3), jax.random.key(0)
    )
    same = jax.tree.map(np.array_equal, after.discriminator.params, state.discriminator.params)
    assert all(jax.tree.leaves(same))
    # ... but its batch statistics move with the fakes, as published.
    same = jax.tree.map(np.array_equal, after.discriminator.stats, state.discriminator.stats)
    assert not any(jax.tree.leaves(same))


def test_generator_gradient_is_the_numerical_one(state, batch):
    # Along one direction, since the sum of the cells and the BCE both reach every parameter.
    latent = objective.latent(TINY, batch, jax.random.key(5))
    generator, discriminator = objective.networks(TINY)

    def loss(params):
        shower = generator.apply(
            {"params": params, "batch_stats": state.generator.stats}, latent, train=True,
            mutable=["batch_stats"],
        )[0]  # fmt: skip
        variables = {
            "params": state.discriminator.params, "batch_stats": state.discriminator.stats,
        }  # fmt: skip
        outputs = discriminator.apply(variables, shower, train=False)
        return optax.sigmoid_binary_cross_entropy(outputs["real"], jnp.ones(8)).mean()

    gradient = jax.jit(jax.grad(loss))(state.generator.params)
    norm = optax.tree.norm(gradient)
    direction = jax.tree.map(lambda g: g / norm, gradient)

    @jax.jit
    def f(t):
        return loss(jax.tree.map(lambda p, d: p + t * d, state.generator.params, direction))

    h = 1e-2
    assert float((f(h) - f(-h)) / (2 * h)) == pytest.approx(float(norm), rel=0.05)


@pytest.mark.slow
def test_an_explicit_program_has_the_gradient_of_all_events(state):
    """Without noise its update on real showers is the partitioned one; local statistics differ."""
    quiet = replace(
        TINY, model=replace(TINY.model, dropout=0.0),
        objective=replace(TINY.objective, label_flip=0.0, conditions="batch"),
    )  # fmt: skip
    after = {}
    for program, norm in (("partitioned", "global"), ("explicit", "global"), ("explicit", "local")):
        cfg = replace(quiet, mesh=MeshConfig(devices=4, program=program, batch_norm=norm))
        mesh = make_mesh(cfg.mesh, 8)
        whole = TrainState(jnp.int32(0), jnp.int32(0), jax.tree.map(jnp.copy, state))
        with jax.set_mesh(mesh):
            step = compiled_step(WORKLOAD, cfg, Spec(), 10, replicated(mesh), mesh)
            whole = jax.device_put(whole, replicated(mesh))
            raw = jax.device_put(raw_showers(8), over_data(mesh))
            after[program, norm] = jax.device_get(step(whole, raw, None)[1])
    want = after["partitioned", "global"]["real_loss"]
    np.testing.assert_allclose(after["explicit", "global"]["real_loss"], want, rtol=1e-5)
    assert abs(float(after["explicit", "local"]["real_loss"] / want) - 1) > 1e-2


def test_a_dead_generator_is_seen_after_ten_updates():
    assert "dead generator" in WORKLOAD.failure(TINY, 11, {"gen_sum": 100.0})
    assert WORKLOAD.failure(TINY, 10, {"gen_sum": 100.0}) is None
    assert WORKLOAD.failure(TINY, 11, {"gen_sum": 99.9}) is None


def test_the_power_is_undone_where_energies_count():
    cfg = replace(TINY, data=replace(TINY.data, power=0.85))
    raw = {k: jnp.asarray(v) for k, v in raw_showers(2).items()}
    batch = objective.prepare(cfg, Spec(), raw)
    np.testing.assert_allclose(
        objective.cells_in_gev(cfg, batch["shower"]),
        jnp.where(raw["ecal"] < 1e-6, 0, raw["ecal"]), rtol=1e-4,
    )  # fmt: skip
    plain = objective.prepare(TINY, Spec(), raw)
    np.testing.assert_allclose(batch["sum"], plain["sum"])
    discriminator = objective.networks(cfg)[1]
    assert discriminator.power == 0.85
    total = jax.grad(lambda s: (s ** (1 / cfg.data.power)).sum())(batch["shower"])
    assert jnp.isfinite(total).all()  # empty cells too
