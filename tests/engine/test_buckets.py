"""Events of different lengths: batches of one padded length, none lost, few compilations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from hepjax.engine.config import InputConfig
from hepjax.engine.input import (
    BatchReader,
    by_bucket,
    evaluation_batches,
    per_epoch,
    to_mesh,
    training_batches,
)
from hepjax.formats.source import Part

LENGTHS = np.array([4, 8, 16])


class Ragged:
    """Events of 1 to 16 elements, each element the number of its event plus one."""

    def __init__(self, n=60, seed=3):
        self.elements = np.random.default_rng(seed).integers(1, 17, n)
        self.bucket = np.searchsorted(LENGTHS, self.elements).astype(np.int32)
        self.blocks = np.append(np.arange(0, n, 4), n)

    def __len__(self):
        return len(self.elements)

    def __getitem__(self, indices):
        return self.padded(indices, self.bucket[indices].max())

    def padded(self, indices, bucket):
        inside = np.arange(LENGTHS[bucket]) < self.elements[indices, None]
        x = np.where(inside, indices[:, None] + 1, 0).astype(np.int32)
        return {"x": x, "event": indices}


def epoch_of(source, batch_size, window=20, epoch=0, **process):
    read = BatchReader(source, batch_size, window, 5, **process)
    count = per_epoch(source, batch_size)
    return [read(i) for i in range(epoch * count, (epoch + 1) * count)]


@given(n=st.integers(6, 70), batch_size=st.integers(1, 6), window=st.integers(1, 80))
@settings(deadline=None, max_examples=40)
def test_all_events_but_an_incomplete_batch_come_once_and_whole(n, batch_size, window):
    source = Ragged(n)
    batches = epoch_of(source, batch_size, window)
    events = np.concatenate([b["event"] for b in batches])
    assert len(events) == len(set(events)) == n // batch_size * batch_size
    for batch in batches:
        assert len(batch["x"]) == batch_size
        longest = source.elements[batch["event"]].max()
        assert batch["x"].shape[1] == LENGTHS[np.searchsorted(LENGTHS, longest)]
        np.testing.assert_array_equal((batch["x"] > 0).sum(1), source.elements[batch["event"]])


def test_the_incomplete_batch_is_no_matter_of_length():
    """Left-over events are drawn from all lengths, not from the longest."""
    source = Ragged(62)
    left = []
    for epoch in range(40):
        used = np.concatenate([b["event"] for b in epoch_of(source, 4, 100, epoch)])
        left.extend(source.bucket[np.setdiff1d(np.arange(62), used)])
    assert len(left) == 80
    assert np.mean(np.array(left) == 2) == pytest.approx(np.mean(source.bucket == 2), abs=0.15)


def test_few_batches_are_padded_beyond_their_events():
    source = Ragged(60)
    straddling = [len(set(source.bucket[b["event"]])) > 1 for b in epoch_of(source, 4, 60)]
    assert sum(straddling) <= 2  # one at each border of two buckets


def test_batches_of_all_lengths_are_mixed():
    lengths = [b["x"].shape[1] for b in epoch_of(Ragged(60), 4, 60)]
    assert lengths != sorted(lengths)
    assert set(lengths) == set(LENGTHS)


def test_epochs_and_seeds_differ():
    source = Ragged()
    orders = {
        tuple(
            np.concatenate(
                [BatchReader(source, 4, 20, seed)(e * 15 + i)["event"] for i in range(15)]
            )
        )
        for seed in (0, 1)
        for e in (0, 1)
    }
    assert len(orders) == 4


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_batches_of_one_length(processes):
    source = Ragged()
    whole = epoch_of(source, 4)
    parts = [epoch_of(source, 4, process=p, processes=processes) for p in range(processes)]
    for batch, *shares in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(batch["x"], np.concatenate([s["x"] for s in shares]))


def test_reading_ahead_changes_nothing():
    source = Ragged()
    ahead = training_batches(source, InputConfig(window=20, threads=4, prefetch=7), 4, 5, 3, 20)
    read = BatchReader(source, 4, 20, 5)
    for i, batch in zip(range(3, 20), ahead, strict=True):
        np.testing.assert_array_equal(batch["x"], read(i)["x"])


def test_evaluation_sees_each_event_once():
    batches = list(evaluation_batches(Part(Ragged(), 7, 58), 4))
    seen = np.concatenate([b["event"][b["mask"] == 1] for b in batches])
    assert sorted(seen) == list(range(7, 58))
    assert [b["mask"].sum() for b in batches] == [4] * 12 + [3]
    lengths = [b["x"].shape[1] for b in batches]
    assert lengths == sorted(lengths)


def test_a_part_has_the_buckets_of_its_events():
    source, part = Ragged(), Part(Ragged(), 6, 17)
    np.testing.assert_array_equal(part.bucket, source.bucket[6:17])
    np.testing.assert_array_equal(part.padded(np.array([0, 10]), 2)["event"], [6, 16])


def test_by_bucket_keeps_the_order_inside_a_bucket():
    order = np.array([5, 0, 3, 1, 4, 2])
    bucket = np.array([0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(by_bucket(order, bucket, 2, 6), [0, 4, 2, 5, 3, 1])
    np.testing.assert_array_equal(by_bucket(order, bucket, 2, 4), [0, 5, 3, 1, 4, 2])


def test_one_compilation_a_bucket():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    sharding = NamedSharding(mesh, P("data"))
    step = jax.jit(lambda batch: jnp.where(batch["x"] > 0, 1, 0).sum())
    source, total = Ragged(), 0
    for epoch in range(3):
        for batch in epoch_of(source, 4, epoch=epoch):
            total += int(step(to_mesh(batch, sharding)))
    assert total == 3 * source.elements.sum()
    assert step._cache_size() == len(LENGTHS)
