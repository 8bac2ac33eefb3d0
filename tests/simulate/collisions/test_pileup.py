"""Pile-up: vertices, numbers, and that nothing of an event is lost or bent."""

import numpy as np
import pytest

from hepjax.simulate.collisions.particles import particles
from hepjax.simulate.collisions.pileup import make_pool, overlay, vertices


def made(code, pz):
    n = len(pz)
    pz = np.asarray(pz, float)
    return particles(
        np.full(n, code), np.zeros(n), (np.ones(n), np.zeros(n), pz, np.hypot(1.0, pz))
    )


def test_vertices_follow_the_beam_spot():
    z, t = vertices(100_000, np.random.default_rng(0))
    assert z.std() == pytest.approx(53.0, rel=0.01)
    assert np.abs(z).max() <= 250.0
    assert t.std() == pytest.approx(48.0, rel=0.01)  # 160 ps are 48 mm/c


def test_overlay_puts_whole_events_at_their_own_vertex_and_angle():
    pool = make_pool([made(1, [1.0, 2.0]), made(2, [3.0]), made(3, [4.0, 5.0, 6.0])])
    assert len(pool) == 3
    event = overlay(made(22, [9.0]), pool, 30.0, np.random.default_rng(1))
    assert event.pdg[0] == 22
    assert event.px[0] == 1.0  # the hard event keeps its azimuth
    np.testing.assert_allclose(event.pt, 1.0)
    for vertex in np.unique(event.z[1:]):
        rows = np.flatnonzero(event.z == vertex)
        code = event.pdg[rows]
        assert len(rows) == {1: 2, 2: 1, 3: 3}[code[0]]
        assert len(set(code)) == len(set(event.phi[rows])) == 1


def test_the_number_of_collisions_is_poisson():
    pool = make_pool([made(1, [1.0])])
    rng = np.random.default_rng(2)
    counts = [len(overlay(made(22, [9.0]), pool, 20.0, rng)) - 1 for _ in range(2000)]
    assert np.mean(counts) == pytest.approx(20.0, rel=0.02)
    assert np.var(counts) == pytest.approx(20.0, rel=0.1)
