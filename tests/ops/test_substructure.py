"""Observables of jets against formulas: few particles by hand, sums by brute force."""

from itertools import combinations

import numpy as np
import pytest

from hepjax.ops.substructure import correlators, distances, groomed, mass, observables


def jet(*particles, size=8):
    """One padded jet of (pt, eta, phi)."""
    array = np.zeros((3, 1, size))
    array[:, 0, : len(particles)] = np.array(particles).T
    return tuple(array)


def test_two_prongs_have_no_triples_and_the_mass_of_their_angle():
    found = observables(*jet((60.0, 0.1, 0.0), (40.0, -0.1, 0.0)))
    assert found["c1_b1_mmdt"][0] == pytest.approx(0.6 * 0.4 * 0.2, rel=1e-6)
    assert found["c1_b0_mmdt"][0] == pytest.approx(0.24)
    assert found["c2_b1_mmdt"][0] == 0
    assert found["mass_mmdt"][0] == pytest.approx(np.sqrt(60 * 40) * 0.2, rel=1e-2)
    assert found["multiplicity"][0] == 2
    assert found["zlogz"][0] == pytest.approx(0.6 * np.log(0.6) + 0.4 * np.log(0.4))


def test_correlators_by_brute_force():
    rng = np.random.default_rng(3)
    z, eta, phi = rng.dirichlet(np.ones(6), 1), *rng.normal(0, 0.3, (2, 1, 6))
    away = distances(eta, phi)
    found = correlators(z, away, [2.0])[2.0]
    wanted = dict.fromkeys(found, 0.0)
    for i, j in combinations(range(6), 2):
        wanted["pairs"] += z[0, i] * z[0, j] * away[0, i, j] ** 2
    for i, j, k in combinations(range(6), 3):
        w = z[0, i] * z[0, j] * z[0, k]
        a, b, c = sorted(away[0, p, q] ** 2 for p, q in ((i, j), (i, k), (j, k)))
        for name, value in (("smallest", a), ("two", a * b), ("triples", a * b * c)):
            wanted[name] += w * value
    assert {k: float(v[0]) for k, v in found.items()} == pytest.approx(wanted)


def test_grooming_leaves_out_soft_particles_far_away():
    hard = [(100.0, 0.0, 0.0), (80.0, 0.15, 0.05)]
    kept = groomed(*jet(*hard, (5.0, -0.7, 0.1), (3.0, 0.1, 0.6), (2.0, 0.02, 0.0)))[0]
    # The last is soft too, but close to the first: it belongs to a branch that is kept.
    assert kept.tolist() == [True, True, False, False, True, False, False, False]


def test_grooming_keeps_the_harder_branch_and_one_particle():
    assert groomed(*jet((10.0, 0.0, 0.0)))[0].tolist() == [True] + [False] * 7
    kept = groomed(*jet((10.0, 0.0, 0.0), (200.0, 0.5, 0.0)))[0]
    assert kept.tolist()[:2] == [False, True]
    assert not groomed(*jet())[0].any()


def test_padding_and_order_change_nothing():
    rng = np.random.default_rng(1)
    pt, eta, phi = rng.exponential(20, (4, 10)), *rng.normal(0, 0.3, (2, 4, 10))
    order = rng.permutation(10)
    pad = [np.pad(a[:, order], ((0, 0), (0, 3))) for a in (pt, eta, phi)]
    first, second = observables(pt, eta, phi), observables(*pad)
    for name, values in first.items():
        np.testing.assert_allclose(values, second[name], rtol=1e-4, err_msg=name)


def test_the_mass_of_a_decay_at_rest():
    # Two particles back to back in the transverse plane: twice the momentum.
    assert mass(*jet((45.0, 0.0, 0.0), (45.0, 0.0, np.pi)))[0] == pytest.approx(90.0)
