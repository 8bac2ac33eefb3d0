"""Limits of the scaling model, and that its fits return what was put in."""

from dataclasses import replace

import pytest

from benchmarks.scaling import measured, published
from benchmarks.scaling.model import (
    TRAINING_SHOWERS,
    V100,
    Machine,
    efficiency,
    epoch_seconds,
    fitted,
    hops,
    latency_at,
    update_seconds,
)  # fmt: skip

RING = Machine("test", gflop=20.0, rate=1000.0, events=50, payload=1e7, collectives=4, link=1e10,
               latency=1e-5, network="ring", sources="made up")  # fmt: skip


def test_one_device_only_computes():
    assert update_seconds(RING, 1) == pytest.approx(20 * 50 / 1000)
    assert epoch_seconds(RING, 1, 1000) == pytest.approx(20 * 1000 / 1000)


def test_without_communication_scaling_is_perfect():
    free = replace(RING, link=float("inf"), latency=0.0)
    assert all(efficiency(free, n) == 1 for n in (1, 8, 1024))
    assert epoch_seconds(free, 64, 6400) == pytest.approx(epoch_seconds(free, 1, 100))


def test_bytes_saturate_and_latency_grows_on_a_ring():
    bytes_alone = replace(RING, latency=0.0)
    assert update_seconds(bytes_alone, 2) - 1 == pytest.approx(1e7 / 1e10)
    assert update_seconds(bytes_alone, 10**6) - 1 == pytest.approx(2e7 / 1e10, rel=1e-4)
    latency_alone = replace(RING, link=float("inf"))
    assert update_seconds(latency_alone, 256) - 1 == pytest.approx(4 * 2 * 255 * 1e-5)


def test_a_torus_and_a_tree_need_fewer_hops():
    torus, tree = replace(RING, network="torus"), replace(RING, network="tree")
    assert (hops(RING, 256), hops(torus, 256), hops(tree, 256)) == (510, 60, 16)
    assert hops(RING, 1) == hops(torus, 1) == hops(tree, 1) == 0


def test_latency_is_the_one_that_gives_the_efficiency():
    machine = replace(RING, latency=latency_at(RING, 256, 0.9))
    assert efficiency(machine, 256) == pytest.approx(0.9)
    assert latency_at(RING, 256, 1.0) == 0.0


def test_fit_returns_rate_and_latency():
    epochs = {n: epoch_seconds(RING, n, 10**6) for n in (1, 4, 16, 64)}
    found = fitted(replace(RING, rate=1.0, latency=0.0), epochs, 10**6)
    assert (found.rate, found.latency) == (pytest.approx(1000, rel=1e-3), pytest.approx(1e-5))


def test_published_curves_are_reproduced():
    machines = published.published_machines()
    nodes = machines["2S Xeon node, 256 nodes"]
    assert epoch_seconds(nodes, 256, TRAINING_SHOWERS) == pytest.approx(29, rel=1e-3)
    assert efficiency(nodes, 256) == pytest.approx(0.98, abs=1e-3)
    for row in published.reproduced(machines):
        if row["n"] in V100 and row["run"].startswith("V100"):
            assert row["ratio"] == pytest.approx(1, abs=0.03)


def test_measured_efficiencies_of_known_times():
    """Two devices: weak as fast as one, strong 1.6 times; virtual ones a quarter more work."""
    wall = {(1, 16): [1.0, 2.0], (2, 32): [1.0, 2.5], (1, 32): [2.0, 4.0]}
    weak = measured.efficiencies(wall, "weak", [(1, 16), (2, 32)])
    assert [row["efficiency"] for row in weak] == pytest.approx([1.0, 0.9])
    assert (weak[1]["least"], weak[1]["most"]) == pytest.approx((0.8, 1.0))
    strong = {**wall, (2, 32): [1.25, 2.5]}
    strong = measured.efficiencies(strong, "strong", [(1, 32), (2, 32)])
    assert strong[1]["efficiency"] == pytest.approx(0.8)
    work = {(1, 32): [4.0], (8, 32): [5.0]}
    virtual = measured.efficiencies(work, "virtual", [(1, 32), (8, 32)])
    assert virtual[1]["efficiency"] == pytest.approx(0.8)
