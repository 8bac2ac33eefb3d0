"""Genetic training: the operator as the paper has it, and that it learns."""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax import MissingExtraError
from hepjax.studies import evolution, genetic, regressor, rivals, supernet
from hepjax.studies.genetic import Rates
from hepjax.studies.regressor import Images


@pytest.fixture(scope="module")
def images() -> Images:
    """Blobs whose sum is the energy, to a few per cent."""
    rng = np.random.default_rng(3)
    energy = rng.uniform(10, 500, 600).astype(np.float32)
    axis = np.arange(25)
    blob = np.exp(-(((axis - 12) / 2.0) ** 2))[:, None] * np.exp(-(((axis - 9) / 5.0) ** 2))
    noise = rng.normal(1, 0.1, (600, 25, 25))
    showers = 0.02 * energy[:, None, None] * blob / blob.sum() * noise
    return regressor.project(showers[:, None].astype(np.float32), energy)


def parents(key=0, make=regressor.uniform, count=genetic.PARENTS):
    return jax.jit(jax.vmap(make))(jax.random.split(jax.random.key(key), count))


def test_mutation_changes_the_fraction_by_at_most_the_power():
    one = {"dense": jnp.ones((200, 200)), "dense_bias": jnp.zeros(50)}
    mutated = jax.jit(partial(genetic.mutated, rates=Rates(0.2, 0.1)))
    child = mutated(one, jax.random.key(1))
    change = np.asarray(child["dense"] - one["dense"])
    assert np.mean(change != 0) == pytest.approx(0.2, abs=0.01)
    assert 0.099 < np.abs(change).max() <= 0.1 + 1e-6
    assert change[change != 0].mean() == pytest.approx(0, abs=0.003)
    np.testing.assert_array_equal(child["dense_bias"], one["dense_bias"])


def test_the_best_is_never_one_that_is_not_a_number():
    population = {"w": jnp.arange(4.0)}
    best, loss = genetic.best_of(population, jnp.array([jnp.nan, 2.0, 1.0, 3.0]))
    assert (best["w"], loss) == (2.0, 1.0)


def test_the_elite_never_gets_worse_on_the_same_events(images):
    few = jax.tree.map(lambda x: x[:1], images)  # every batch is this event
    _, losses = genetic.evolve(
        parents(), few, jax.random.key(0), loss=evolution.regressor_loss, generations=30
    )
    assert (np.diff(losses) <= 1e-6).all()


@pytest.mark.slow
def test_all_ways_learn_at_equal_evaluations(images):
    asked = evolution.Asked(generations=1200, rates=Rates(0.05, 0.1), architecture=True)
    ways = list(evolution.trained(asked, images))
    assert len(ways) == 3
    start = evolution.regressor_loss(jax.tree.map(lambda x: x[0], parents()), images)
    assert start > 0.5
    for way in ways:
        assert evolution.test_error(way, images) < 0.1
    assert len({len(way.losses) * way.evaluations for way in ways}) == 1


def test_a_convolution_is_that_of_xla():
    x = jax.random.normal(jax.random.key(0), (2, 25, 25, 3))
    kernel = jax.random.normal(jax.random.key(1), (5, 5, 3, 4))
    for stride in (1, 3):
        wanted = jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), [(2, 2), (2, 2)],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        np.testing.assert_allclose(
            regressor.convolved(x, kernel, stride), wanted, rtol=1e-4, atol=1e-4
        )


@pytest.mark.slow
def test_a_population_over_devices_is_the_same(images):
    def run():
        return genetic.evolve(
            parents(), images, jax.random.key(0), loss=evolution.regressor_loss, generations=5
        )

    one, losses = run()
    jax.clear_caches()
    with jax.set_mesh(jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))):
        other, spread = run()
    np.testing.assert_allclose(losses, spread, rtol=1e-5)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-5, atol=1e-6)


def test_the_padded_network_holds_the_hand_made_one(images):
    """With four filters, no second convolution, no hidden layer and ReLU it is the regressor."""
    hand = jax.jit(regressor.uniform)(jax.random.key(5))
    padded = jax.jit(supernet.uniform)(jax.random.key(6))
    weights, genes = padded["weights"], padded["genes"]
    weights["first"] = weights["first"].at[..., :4].set(hand["kernel"])
    dense = weights["direct"].reshape(supernet.CELLS, supernet.MOST_FILTERS)
    dense = dense.at[:, :4].set(hand["dense"].reshape(supernet.CELLS, 4))
    weights["direct"] = dense.reshape(-1, 1)
    genes |= {
        "filters": jnp.array([-1.0, 1, 1, 1, -1, -1, -1, -1]), "second": jnp.array([-1.0]),
        "hidden": jnp.array([-1.0]),
    }  # fmt: skip
    np.testing.assert_allclose(
        jax.jit(supernet.regress)(padded, images.image),
        jax.jit(regressor.regress)(hand, images.image), rtol=1e-4, atol=1e-4,
    )  # fmt: skip
    assert supernet.in_words(padded) == "4 filters, ReLU"


@pytest.mark.slow
def test_architectures_of_a_family_differ():
    family = parents(3, supernet.uniform)
    told = {supernet.in_words(jax.tree.map(lambda x, k=k: x[k], family)) for k in range(8)}
    assert len(told) > 3
    child = supernet.mutated(
        jax.tree.map(lambda x: x[0], family), jax.random.key(0), Rates(0.5, 0.1)
    )
    assert supernet.regress(child, jnp.ones((2, 25, 25))).shape == (2,)


def test_errors_by_energy_are_means_in_bins():
    energy = np.array([10.0, 20.0, 490.0, 500.0])
    edges, error = evolution.error_by_energy(energy * np.array([1.1, 0.7, 1.0, 1.2]), energy)
    assert edges[0] == 10
    assert edges[-1] == 500
    assert error[0] == pytest.approx(0.2)
    assert error[-1] == pytest.approx(0.1)


def test_without_evosax_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "evosax", None)
    with pytest.raises(MissingExtraError, match=r"--rivals.*hepjax\[evolution\]"):
        rivals.require()


@pytest.mark.slow
@pytest.mark.parametrize("name", rivals.RIVALS)
def test_rivals_learn_from_the_same_start(images, name):
    pytest.importorskip("evosax")
    start = jax.tree.map(lambda x: x[0], parents())
    weights, losses = rivals.evolve(
        name, start, images, jax.random.key(1), loss=evolution.regressor_loss, steps=150
    )
    assert losses.shape == (150,)
    reached = evolution.regressor_loss(weights, images)
    assert reached < 0.6 * evolution.regressor_loss(start, images)


@pytest.mark.parametrize("grown", ["filters", "second", "hidden"])
def test_what_a_gene_adds_begins_without_effect(grown):
    one = jax.jit(supernet.uniform)(jax.random.key(7))
    positive = {name: jnp.abs(x) for name, x in one["weights"].items()}
    genes = {
        "filters": jnp.full(supernet.MOST_FILTERS, -1.0), "second": -jnp.ones(1),
        "hidden": -jnp.ones(1),
    }  # fmt: skip
    more = genes | {grown: jnp.ones_like(genes[grown])}
    image = jax.random.uniform(jax.random.key(8), (5, 25, 25))

    @jax.jit
    def answer(weights, genes):
        return supernet.regress(one | {"weights": weights, "genes": genes}, image)

    before = answer(positive, genes)
    adapted = supernet.adapted(positive, genes, more)
    after = answer(adapted, more)
    np.testing.assert_allclose(after, before, rtol=1e-5)
    # As it is without: the new part answers at once.
    assert not np.allclose(answer(positive, more), before)
    back = supernet.adapted(adapted, more, genes)
    again = answer(back, genes)
    np.testing.assert_allclose(again, before, rtol=1e-5)
