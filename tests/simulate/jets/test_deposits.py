"""From tracks and towers to the channels of jet images."""

import numpy as np
import pytest

from hepjax.simulate.collisions.detector import CMS, respond
from hepjax.simulate.collisions.particles import particles
from hepjax.simulate.collisions.towers import HCAL
from hepjax.simulate.jets.deposits import deposits_of, merged, pixel_hits, seen_by, spread
from hepjax.simulate.jets.images import jet_images


def pions(pt, phi=0.0, vertex=0.0, charge=1):
    """Central pions; ``vertex`` is how far out they are born along their flight, mm."""
    pt = np.atleast_1d(np.asarray(pt, float))
    n = len(pt)
    momentum = pt * np.cos(phi), pt * np.sin(phi), 0 * pt, np.hypot(pt, 0.13957)
    born = np.full(n, vertex)
    where = born * np.cos(phi), born * np.sin(phi), 0 * born, 0 * born
    return particles(np.full(n, 211), np.full(n, charge), momentum, where)


def test_a_stiff_track_hits_every_layer_where_it_points():
    hits = pixel_hits(pions(1e4, phi=1.0), 44.0, 3.8)
    assert hits.phi == pytest.approx([1.0], abs=1e-4)
    assert hits.eta == pytest.approx([0.0])
    assert hits.value.tolist() == [1.0]


def test_soft_tracks_are_bent_and_later_layers_more():
    turns = [abs(pixel_hits(pions(0.5), r, 3.8).phi[0]) for r in (44.0, 73.0, 102.0)]
    radius = 0.5 / (0.299792458e-3 * 3.8)
    assert turns == pytest.approx([np.arcsin(r / (2 * radius)) for r in (44.0, 73.0, 102.0)])
    assert not len(pixel_hits(pions(0.02), 102.0, 3.8).phi)  # curls up before


def test_tracks_born_outside_a_layer_leave_no_hit():
    late = pions(10.0, vertex=50.0)
    assert not len(pixel_hits(late, 44.0, 3.8).phi)
    assert len(pixel_hits(late, 73.0, 3.8).phi) == 1


def test_barrel_towers_stay_whole_and_forward_ones_are_shared():
    cell = HCAL.grid.cell(np.array([0.05, 1.80]), np.array([0.01, 0.01]))
    shared = spread(HCAL, np.array([0, 1]), cell, np.array([10.0, 20.0]))
    assert shared.value[shared.jet == 0].tolist() == [10.0]
    wide = shared.jet == 1
    # eta 1.74-1.83 covers a row of 0.087 and a little of the next; 10 degrees are two columns.
    assert shared.value[wide].sum() == pytest.approx(20.0)
    assert len(np.unique(shared.phi[wide])) == 2
    assert shared.value[wide].max() == pytest.approx(0.5 * 20.0 * 0.087 / 0.09)


def test_every_tower_of_the_detector_is_shared_without_loss():
    cells = np.arange(HCAL.grid.starts[-1])
    shared = spread(HCAL, cells, cells, np.ones(len(cells)))
    np.testing.assert_allclose(np.bincount(shared.jet, shared.value), 1.0)


def test_image_sums_are_the_sums_of_tracks_and_towers():
    rng = np.random.default_rng(0)
    phi = rng.normal(3.1, 0.2, 40)  # across the seam of phi
    event = particles(
        np.tile([211, 22, 130, -211], 10),
        np.tile([1, 0, 0, -1], 10),
        (20 * np.cos(phi), 20 * np.sin(phi), rng.normal(0, 4, 40), np.full(40, 21.0)),
    )
    response = respond(event, rng)
    axis = np.zeros(1), np.array([3.1])
    seen = seen_by(deposits_of(event, response), *axis)
    images = jet_images(1, *axis, seen)
    by_channel = {}
    for name, k in (("pT", 0), ("d0", 1), ("ECAL", 3), ("HCAL", 4), ("BPIX1", 5)):
        start = np.array([0, 15625, 31250, 46875, 62500, 63125, 78750])
        inside = (images.cell >= start[k]) & (images.cell < start[k + 1])
        by_channel[name] = images.value[inside].sum() * (25 if name == "HCAL" else 1)
    assert by_channel["pT"] == pytest.approx(response.tracks.pt.sum(), rel=1e-5)
    assert by_channel["d0"] == pytest.approx(response.tracks.d0.sum(), abs=1e-4)
    assert by_channel["ECAL"] == pytest.approx(response.ecal.et.sum(), rel=1e-5)
    assert by_channel["HCAL"] == pytest.approx(response.hcal.et.sum(), rel=1e-5)
    assert by_channel["BPIX1"] == len(response.tracks)
    assert CMS.field_tesla == 3.8


def test_each_jet_sees_what_is_near_it():
    event = pions([50.0, 50.0, 50.0], phi=np.array([0.0, 0.5, np.pi]))
    deposits = {"pT": pixel_hits(event, 44.0, 3.8)}
    seen = seen_by(deposits, np.zeros(2), np.array([0.2, -3.1]))["pT"]
    assert seen.jet.tolist() == [0, 0, 1]
    both = merged([{"pT": seen}, {"pT": seen}], [2, 2])["pT"]
    assert both.jet.tolist() == [0, 0, 1, 2, 2, 3]
