"""Requests take no more memory than they may, and give it back."""

import pytest

from hepjax.serve import memory
from hepjax.serve.memory import Memory
from hepjax.serve.refusal import Reason, Refusal


def test_a_request_is_bounded_and_gives_back():
    whole = Memory(100)
    with whole.share() as share:
        share.grow(60)
        with pytest.raises(Refusal, match="at most 100 bytes, found 101"):
            share.grow(41)
    assert whole.held == 0


def test_all_together_are_bounded(monkeypatch):
    monkeypatch.setattr(memory, "TOGETHER", 250)
    monkeypatch.setattr(memory, "LARGEST_ONES", 1)
    whole = Memory(100)
    with whole.share() as one, whole.share() as other:
        one.grow(100)
        other.grow(100)
        with pytest.raises(Refusal) as caught, whole.share() as third:
            third.grow(51)
        assert caught.value.reason is Reason.FULL
        assert whole.held == 200
    assert whole.held == 0
