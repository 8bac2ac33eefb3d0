"""Helices end where a circle and a line say, and simulated events look like the one of TrackML."""

import numpy as np
import pytest

from hepjax.formats.tracking.detector import PARTS, SURFACES
from hepjax.formats.tracking.event import radius_of_curvature
from hepjax.formats.tracking.trackml import read_event
from hepjax.simulate.hits import helix
from hepjax.simulate.hits.events import simulate_event


def test_the_path_between_cylinders_lies_on_the_circle():
    pt, charge = np.array([0.5, 1.0, 0.4]), np.array([1, -1, 1])
    k = helix.curvature(pt, charge)
    np.testing.assert_allclose(np.abs(1 / k), radius_of_curvature(pt))
    position, phi, cot = np.zeros((3, 3)), np.array([0.3, -2.0, 3.0]), np.array([0.1, -0.2, 0.0])
    centre = np.stack([-np.sin(phi) / k, np.cos(phi) / k], 1)
    for expected in (32.0, 72.0, 116.0):
        met, s = helix.next_surface(position, phi, cot, k, np.full(3, 1e4))
        assert [SURFACES[m].at for m in met] == [expected] * 3
        x, y = helix.along(position[:, 0], position[:, 1], phi, k, s)
        np.testing.assert_allclose(np.hypot(x, y), expected, rtol=1e-9)
        distance = np.hypot(x - centre[:, 0], y - centre[:, 1])
        np.testing.assert_allclose(distance, np.abs(1 / k), rtol=1e-9)
        position = np.stack([x, y, position[:, 2] + s * cot], 1)
        phi = phi + k * s


def test_a_positive_particle_turns_clockwise():
    k = helix.curvature(np.array([1.0]), np.array([1]))
    assert helix.along(np.zeros(1), np.zeros(1), np.zeros(1), k, np.array([100.0]))[1] < 0


def test_a_soft_particle_does_not_reach_far_layers():
    k = helix.curvature(np.array([0.02]), np.array([1]))  # a circle of 67 mm across
    start = np.array([[30.0, 0.0, 0.0]])
    met, _ = helix.next_surface(start, np.zeros(1), np.array([0.01]), k, np.array([150.0]))
    assert met[0] == 0
    met, _ = helix.next_surface(start, np.zeros(1), np.array([0.01]), k, np.array([0.6]))
    assert met[0] == -1


def test_forward_particles_meet_discs():
    k = helix.curvature(np.array([5.0]), np.array([1]))
    met, s = helix.next_surface(np.zeros((1, 3)), np.zeros(1), np.array([18.0]), k, np.full(1, 1e4))
    assert SURFACES[met[0]].disc
    assert SURFACES[met[0]].at == 600.0
    assert s[0] == pytest.approx(600 / 18)


def test_an_event_depends_on_seed_and_number_alone():
    first, again, other = (simulate_event(60, 3, n) for n in (2, 2, 3))
    np.testing.assert_array_equal(first.xyz, again.xyz)
    assert len(first) != len(other) or not np.array_equal(first.xyz, other.xyz)


def test_hits_lie_where_layers_are():
    event = simulate_event(800, 5)
    radius = np.hypot(event.xyz[:, 0], event.xyz[:, 1])
    for k, surface in enumerate(SURFACES):
        on = event.surface == k
        place = event.xyz[on, 2] if surface.disc else radius[on]
        spread = 6 * PARTS[surface.part].stagger + 4 * PARTS[surface.part].barrel_error[1]
        assert (np.abs(place - surface.at) < spread).mean() > 0.99
    assert 0.14 < (event.particle == 0).mean() < 0.18


def test_it_looks_like_trackml(reference_data):
    real = read_event(reference_data / "trackml" / "event000000001-hits.csv.gz")
    made = simulate_event(4000, 0)

    def look(event):
        names, count = np.unique(event.particle[event.particle != 0], return_counts=True)
        pairs = {
            (p, s) for p, s in zip(event.particle.tolist(), event.surface.tolist(), strict=True)
        }
        layers = sum(p != 0 for p, _ in pairs) / len(names)
        part = np.array([s.part for s in SURFACES])[event.surface]
        pt = event.pt[np.isin(event.identifier, names)]
        return count.mean(), layers, np.bincount(part) / len(event), np.percentile(pt, [16, 50, 84])

    (hits, layers, parts, pt), (hits_r, layers_r, parts_r, pt_r) = look(made), look(real)
    assert hits == pytest.approx(hits_r, rel=0.15)
    assert layers == pytest.approx(layers_r, rel=0.15)
    np.testing.assert_allclose(parts, parts_r, atol=0.08)
    np.testing.assert_allclose(pt, pt_r, rtol=0.35)
