"""Acquisitions against their definitions, and how a batch is spread."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from hepjax.studies.active import acquire, gaussian
from hepjax.studies.active.acquire import Places
from hepjax.studies.active.gaussian import Belief, Data, Kernel


@pytest.fixture(autouse=True)
def float64():
    with gaussian.double():
        yield


batch = jax.jit(acquire.batch, static_argnums=0)
posterior = jax.jit(gaussian.posterior)
misclassified = jax.jit(lambda belief: acquire.misclassified(belief).mean())
LINE = np.linspace(0, 1, 101)[:, None]
KERNEL = Kernel(jnp.log(jnp.array([0.3])), jnp.zeros(()), jnp.log(jnp.array(0.01)), jnp.zeros(()))


def begun():
    """A function that rises through 0 near 0.5, known at the ends."""
    data = gaussian.empty(16, 1)
    x = jnp.array([[0.0], [1.0]])
    return data._replace(
        x=data.x.at[:2].set(x), y=data.y.at[:2].set(jnp.array([-1.0, 1.2])),
        used=data.used.at[:2].set(True),
    )  # fmt: skip


def places():
    chance = np.random.default_rng(0).random(len(LINE))
    return Places(jnp.asarray(LINE), jnp.ones(len(LINE), bool), jnp.asarray(chance))


def chosen(name, asked, data=None):
    data = begun() if data is None else data
    belief = posterior(data, KERNEL, places().at)
    found = batch(name, data, KERNEL, belief, places(), jnp.asarray(asked), jnp.array(90))
    return LINE[np.asarray(found), 0], np.asarray(found)


def test_entropy_and_straddle_by_hand():
    belief = Belief(jnp.array([0.0, 1.0]), jnp.array([4.0, 0.25]), jnp.zeros((1, 2)))
    p = norm.cdf(2.0)
    binary = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    np.testing.assert_allclose(acquire.entropy(belief), [2 * np.log(2), 0.5 * binary], rtol=1e-9)
    np.testing.assert_allclose(acquire.straddle(belief), [3.92, -0.02], atol=1e-12)
    np.testing.assert_allclose(acquire.misclassified(belief), [0.5, norm.cdf(-2.0)], rtol=1e-9)


def test_the_expected_drop_is_that_of_many_futures():
    """The criterion at one place, against values drawn from the belief and learnt from."""
    data, where = begun(), places()
    belief = posterior(data, KERNEL, where.at)
    drop = np.asarray(jax.jit(acquire.integrated)(belief, KERNEL, where))
    best = int(np.argmax(drop))
    rng = np.random.default_rng(1)
    spread = np.sqrt(float(belief.variance[best]) + 0.01**2)
    after = []
    for y in float(belief.mean[best]) + spread * rng.normal(size=200):
        more = Data(
            data.x.at[2].set(where.at[best]), data.y.at[2].set(y), data.error,
            data.used.at[2].set(True),
        )  # fmt: skip
        after.append(float(misclassified(posterior(more, KERNEL, where.at))))
    expected = float(misclassified(belief)) - np.mean(after)
    assert drop[best] > 0
    assert drop[best] == pytest.approx(expected, rel=0.15)
    assert np.isneginf(drop).sum() == len(LINE) - acquire.SHORTLIST


@pytest.mark.parametrize("name", acquire.ACQUISITIONS)
def test_a_batch_lies_around_the_contour_and_never_twice_in_one_place(name):
    x, _ = chosen(name, [True] * 4)
    assert len(set(x)) == 4
    assert ((x > 0.1) & (x < 0.9)).all()
    apart = np.abs(x[:, None] - x[None])[~np.eye(4, dtype=bool)]
    assert apart.min() >= 0.02
    assert apart.max() >= 0.1


def test_points_that_do_not_ask_are_the_next_of_the_sequence():
    _, index = chosen("entropy", [True, False, True, False])
    assert list(index[[1, 3]]) == [90, 91]


def test_the_distance_counts_used_points_alone():
    data = begun()
    found = acquire.distance(data, jnp.array([[0.4], [0.0]]))
    np.testing.assert_allclose(found, [0.4, 0.0])
