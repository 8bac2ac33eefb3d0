"""Batches depend on the step alone; each event comes once an epoch; blocks are decoded once."""

import numpy as np
import pytest
from helpers.toy import Line
from hypothesis import given, settings
from hypothesis import strategies as st

from hepjax import InputError
from hepjax.engine.config import InputConfig
from hepjax.engine.input import (
    BatchReader,
    evaluation_batches,
    per_epoch,
    shuffled,
    training_batches,
)
from hepjax.formats.source import Part


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 40), st.integers(0, 5))
@settings(deadline=None, max_examples=50)
def test_an_epoch_has_each_event_once(sizes, window, epoch):
    blocks = np.concatenate([[0], np.cumsum(sizes)])
    order = shuffled(blocks, window, 3, epoch)
    np.testing.assert_array_equal(np.sort(order), np.arange(blocks[-1]))


def test_epochs_and_seeds_differ():
    blocks = np.arange(0, 65, 4)
    orders = [shuffled(blocks, 16, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_a_window_holds_few_blocks():
    blocks = np.arange(0, 1001, 10)
    order = shuffled(blocks, 50, 0, 0)
    for start in range(0, 1000, 50):
        assert len(np.unique(order[start : start + 50] // 10)) == 5


def test_a_window_as_large_as_the_set_mixes_everything():
    order = shuffled(np.arange(0, 1001, 10), 1000, 0, 0)
    assert len(np.unique(order[:50] // 10)) > 20


def test_processes_share_the_global_batches():
    line = Line()
    whole = BatchReader(line, 8, 16, 0)
    parts = [BatchReader(line, 8, 16, 0, process, 4) for process in range(4)]
    for i in (0, 5, 9):
        rows = np.concatenate([part(i)["x"] for part in parts])
        np.testing.assert_array_equal(rows, whole(i)["x"])


def test_reading_ahead_changes_nothing():
    line = Line()
    read = BatchReader(line, 8, 16, 5)
    ahead = training_batches(line, InputConfig(window=16, threads=4, prefetch=7), 8, 5, 3, 20)
    for i, batch in zip(range(3, 20), ahead, strict=True):
        np.testing.assert_array_equal(batch["y"], read(i)["y"])


def test_fewer_events_than_a_batch_is_an_error():
    with pytest.raises(InputError, match=r"train\.batch_size"):
        per_epoch(Line(n=4), 8)


def test_evaluation_masks_the_padding():
    batches = list(evaluation_batches(Part(Line(), 0, 20), 8))
    assert [b["mask"].sum() for b in batches] == [8, 8, 4]
    assert all(len(b["x"]) == 8 for b in batches)


def test_a_part_has_its_own_events_and_blocks():
    line, part = Line(), Part(Line(), 6, 17)
    np.testing.assert_array_equal(part.blocks, [0, 2, 6, 10, 11])
    np.testing.assert_array_equal(part[np.array([0, 10])]["y"], line.y[[6, 16]])
