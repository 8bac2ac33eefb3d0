"""Flow matching of cells: planted dependence, the turning path, symmetry, and one pass of many."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import calo

from hepjax import InputError
from hepjax.workloads.calo import matching

CELLS = 25


def config(distil=False, calorimeter=calo.BOX, warm_start="teacher"):
    cfg = calo.tiny(calorimeter, "matching")
    cells = dataclasses.replace(cfg.model.cells, channels=16, steps=2)
    return dataclasses.replace(
        cfg, model=dataclasses.replace(cfg.model, cells=cells),
        objective=dataclasses.replace(cfg.objective, distil=distil),
        train=dataclasses.replace(cfg.train, warm_start=warm_start if distil else ""),
    )  # fmt: skip


def started(cfg, seed=0):
    size = matching.plan(cfg.calorimeter).inside.shape
    condition = jnp.zeros((1, 3))
    return matching.init(cfg, jax.random.key(seed), condition), size


def planted(key, n):
    """Standard normal numbers of three layers: each cell of the second is 0.8 of its neighbour in
    the first and 0.6 of its own; the third is independent."""
    first, second, third = jax.random.normal(key, (3, n, CELLS))
    second = 0.8 * first + 0.6 * second
    return jnp.stack([first, second, third], axis=1)


@pytest.fixture(scope="module")
def learnt():
    """The field of planted numbers, and what it was trained with."""
    cfg = config()
    params, _ = started(cfg)
    weight, condition = jnp.ones((64, 3, CELLS)), jnp.zeros((64, 3))

    def loss(params, key):
        k_data, k_loss = jax.random.split(key)
        normal = planted(k_data, 64)
        found = matching.matching_loss(cfg, params, normal, weight, condition, k_loss)
        return found.mean() / (3 * CELLS)

    return cfg, fitted(loss, params, 300)


def fitted(loss, params, updates):
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, updates))

    @jax.jit
    def update(params, state, key):
        slope = jax.grad(loss)(params, key)
        steps, state = optimizer.update(slope, state)
        return optax.apply_updates(params, steps), state

    state = optimizer.init(params)
    for number in range(updates):
        params, state = update(params, state, jax.random.key(number))
    return params


def test_a_new_field_leaves_cells_independent():
    cfg = config()
    params, size = started(cfg)
    noise = jax.random.normal(jax.random.key(1), (4, *size))
    made = carried(cfg, params, noise, jnp.zeros((4, 3)))
    np.testing.assert_array_equal(made, noise)


carried = jax.jit(matching.carried, static_argnums=0)


def correlations(made):
    made = np.asarray(made)
    return [np.mean(made[:, a] * made[:, b]) for a, b in ((0, 1), (0, 2), (1, 1), (2, 2))]


def test_a_trained_field_makes_planted_dependence(learnt):
    cfg, params = learnt
    noise = jax.random.normal(jax.random.key(2), (1000, 3, CELLS))
    made = carried(cfg, params, noise, jnp.zeros((1000, 3)))
    assert correlations(noise)[0] == pytest.approx(0.0, abs=0.03)
    np.testing.assert_allclose(correlations(made), [0.8, 0.0, 1.0, 1.0], atol=0.08)


@pytest.mark.slow
def test_a_student_learns_where_the_field_leads(learnt):
    _, params = learnt
    cfg = config(distil=True)
    new, _ = started(cfg, 5)
    weight, condition = jnp.ones((64, 3, CELLS)), jnp.zeros((64, 3))

    def loss(student, key):
        both = params | {"student": student}
        found = matching.distil_loss(cfg, both, weight, condition, key)
        return found.mean() / (3 * CELLS)

    before = loss(new["student"], jax.random.key(9))
    student = fitted(loss, new["student"], 200)
    assert loss(student, jax.random.key(9)) < 0.1 * before
    noise = jax.random.normal(jax.random.key(2), (1000, 3, CELLS))
    made = matching.student(cfg, params | {"student": student}, noise, jnp.zeros((1000, 3)))
    np.testing.assert_allclose(correlations(made), [0.8, 0.0, 1.0, 1.0], atol=0.08)


def test_the_teacher_has_no_gradient_and_cells_of_empty_layers_do_not_count():
    cfg = config(distil=True)
    params, size = started(cfg)
    weight = jnp.zeros((4, *size)).at[:, 0].set(1.0)
    args = weight, jnp.ones((4, 3)), jax.random.key(0)
    slope = jax.jit(jax.grad(lambda p: matching.distil_loss(cfg, p, *args).sum()))(params)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(slope["copula"]))
    normal = jax.random.normal(jax.random.key(1), (4, *size))
    field = jax.tree.map(lambda leaf: leaf + 0.1, params)

    @jax.jit
    def loss(normal):
        return matching.matching_loss(cfg, field, normal, *args)

    other = normal.at[:, 1:].add(3.0)
    np.testing.assert_array_equal(loss(normal), loss(other))
    assert (loss(normal) != loss(normal.at[:, 0].add(3.0))).all()


def test_a_cylinder_has_no_first_sector():
    cfg = config(calorimeter=calo.CYLINDER)
    params, size = started(cfg)
    params = jax.tree.map(lambda leaf: leaf + 0.05, params)
    noise = jax.random.normal(jax.random.key(3), (2, *size))

    def turned(cells):
        return jnp.roll(cells.reshape(2, 2, 8, -1), 3, axis=2).reshape(noise.shape)

    condition = jnp.ones((2, 3))
    made = carried(cfg, params, noise, condition)
    again = carried(cfg, params, turned(noise), condition)
    assert not np.allclose(made, noise, atol=1e-2)
    np.testing.assert_allclose(again, turned(made), rtol=1e-4, atol=1e-5)


def distilled_mixing():
    cfg = config(distil=True)
    return dataclasses.replace(calo.tiny(), objective=cfg.objective, train=cfg.train)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: config(calorimeter=calo.RAGGED), "not binned alike"),
        (lambda: config(True, warm_start=""), "train.warm_start: expected the run of a trained"),
        (distilled_mixing, "objective.distil: expected false with model.cells.copula=mix"),
    ],
)
def test_what_cannot_be_is_refused(build, says):
    with pytest.raises(InputError, match=says):
        build()
