"""Shapes of jets against planted jets and direct sums; the toy against itself."""

import numpy as np
import pytest

from hepjax.simulate.unfolding.gaussian import SIMULATION, gaussian_events
from hepjax.simulate.unfolding.shapes import RADIUS, Particles, shapes
from hepjax.simulate.unfolding.zjets import NATURE, zjets


def of(*jets):
    """Jets of particles (pt, y, phi), identity 0.1."""
    rows = [(k, *p, 0.1) for k, jet in enumerate(jets) for p in jet]
    return Particles(*np.array(rows).T)._replace(jet=np.array([r[0] for r in rows]))


def test_planted_jets():
    one = [(100.0, 0.0, 0.0)]
    two = [(60.0, 0.1, 0.0), (40.0, -0.15, 0.0)]  # balanced around 0
    soft = [(100.0, 0.0, 0.0), (1.0, 0.2, 0.0)]  # z below the cut of soft drop
    pairs = [(50.0, 0.1, 0.05), (50.0, 0.1, -0.05), (50.0, -0.1, 0.05), (50.0, -0.1, -0.05)]
    found = shapes(of(one, two, soft, pairs), np.full(4, 1.0), np.full(4, 2.0))
    np.testing.assert_allclose(found["mults"], [1, 2, 2, 4])
    jets = found["jets"]
    np.testing.assert_allclose(jets[0], [100, 1.0, 2.0, 0.0], atol=1e-3)
    mass = np.sqrt(2 * 60 * 40 * (np.cosh(0.25) - 1))
    assert jets[1, 3] == pytest.approx(mass, rel=1e-3)
    assert found["sdms"][1] == pytest.approx(mass, rel=1e-3)
    assert found["zgs"][1] == pytest.approx(0.4, rel=1e-3)
    assert found["widths"][1] == pytest.approx((0.6 * 0.1 + 0.4 * 0.15) / RADIUS, rel=1e-3)
    assert found["lhas"][1] == pytest.approx(
        0.6 * np.sqrt(0.1 / RADIUS) + 0.4 * np.sqrt(0.15 / RADIUS), rel=1e-3
    )
    assert found["tau2s"][:3] == pytest.approx(0, abs=1e-6)  # two axes, two particles
    assert found["zgs"][2] == found["sdms"][2] == 0
    assert found["zgs"][3] == pytest.approx(0.5, rel=1e-3)
    assert found["tau2s"][3] == pytest.approx(0.05 / RADIUS, rel=1e-3)
    assert found["particles"][2, 1, 0] == pytest.approx(0.01)


def test_the_toy_is_a_function_of_its_seed_and_has_sound_shapes():
    made = next(zjets(NATURE, 200, 3))
    again = next(zjets(NATURE, 200, 3))
    assert all(np.array_equal(made[k], again[k]) for k in made)
    for level in ("gen", "sim"):
        jets, particles = made[f"{level}_jets"], made[f"{level}_particles"]
        assert all(np.isfinite(made[k]).all() for k in made)
        there = particles[..., 0] > 0
        np.testing.assert_array_equal(there.sum(axis=1), made[f"{level}_mults"])
        sums = 100 * particles[..., 0].sum(axis=1)
        assert np.median(jets[:, 0] / sums) == pytest.approx(1, abs=0.02)
        zg = made[f"{level}_zgs"]
        assert ((zg == 0) | ((zg > 0.1) & (zg <= 0.5))).all()
        assert (made[f"{level}_sdms"] <= jets[:, 3] * 1.001 + 1e-3).all()
        assert (made[f"{level}_tau2s"] <= made[f"{level}_widths"] * 1.6).all()
    assert 0.3 < made["sim_pass"].mean() < 0.9


def test_even_gaussians_have_the_moments_of_the_toy():
    made = gaussian_events(SIMULATION, 4000, 5, even=True)
    assert made["gen_x"].mean() == pytest.approx(0.5, abs=2e-3)
    assert made["gen_x"].std() == pytest.approx(1.0, abs=3e-3)
    noise = made["sim_x"] - made["gen_x"]
    assert noise.std() == pytest.approx(0.5, abs=3e-3)
    assert abs(np.corrcoef(noise, made["gen_x"])[0, 1]) < 5e-3
