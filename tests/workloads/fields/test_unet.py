"""The periodic U-Net: its size, rolled and tiled boxes, gradients, and boxes cut over devices."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.fields import boxes, drawn
from helpers.fields import state as drawn_state

from benchmarks.scaling.collectives import collectives
from hepjax.engine.config import MeshConfig
from hepjax.engine.mesh import make_mesh, over_data, state_shardings
from hepjax.engine.settings import find_config, read_settings
from hepjax.engine.step import compiled_step, init_state
from hepjax.engine.workload import Spec
from hepjax.workloads import table
from hepjax.workloads.fields import objective
from hepjax.workloads.fields.config import FieldsConfig, ModelConfig, ObjectiveConfig
from hepjax.workloads.fields.model import UNet, features, physical, scaled

WORKLOAD = table.get("fields")
THREE = FieldsConfig(
    model=ModelConfig(channels=(6,), full=4, depth=1),
    objective=ObjectiveConfig(density=0.1, symmetries=False),
)
"""Three convolutions that see neighbours: at full resolution, down, up."""


def count(params):
    return sum(p.size for p in jax.tree.leaves(params))


def configured(name):
    return table.configure(read_settings(find_config(name), []))[1]


def test_the_published_network_has_117_million_parameters():
    cfg = configured("fields/published")
    assert cfg.model == ModelConfig()
    abstract = jax.eval_shape(partial(objective.init, cfg), jax.random.key(0))
    assert count(abstract.params) == 116_977_029


@pytest.mark.parametrize(("name", "parameters"), [("demo", 115_557), ("made", 1_639_057)])
def test_the_other_configurations(name, parameters):
    cfg = configured(f"fields/{name}")
    abstract = jax.eval_shape(partial(objective.init, cfg), jax.random.key(0))
    assert count(abstract.params) == parameters


@pytest.fixture(scope="module")
def params():
    net = UNet(ModelConfig(channels=(6, 8), full=4, depth=2))
    return net, drawn(lambda key: net.init(key, jnp.zeros((1, 4, 4, 4, 4)))["params"])


@pytest.fixture(scope="module")
def apply(params):
    net, values = params
    return jax.jit(lambda x: net.apply({"params": values}, x))


def test_a_rolled_box_gives_a_rolled_answer_to_the_bit(apply):
    x = features(jnp.asarray(boxes()["dark"]))
    shift, axes = (4, -4, 8), (1, 2, 3)
    np.testing.assert_array_equal(
        np.asarray(apply(jnp.roll(x, shift, axes))), np.roll(np.asarray(apply(x)), shift, axes)
    )


def test_a_larger_box_of_copies_gives_copies(apply):
    """So a network that was trained on small boxes applies to large ones, without a seam."""
    x = features(jnp.asarray(boxes(events=1)["dark"]))
    small, large = np.asarray(apply(x)), np.asarray(apply(jnp.tile(x, (1, 2, 2, 2, 1))))
    np.testing.assert_allclose(large, np.tile(small, (1, 2, 2, 2, 1)), atol=1e-5)


def test_scaled_fields_come_back():
    gas = jnp.asarray(boxes()["gas"])
    np.testing.assert_allclose(physical(scaled(gas)), gas, rtol=2e-5)


def test_the_gradient_is_the_numerical_one():
    batch = {k: jnp.asarray(v) for k, v in boxes(n=4).items()}
    params = drawn_state(objective, THREE).params

    def loss(params):
        return objective.losses(
            THREE, objective.predict(THREE, params, batch["dark"]), batch["gas"]
        ).mean()

    value_and_grad = jax.jit(jax.value_and_grad(loss))
    gradient = value_and_grad(params)[1]
    rng = np.random.default_rng(0)
    way = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), params)
    slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: (g * d).sum(), gradient, way)))
    step = 1e-3
    high, low = (
        float(value_and_grad(jax.tree.map(lambda p, d, s=s: p + s * step * d, params, way))[0])
        for s in (1, -1)
    )
    assert float(slope) == pytest.approx((high - low) / (2 * step), rel=0.02)


def updated(cfg, raw):
    """The state and metrics after one update, and the text of the program, on a mesh."""
    mesh = make_mesh(cfg.mesh, cfg.train.batch_size)
    state = drawn(lambda key: init_state(WORKLOAD, cfg))
    shardings = state_shardings(cfg.mesh, mesh, state)
    with jax.set_mesh(mesh):
        state = jax.device_put(state, shardings)
        step = compiled_step(WORKLOAD, cfg, Spec(), 10, shardings, mesh)
        placed = jax.device_put(raw, over_data(mesh))
        return jax.device_get(step(state, placed, None))


def test_boxes_cut_over_devices_train_as_whole_ones():
    raw, results = boxes(n=16), []
    for mesh in (MeshConfig(devices=1), MeshConfig("spatial", devices=4, model_devices=4)):
        cfg = replace(THREE, mesh=mesh, train=replace(THREE.train, batch_size=2))
        results.append(updated(cfg, raw))
    (one, of_one), (many, of_many) = results
    assert float(of_one["loss"]) == pytest.approx(float(of_many["loss"]), rel=1e-5)
    # Adam turns tiny differences of tiny gradients into steps; the moments have the gradients.
    for a, b in zip(*(jax.tree.leaves(s.model.optimizer) for s in (one, many)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-6)


def test_only_faces_are_exchanged_and_no_more_often_than_needed():
    """Three convolutions on eight devices: two faces each forward, and backward for the two whose
    input has a gradient; one sum of the gradients. Left to the compiler there are five times as
    many."""
    cfg = replace(
        THREE, mesh=MeshConfig("spatial", devices=8, model_devices=8),
        train=replace(THREE.train, batch_size=1),
    )  # fmt: skip
    mesh = make_mesh(cfg.mesh, 1)
    batch = {
        k: jax.ShapeDtypeStruct((1, 16, 16, 16, c), jnp.float32)
        for k, c in (("dark", 4), ("gas", 5))
    }
    state = jax.eval_shape(partial(objective.init, cfg), jax.random.key(0))

    def forward(params, dark):
        return objective.predict(cfg, params, objective.split_events(cfg.mesh, dark))

    def gradient(params, batch):
        batch = objective.prepare(cfg, Spec(), batch)

        def loss(params):
            y = objective.predict(cfg, params, batch["dark"])
            return objective.losses(cfg, y, batch["gas"]).mean()

        return jax.grad(loss)(params)

    place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data", "model"))
    with jax.set_mesh(mesh):
        applied = jax.jit(forward, in_shardings=(None, place))
        trained = jax.jit(gradient, in_shardings=(None, place))
        texts = [
            applied.lower(state.params, batch["dark"]).compile().as_text(),
            trained.lower(state.params, batch).compile().as_text(),
        ]
    kinds = [[c.kind for c in collectives(text, 8)] for text in texts]
    assert kinds[0] == ["collective-permute"] * 6
    assert kinds[1].count("collective-permute") == 10
    assert len(kinds[1]) == 11
    assert kinds[1].count("all-reduce") == 1
