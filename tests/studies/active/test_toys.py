"""The toy: its known limit, its contour by hand, and a simulation that agrees with its truth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax.studies.active import gaussian, toys


def test_the_limit_of_ten_events_over_ten():
    """8.08: the CLs limit of a counting experiment that sees its background of ten."""
    assert toys.events_excluded() == pytest.approx(8.08, abs=0.005)


def test_no_background_is_excluded_by_three_events():
    assert toys.events_excluded(0) == pytest.approx(-np.log(0.05), rel=1e-6)


def test_the_contour_of_massless_daughters_by_hand():
    """Far from the edge the efficiency is constant, so the mass follows from the rate."""
    rate = 140 * 2000 * 0.35 / 8.0825
    m1 = 140 * np.log(rate)
    share = (m1 - 400) / 2000
    with gaussian.double():
        assert float(toys.truth(jnp.array([share, 0.0]))) == pytest.approx(0, abs=1e-3)
        assert float(toys.truth(jnp.array([share - 0.1, 0.0]))) < 0
        assert float(toys.truth(jnp.array([share, 0.0, 1.0, 1.0]))) == pytest.approx(0, abs=1e-3)
        # Half of the coupling is a quarter of the rate.
        far = float(toys.truth(jnp.array([share, 0.0, (0.5 - 0.3) / 0.7, 1.0])))
    assert far == pytest.approx(np.log10(4), abs=1e-3)


def test_both_sides_of_the_contour_are_in_the_box():
    x = np.random.default_rng(0).random((4000, 4))
    for size in (2, 4):
        share = float((toys.truth(jnp.asarray(x[:, :size])) > 0).mean())
        assert 0.1 < share < 0.9


def test_the_simulation_scatters_around_the_truth_as_it_says():
    with gaussian.double():
        x = jnp.tile(jnp.array([0.4, 0.3]), (4000, 1))
        y, error = toys.simulate(jax.random.key(0), x)
        pull = np.asarray((y - toys.truth(x)) / error)
    assert pull.mean() == pytest.approx(0, abs=0.06)
    assert pull.std() == pytest.approx(1, abs=0.06)


def test_no_event_passes_where_masses_are_equal_and_the_value_is_clipped():
    with gaussian.double():
        y, error = toys.simulate(jax.random.key(0), jnp.array([[1.0, 1.0]]))
    assert float(y[0]) == toys.CLIP
    assert float(error[0]) == 0


def test_shares_of_other_ranges_in_another_order():
    first, second = toys.AXES[:2]
    narrow = (type(second)("ratio", 0.5, 1.0), type(first)("m1", 400.0, 1400.0))
    found = toys.shares(narrow, np.array([[0.0, 1.0]]))
    np.testing.assert_allclose(found, [[0.5, 0.5]])
