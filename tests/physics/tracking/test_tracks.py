"""Graphs, tracks and their metrics on events whose answer is known."""

import numpy as np
import pytest

from hepjax.formats.tracking.event import Event
from hepjax.physics.tracking.graph import build, true_pairs
from hepjax.physics.tracking.layer_map import FOLLOWS
from hepjax.physics.tracking.metrics import edge_scores, track_scores
from hepjax.physics.tracking.tracks import tracks
from hepjax.simulate.hits.events import simulate_event


def planted(particles=6, hits=6):
    """Particles 1, 2, ... of so many hits each, then four hits of noise."""
    particle = np.repeat(np.arange(1, particles + 1), hits)
    return np.concatenate([particle, np.zeros(4, int)]).astype(np.int64)


NAMES = ("double_majority", "perfect", "lhc", "atlas_one_way", "atlas_two_way", "trackml")


def scores(track, particle):
    return track_scores(track, particle, np.unique(particle[particle != 0]))


def test_perfect_tracks():
    particle = planted()
    found = scores(np.where(particle > 0, particle - 1, -1), particle)
    assert [found[name] for name in NAMES] == [1.0] * 6
    assert found["fake_rate"] == found["duplicate_rate"] == 0
    assert (found["tracks"], found["targets"]) == (6, 6)


def test_every_track_split_in_two():
    particle = planted()
    half = np.arange(len(particle)) % 2
    found = scores(np.where(particle > 0, 2 * particle + half, -1), particle)
    assert found["perfect"] == found["double_majority"] == found["trackml"] == 0
    assert found["lhc"] == found["atlas_two_way"] == found["duplicate_rate"] == 1
    assert found["fake_rate"] == 0


def test_two_particles_merged():
    particle = planted()
    found = scores(np.where(particle > 0, (particle + 1) // 2, -1), particle)
    assert found["double_majority"] == found["perfect"] == found["lhc"] == found["trackml"] == 0
    assert found["atlas_one_way"] == 1  # half of the track is enough there
    assert found["fake_rate"] == 1


def test_noise_on_tracks_and_tracks_of_noise():
    particle = planted()
    track = np.where(particle > 0, particle - 1, -1)
    track[-4:] = [0, 77, 77, 77]
    found = scores(track, particle)
    assert found["perfect"] == pytest.approx(5 / 6)
    assert found["double_majority"] == 1
    assert found["fake_rate"] == pytest.approx(1 / 7)
    assert found["trackml"] == 1


def test_hits_left_out_raise_only_the_score_over_tracks():
    particle = planted()
    track = np.where(particle > 0, particle - 1, -1)
    track[particle == 6] = -1
    found = scores(track, particle)
    assert found["trackml"] == pytest.approx(5 / 6)
    assert found["trackml_of_tracks"] == 1


def test_edges_that_the_graph_lacks_lower_the_efficiency():
    true = np.array([1, 1, 1, 0, 0], bool)
    signal = np.array([1, 1, 0, 0, 0], bool)
    found = edge_scores(np.array([0.9, 0.2, 0.9, 0.8, 0.1]), true, signal, 2, 0.5)
    assert found["efficiency"] == pytest.approx(1 / 4)
    assert found["efficiency_in_graph"] == pytest.approx(1 / 2)
    assert found["purity"] == pytest.approx(2 / 3)


def test_connected_hits_and_walks():
    senders, receivers = np.array([0, 1, 3, 4, 2]), np.array([1, 2, 4, 5, 4])
    score = np.array([0.9, 0.9, 0.9, 0.9, 0.6])
    np.testing.assert_array_equal(tracks(7, senders, receivers, score, 0.7), [0, 0, 0, 1, 1, 1, -1])
    np.testing.assert_array_equal(tracks(7, senders, receivers, score, 0.5), [0] * 6 + [-1])


def walk(edges, cut=0.1, add=0.6, hits=9):
    senders, receivers, score = map(np.array, zip(*edges, strict=True))
    return tracks(hits, senders, receivers, score, cut, "walk", add).tolist()


def test_a_walk_takes_the_best_edge_and_further_ones_if_good():
    # 0-1-2 and then 3, or the longer way 4-5-6.
    chain = [(0, 1, 0.9), (1, 2, 0.9), (4, 5, 0.9), (5, 6, 0.9)]
    assert walk([*chain, (2, 3, 0.8), (2, 4, 0.7)]) == [0, 0, 0, -1, 0, 0, 0, -1, -1]
    # Not above ``add``: the walk ends in 3, and what is left over is a track of its own.
    assert walk([*chain, (2, 3, 0.8), (2, 4, 0.5)]) == [0, 0, 0, 0, 1, 1, 1, -1, -1]
    # The best edge is taken even if weak, down to the cut.
    assert walk([*chain, (2, 4, 0.5)]) == [0, 0, 0, -1, 0, 0, 0, -1, -1]
    assert walk([*chain, (2, 4, 0.5)], cut=0.55) == [0, 0, 0, -1, 1, 1, 1, -1, -1]


def test_a_walk_parts_what_one_wrong_edge_connects():
    edges = [(0, 1, 0.9), (1, 2, 0.9), (3, 4, 0.9), (4, 5, 0.9), (1, 4, 0.5)]
    assert walk(edges) == [0, 0, 0, 1, 1, 1, -1, -1, -1]
    senders, receivers, score = map(np.array, zip(*edges, strict=True))
    assert tracks(9, senders, receivers, score, 0.1).tolist() == [0] * 6 + [-1] * 3


def test_of_equally_long_walks_that_of_the_best_edges():
    assert walk([(0, 1, 0.9), (1, 2, 0.7), (0, 3, 0.8), (3, 4, 0.9)])[:5] == [0, -1, -1, 0, 0]


def test_hits_of_overlapping_modules_join_the_walk():
    # 1 and 2 are on one layer, 4 and 5 on the last; 6 has an edge to one side only.
    edges = [(0, 1, 0.9), (0, 2, 0.8), (1, 3, 0.9), (2, 3, 0.8), (3, 4, 0.9), (3, 5, 0.7),
             (6, 3, 0.4)]  # fmt: skip
    assert walk(edges) == [0, 0, 0, 0, 0, 0, -1, -1, -1]


def test_a_walk_on_true_edges_finds_all_particles():
    event = simulate_event(100, 3)
    pairs = true_pairs(event)
    score = np.ones(len(pairs))
    for how in ("connected", "walk"):
        found = tracks(len(event), *pairs.T, score, 0.5, how)
        scores_ = track_scores(found, event.particle, event.identifier)
        assert scores_["double_majority"] > 0.99, how
        assert scores_["fake_rate"] == 0


def test_a_circle_of_edges_is_refused():
    with pytest.raises(ValueError, match="expected none that close a circle"):
        walk([(0, 1, 0.9), (1, 2, 0.9), (2, 0, 0.9)])


def test_true_pairs_follow_the_particle_outwards():
    # Two hits on the second layer: each is a pair with the one before and the one behind.
    xyz = np.array([[72, 0, 0], [32, 0, 0], [71, 1, 0], [116, 0, 0], [33, 5, 0]], np.float32)
    particle = np.array([5, 5, 5, 5, 0])
    event = Event(xyz, np.array([1, 0, 1, 2, 0]), np.ones(5, int), particle)
    pairs = {tuple(p) for p in true_pairs(event).tolist()}
    assert pairs == {(1, 0), (1, 2), (0, 3), (2, 3)}


def test_the_graph_has_nearly_all_true_edges_and_few_others():
    event = simulate_event(300, 2)
    graph = build(event)
    pt, truth = event.of_hits(event.pt), true_pairs(event)
    hard = (pt[truth[:, 0]] > 1).sum()
    assert (pt[graph.missed[:, 0]] > 1).sum() < 0.02 * hard
    assert graph.true.mean() > 0.15
    inside = {tuple(p) for p in truth.tolist()}
    edges = list(zip(graph.senders.tolist(), graph.receivers.tolist(), strict=True))
    assert [e in inside for e in edges] == graph.true.tolist()
    assert len(set(edges)) == len(edges)


def test_the_layer_map_is_that_of_simulated_particles():
    event = simulate_event(3000, 41)
    pt, pairs = event.of_hits(event.pt), true_pairs(event)
    steps = event.surface[pairs[pt[pairs[:, 0]] > 0.5]]
    known = [b in FOLLOWS.get(a, ()) for a, b in steps.tolist()]
    assert np.mean(known) > 0.99
    assert sum(map(len, FOLLOWS.values())) < 140


def test_an_azimuth_has_no_edge():
    event = simulate_event(200, 8)
    turn = np.array([[np.cos(2.9), -np.sin(2.9), 0], [np.sin(2.9), np.cos(2.9), 0], [0, 0, 1]])
    turned = Event(
        (event.xyz @ turn.T).astype(np.float32), event.surface, event.module, event.particle,
        event.weight, event.identifier, (event.vertex @ turn.T).astype(np.float32),
        event.momentum, event.charge,
    )  # fmt: skip
    first, second = build(event), build(turned)
    assert len(first.senders) == pytest.approx(len(second.senders), rel=0.002)
    assert first.true.sum() == pytest.approx(second.true.sum(), abs=3)
