"""Lines of progress: rates, time left, totals that are learned later, silence."""

import threading
from contextlib import contextmanager

import pytest

from hepjax.engine import progress as module
from hepjax.engine.progress import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "_on_a_terminal", lambda: False)
    return now


def test_a_line_every_few_seconds_and_at_the_end(clock, capsys):
    with progress("pack", 100, "events", start=20) as advance:
        for second, n in ((1, 10), (6, 20), (7, 10), (8, 40)):
            clock[0] = float(second)
            advance(n, "loss 1")
    assert capsys.readouterr().err.splitlines() == [
        "pack: 50/100 events, 5.0/s, 10 s left  loss 1",
        "pack: 100/100 events, 10.0/s, 0 s left  loss 1",
    ]


def test_a_total_that_is_learned(clock, capsys):
    with progress("get a", 0, "MB") as advance:
        clock[0] = 6.0
        advance(12.0)
        advance(0, total=36.0)
        clock[0] = 12.0
        advance(12.0)
        advance(12.0)
    assert capsys.readouterr().err.splitlines() == [
        "get a: 12 MB, 2.0/s",
        "get a: 24/36 MB, 2.0/s, 6 s left",
        "get a: 36/36 MB, 3.0/s, 0 s left",
    ]


def test_a_long_silence_is_broken(clock, monkeypatch, capsys):
    calls = []

    @contextmanager
    def every(seconds, call):
        calls.append(call)
        yield

    monkeypatch.setattr(module, "_every", every)
    with progress("predict", 8, "events") as advance:
        (still,) = calls
        for second in (10, 29, 31, 45, 62):
            clock[0] = float(second)
            still()
        advance(4)
        clock[0] = 70.0
        still()
    with progress("export", 0, ""):
        clock[0] = 100.0
        calls[-1]()
    assert capsys.readouterr().err.splitlines() == [
        "predict: 0/8 events, 31 s so far",
        "predict: 0/8 events, 62 s so far",
        "export: 30 s so far",
    ]


def test_what_is_called_every_so_often_ends_with_the_block():
    called = threading.Event()
    with module._every(0.001, called.set):
        assert called.wait(60)
        (thread,) = (t for t in threading.enumerate() if t.name.endswith("(repeat)"))
    thread.join(60)
    assert not thread.is_alive()


def test_quiet(capsys):
    with progress("x", 3, "y", quiet=True) as advance:
        advance(3, total=5)
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(module, "_on_a_terminal", lambda: True)
    with progress("get a", 0, "MB") as advance:
        advance(1.0)
        advance(2.0, total=3.0)
    assert "3/3 MB" in capsys.readouterr().err
