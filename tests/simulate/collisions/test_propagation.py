"""Helices against circles written down independently."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepjax.simulate.collisions.particles import particles
from hepjax.simulate.collisions.propagation import (
    CURVATURE,
    impact_parameters,
    position,
    to_cylinder,
)

R, Z, B = 1290.0, 3000.0, 3.8


def single(charge, pt, phi, pz, vertex=(0.0, 0.0, 0.0)):
    px, py = pt * np.cos(phi), pt * np.sin(phi)
    energy = np.sqrt(pt**2 + pz**2 + 0.14**2)
    columns = [np.array([v], float) for v in (px, py, pz, energy)]
    where = [np.array([v], float) for v in (*vertex, 0.0)]
    return particles(np.array([211]), np.array([charge]), columns, where)


def test_a_unit_charge_of_1_14_gev_in_3_8_tesla_has_a_radius_of_one_metre():
    # p = 0.3 B r, the textbook rule.
    radius = 1.14 / (CURVATURE * 3.8)
    assert radius == pytest.approx(1000.0, rel=1e-3)


@pytest.mark.parametrize("charge", [1, -1])
def test_a_track_leaves_the_barrel_where_its_circle_cuts_it(charge):
    pt, phi = 5.0, 0.7
    radius = pt / (CURVATURE * B)
    points = to_cylinder(single(charge, pt, phi, 0.0), R, Z, B)
    # A circle through the beam line turns by asin(R / 2 radius) until it is at distance R;
    # a positive charge bends clockwise in a field along +z.
    angle = phi - charge * np.arcsin(R / (2 * radius))
    np.testing.assert_allclose(points.x, R * np.cos(angle))
    np.testing.assert_allclose(points.y, R * np.sin(angle))
    assert points.reached.all()


def test_neutral_particles_go_straight_to_the_side_or_the_end():
    points = to_cylinder(single(0, 1.0, 0.3, 1.0), R, Z, B)
    np.testing.assert_allclose([points.x[0], points.y[0]], [R * np.cos(0.3), R * np.sin(0.3)])
    np.testing.assert_allclose(points.z, R)
    points = to_cylinder(single(0, 1.0, 0.3, -10.0), R, Z, B)
    np.testing.assert_allclose([np.hypot(points.x, points.y)[0], points.z[0]], [300.0, -Z])


def test_a_curling_particle_ends_at_the_end_inside_two_radii():
    # 0.3 GeV: radius 263 mm, its circle of 527 mm never gets to 1290 mm.
    points = to_cylinder(single(1, 0.3, 0.0, 0.05), R, Z, B)
    assert points.z == pytest.approx(Z)
    assert np.hypot(points.x, points.y) <= 2 * 0.3 / (CURVATURE * B)


def test_what_starts_outside_or_along_the_beam_reaches_nothing():
    for event in (
        single(1, 1.0, 0.0, 0.0, (1400.0, 0.0, 0.0)),
        single(0, 1.0, 0.0, 0.0, (0.0, 0.0, 3100.0)),
        single(1, 0.0, 0.0, 5.0),
        single(1, 0.3, 0.0, 0.0),  # curls for ever
        single(-1, 0.5, 1.0, 1e-147),  # and this nearly so
    ):
        points = to_cylinder(event, R, Z, B)
        assert not points.reached.any()
        assert points.x == points.y == points.z == 0.0


@settings(max_examples=50)
@given(
    charge=st.sampled_from([-1, 0, 1]),
    pt=st.floats(0.1, 2000.0),
    phi=st.floats(-3.14, 3.14),
    eta=st.floats(-4.0, 4.0),
    x=st.floats(-50.0, 50.0),
    y=st.floats(-50.0, 50.0),
    z=st.floats(-250.0, 250.0),
)
def test_the_end_point_lies_on_the_cylinder_and_on_the_helix(charge, pt, phi, eta, x, y, z):
    event = single(charge, pt, phi, pt * np.sinh(eta), (x, y, z))
    points = to_cylinder(event, R, Z, B)
    if not points.reached[0]:
        return  # curls in the middle
    radius = np.hypot(points.x, points.y)[0]
    assert radius == pytest.approx(R, rel=1e-6) or abs(points.z[0]) == pytest.approx(Z)
    assert radius <= R * (1 + 1e-6)
    assert abs(points.z[0]) <= Z * (1 + 1e-9)
    if charge:
        rho = pt / (CURVATURE * B)
        centre = x + charge * rho * np.sin(phi), y - charge * rho * np.cos(phi)
        distance = np.hypot(points.x[0] - centre[0], points.y[0] - centre[1])
        assert distance == pytest.approx(rho, rel=1e-6)


@pytest.mark.parametrize("charge", [1, -1])
@pytest.mark.parametrize("pt", [0.5, 20.0])
def test_impact_parameters_are_those_of_the_nearest_of_many_points(charge, pt):
    event = single(charge, pt, 1.1, 0.8 * pt, (3.0, -4.0, 10.0))
    d0, dz = impact_parameters(event, B)
    path = np.linspace(-20.0, 20.0, 400_001)
    many = event[np.zeros(len(path), int)]
    x, y, z, phi = position(many, path, B)
    nearest = np.argmin(np.hypot(x, y))
    signed = x[nearest] * np.sin(phi[nearest]) - y[nearest] * np.cos(phi[nearest])
    np.testing.assert_allclose(d0, signed, atol=1e-3)
    np.testing.assert_allclose(dz, z[nearest], atol=1e-3)
