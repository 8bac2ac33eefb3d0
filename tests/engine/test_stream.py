"""The single pass: each event once, its place from the step, whatever the number of processes."""

import pickle

import numpy as np
import pytest

from hepjax import InputError
from hepjax.engine.input import BatchReader, per_epoch
from hepjax.engine.stream import Shards, Stream, held_out, lanes

SIZES = np.array([7, 8, 8, 5, 8, 8, 8, 3, 8, 8])


def stream(count=4, broken=(), most_lost=0.0, sizes=SIZES):
    first = np.concatenate([[0], np.cumsum(sizes)])
    reads = []

    def read(k):
        reads.append(k)
        if k in broken:
            raise InputError(f"shard-{k}: expected a shard, found none")
        return {"event": np.arange(first[k], first[k + 1])}

    def empty(n):
        return {"event": np.zeros(n, np.int64)}

    made = Stream(Shards(np.asarray(sizes), read, empty, "these", most_lost), count)
    return made, reads


def batches(source, size=8, window=16, seed=3, processes=1, start=0):
    """Global batches, put together from the rows of each process."""
    made = []
    for i in range(start, source.updates(size)):
        parts = [source.batch(i, size, window, seed, p, processes) for p in range(processes)]
        made.append({k: np.concatenate([p[k] for p in parts]) for k in parts[0]})
    return made


def events(made):
    return np.concatenate([b["event"][b["there"]] for b in made])


def test_each_event_comes_once_and_each_shard_is_read_once():
    source, reads = stream()
    found = events(batches(source))
    assert sorted(found) == list(range(SIZES.sum()))
    assert sorted(reads) == list(range(len(SIZES)))
    assert not np.array_equal(found, np.sort(found))


@pytest.mark.parametrize("processes", [2, 4])
def test_the_number_of_processes_changes_nothing(processes):
    one, many = batches(stream()[0]), batches(stream()[0], processes=processes)
    for a, b in zip(one, many, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_two_processes_read_no_shard_twice():
    (first, read_first), (second, read_second) = stream(), stream()
    for i in range(first.updates(8)):
        first.batch(i, 8, 16, 3, 0, 2)
        second.batch(i, 8, 16, 3, 1, 2)
    assert not set(read_first) & set(read_second)
    assert sorted(read_first + read_second) == list(range(len(SIZES)))


def test_a_batch_depends_on_its_number_alone():
    whole, later = batches(stream()[0]), batches(stream()[0], start=4)
    for a, b in zip(whole[4:], later, strict=True):
        np.testing.assert_array_equal(a["event"], b["event"])
    moved = pickle.loads(pickle.dumps(Stream(Shards(SIZES, _read, _empty, "x"), 4)))
    assert moved.batch(0, 8, 16, 3, 0, 1)["there"].any()


def _read(k):
    return {"event": np.arange(SIZES[k])}


def _empty(n):
    return {"event": np.zeros(n, np.int64)}


def test_seeds_differ_and_windows_mix_shards():
    source = stream()[0]
    assert not np.array_equal(events(batches(source, seed=3)), events(batches(source, seed=4)))
    lane = lanes(SIZES, 1, 16, 0)[0]
    assert (np.diff(lane.first) >= 1).all()
    assert lane.start[-1] == SIZES.sum()
    assert (np.diff(lane.start)[:-1] >= 8).all()
    mixed = batches(stream(count=1)[0], window=40)
    assert any(len(set(b["shard"][b["there"]])) > 2 for b in mixed)


def test_the_engine_reads_it_as_batches():
    source, _ = stream()
    assert per_epoch(source, 8) == source.updates(8)
    read = BatchReader(source, 8, 16, 3)
    np.testing.assert_array_equal(read(2)["event"], batches(source)[2]["event"])


def test_lost_shards_keep_the_places_of_the_others(capsys):
    whole = batches(stream()[0])
    source, _ = stream(broken=(2, 5), most_lost=0.2)
    for a, b in zip(whole, batches(source), strict=True):
        gone = np.isin(a["shard"], (2, 5)) & a["there"]
        np.testing.assert_array_equal(b["lost"], gone)
        np.testing.assert_array_equal(b["there"], a["there"] & ~gone)
        np.testing.assert_array_equal(a["event"][b["there"]], b["event"][b["there"]])
    assert "skipped, 2 of at most 2 shards" in capsys.readouterr().err


def test_more_lost_shards_than_allowed_end_the_pass():
    source, _ = stream(broken=(2, 5, 8), most_lost=0.2)
    with pytest.raises(
        InputError, match=r"^shard-\d: .* data.most_lost: expected at most 2 such shards of 10, "
    ):
        batches(source)


def test_lanes_that_do_not_fit():
    with pytest.raises(InputError, match=r"data.lanes: expected at most the 10 shards, found 11"):
        batches(stream(count=11)[0], size=11)
    with pytest.raises(InputError, match=r"train.batch_size: expected a multiple of the 4 data.la"):
        stream()[0].updates(6)
    with pytest.raises(InputError, match=r"data.lanes: expected a multiple of the 3 processes"):
        stream()[0].batch(0, 12, 16, 3, 0, 3)


def test_a_share_is_held_out_by_the_number_alone():
    numbers = np.arange(100_000)
    held = held_out(numbers, 0.05)
    assert held.mean() == pytest.approx(0.05, abs=4 * (0.05 * 0.95 / 1e5) ** 0.5)
    np.testing.assert_array_equal(held[500:600], held_out(numbers[500:600], 0.05))
    assert held_out(numbers, 0.1)[held].all()
