"""Batches are filled oldest first, with events of one padded length."""

import pytest

from hepjax.serve.plan import Waiting, buckets, choose, padded, parts, sizes


def test_sizes_are_powers_of_two_times_the_devices():
    assert sizes(1) == (1,)
    assert sizes(12) == (1, 2, 4, 8)
    assert sizes(16, sharing=4) == (4, 8, 16)
    assert sizes(2, sharing=4) == (4,)


def test_no_batch_is_larger_than_one_longest_event():
    assert buckets((0,), 4) == {0: (1, 2, 4)}
    known = buckets((64, 128, 200), 8)
    assert known == {64: (1, 2), 128: (1,), 200: (1,)}
    assert all(length * known[length][-1] <= 200 for length in known)


@pytest.mark.parametrize(("value", "slots"), [(1, 1), (3, 4), (4, 4), (5, 8)])
def test_padding_takes_the_next_size(value, slots):
    assert padded(value, (1, 2, 4, 8)) == slots


def test_a_large_request_is_cut_into_batches():
    assert parts(7, 3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert parts(3, 8) == [slice(0, 3)]


def test_the_oldest_goes_first_with_those_of_its_group_that_fit():
    waiting = [Waiting(2, "a"), Waiting(1, "b"), Waiting(7, "a"), Waiting(6, "a"), Waiting(1, "a")]
    assert choose(waiting, 8) == [0, 3]
    assert choose(waiting[1:], 8) == [0]
    assert choose([Waiting(3, "a"), Waiting(6, "a"), Waiting(1, "a")], 8) == [0, 2]
