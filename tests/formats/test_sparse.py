"""Ragged blocks: every way out of them gives the same cells."""

import threading

import numpy as np
import pytest

from hepjax.formats.source import locate
from hepjax.formats.sparse import (
    Block,
    SparseBlocks,
    SparseImages,
    by_event,
    dense,
    padded,
    padded_width,
    scatter,
)

SIZE = 40
RECORD = np.dtype([("energy", np.float32)])


def block(k, events=7):
    """Made-up events, one of them empty, and what they are when dense."""
    rng = np.random.default_rng(k)
    cells = np.where(rng.random((events, SIZE)) < 0.3, rng.random((events, SIZE)), 0)
    cells = cells.astype(np.float32)
    cells[2] = 0
    flat = cells.reshape(-1)
    first, cell = by_event(np.flatnonzero(flat), events, SIZE)
    records = np.zeros(events, RECORD)
    records["energy"] = 100 * k + np.arange(events)
    return Block(SparseImages(first, cell.astype(np.uint16), flat[flat != 0]), records), cells


def test_events_of_several_blocks_come_in_any_order():
    decoded = []

    def decode(k):
        decoded.append(k)
        return block(k)[0]

    events = SparseBlocks(np.array([0, 7, 14, 21]), decode, RECORD, cache_bytes=2**20)
    expected = np.concatenate([block(k)[1] for k in range(3)])
    order = np.random.default_rng(0).integers(0, 21, 30)
    views, columns = events[order]
    assert np.array_equal(dense(views, SIZE), expected[order])
    assert columns["energy"].tolist() == [100 * (i // 7) + i % 7 for i in order]
    assert sorted(decoded) == [0, 1, 2]
    assert events.nbytes == sum(block(k)[0].nbytes for k in range(3))

    width = padded_width(max(len(cell) for cell, _ in views))
    batch = padded(views, width, SIZE)
    assert batch["cell"].dtype == np.int32
    assert batch["cell"].shape == batch["value"].shape == (30, 128)
    assert np.array_equal(scatter(batch["cell"], batch["value"], SIZE), expected[order])


def test_threads_decode_a_block_once():
    decoded, ready = [], threading.Barrier(4)

    def decode(k):
        decoded.append(k)
        return block(k)[0]

    events = SparseBlocks(np.array([0, 7]), decode, RECORD, cache_bytes=2**20)

    def read():
        ready.wait()
        events[np.arange(7)]

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert decoded == [0]


def test_the_width_holds_the_largest_event():
    assert [padded_width(n) for n in (0, 1, 128, 129)] == [128, 128, 128, 256]
    assert block(0)[0].images.largest == (block(0)[1] != 0).sum(1).max()


def test_events_that_do_not_exist_are_refused():
    for bad in ([-1], [14]):
        with pytest.raises(IndexError, match="events 0 to 13 exist"):
            locate(np.array([0, 7, 14]), np.array(bad))
