"""Answers that follow from the cells: known values, and gradients that stay finite and right."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.gan3d import TINY_ANGLE, raw_showers

from hepjax.engine.workload import Spec
from hepjax.workloads.gan3d import objective
from hepjax.workloads.gan3d.heads import COUNT_EDGES, analytic, bin_counts

HEADS = ("angle", "sum", "counts")
SHAPE = (11, 11, 6)


@pytest.fixture(scope="module")
def shower():
    """Two showers as the networks see them, the second one empty."""
    raw = {k: jnp.asarray(v) for k, v in raw_showers(2, shape=SHAPE).items()}
    shower = objective.prepare(TINY_ANGLE, Spec(), raw)["shower"]
    return shower.at[1].set(0.0)


def test_heads_undo_scale_and_power(shower):
    answers = jax.jit(lambda x: analytic(HEADS, x, 50.0, 0.85))(shower)
    raw = raw_showers(2, shape=SHAPE)
    cells = np.where(raw["ecal"][0] < 1e-6, 0, raw["ecal"][0])
    assert float(answers["sum"][0]) == pytest.approx(50 * cells.sum(), rel=1e-5)
    assert float(answers["sum"][1]) == 0
    assert float(answers["angle"][1]) == 100.0  # the published flag of an empty shower
    assert abs(float(answers["angle"][0]) - raw["theta"][0]) < 0.1
    edges = [np.inf, *COUNT_EDGES]
    expected = [((cells > low) & (cells <= high)).sum() for high, low in pairwise(edges)]
    np.testing.assert_array_equal(answers["counts"][0], [*expected, (cells == 0).sum()])
    np.testing.assert_array_equal(answers["counts"][1], [0] * 7 + [cells.size])


def test_edges_of_the_counts_are_the_published_ones():
    published = np.array([0.05, 0.03, 0.02, 0.0125, 0.008, 0.003, 0.0])  # in GeV x 50
    np.testing.assert_allclose(np.array(COUNT_EDGES) * 50, published, rtol=1e-12)
    cells = jnp.array([[0.06, 0.04, 0.025, 0.015, 0.01, 0.005, 0.001, 0.0, 0.0]]) / 50
    np.testing.assert_array_equal(bin_counts(cells), [[1] * 7 + [2]])


@pytest.mark.parametrize("head", ["angle", "sum"])
def test_gradients_are_the_numerical_ones(shower, head):
    with jax.enable_x64(True):
        full = jnp.asarray(np.asarray(shower[:1]), jnp.float64)

        @jax.jit
        def answer(x):
            return analytic((head,), x, 50.0, 0.85)[head].sum()

        gradient = np.asarray(jax.jit(jax.grad(answer))(full)).ravel()
        flat = np.asarray(full).ravel()
        chosen = np.argsort(flat)[[-1, -5, -50]]  # where a step of h leaves the cell positive
        h = 1e-5
        for cell in chosen:
            step = np.zeros_like(flat)
            step[cell] = h
            up, down = (answer(jnp.asarray((flat + s).reshape(full.shape))) for s in (step, -step))
            assert gradient[cell] == pytest.approx(float((up - down) / (2 * h)), rel=1e-5)


def test_the_gradient_is_finite_in_empty_showers_and_layers(shower):
    holed = shower.at[0, :, :, 2].set(0.0)
    single = jnp.zeros_like(shower).at[0, 5, 5, 3].set(1.0)  # slope 0 / 0 in its only layer

    @jax.jit
    @jax.grad
    def slope(x):
        answers = analytic(HEADS, x, 50.0, 0.85)
        return sum(a.sum() for a in answers.values())

    for x in (holed, single, jnp.zeros_like(shower)):
        assert np.isfinite(slope(x)).all()
