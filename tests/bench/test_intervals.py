"""The time of a device divides over what ran on it; nothing is lost and nothing counted twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hepjax.bench.intervals import Ran, overlap, shares


def test_what_runs_at_the_same_time_shares_it():
    events = [Ran(0, 10, "a"), Ran(4, 8, "b"), Ran(4, 8, "b"), Ran(12, 30, "c")]
    times, gaps = shares(events, (2, 20))
    assert times == pytest.approx({"a": 2 + 4 / 3 + 2, "b": 8 / 3, "c": 8})
    assert gaps == [(10, 12)]


def test_a_loop_has_the_time_that_nothing_in_it_has():
    events = [Ran(0, 10, "while", True), Ran(1, 4, "dot"), Ran(6, 8, "add")]
    times, gaps = shares(events, (0, 10))
    assert times == {"while": 5, "dot": 3, "add": 2}
    assert gaps == []


def test_nothing_ran():
    assert shares([], (3, 7)) == ({}, [(3, 7)])
    assert shares([Ran(0, 2, "before")], (3, 7)) == ({}, [(3, 7)])


TIMES = st.integers(0, 50)
EVENTS = st.lists(
    st.builds(
        lambda start, length, name, container: Ran(start, start + length, name, container),
        TIMES, TIMES, st.sampled_from("abc"), st.booleans(),
    )
)  # fmt: skip


@given(EVENTS, TIMES, st.integers(1, 60))
def test_shares_and_gaps_add_up_to_the_window(events, low, length):
    times, gaps = shares(events, (low, low + length))
    idle = sum(stop - start for start, stop in gaps)
    assert sum(times.values()) + idle == pytest.approx(length)
    busy = {t for e in events for t in range(e.start, e.stop)} & set(range(low, low + length))
    assert length - idle == len(busy)


def intervals(edges):
    edges = sorted(edges)
    return list(zip(edges[::2], edges[1::2], strict=False))


@given(st.sets(TIMES).map(intervals), st.sets(TIMES).map(intervals))
def test_overlap(one, other):
    def seconds(gaps):
        return {t for start, stop in gaps for t in range(start, stop)}

    assert overlap(one, other) == len(seconds(one) & seconds(other))
