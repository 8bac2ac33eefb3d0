"""Progress for people: a bar on a terminal, otherwise a line every few seconds, or silence.

Work that is not done piece by piece (a compilation, one long piece) is not silent either: the bar
turns, and without a terminal a line says every half minute that it goes on.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SECONDS_BETWEEN_LINES = 5.0
SILENCE = 30.0
"""Seconds without a piece of work after which a line says that it goes on."""


@contextmanager
def progress(
    label: str, total: float, unit: str, *, quiet: bool = False, start: float = 0
) -> Iterator[Callable[..., None]]:
    """Yield ``advance(n, note="", total=None)``, to be called after each piece of work.

    Args:
      label: what is being done, for example ``simulate``.
      total: how many units there are in all, 0 if that is not known yet (``advance`` may be told it
        later); ``start`` of them are done already.
      unit: what is counted, for example ``showers``; empty for work in one piece.
      quiet: print nothing.
    """
    if quiet:
        yield lambda n, note="", total=None: None
    elif _on_a_terminal():
        with _bar(label, total, unit, start) as advance:
            yield advance
    else:
        advance, still = _lines(label, total, unit, start)
        with _every(SILENCE / 3, still):
            yield advance


def say(text: str) -> None:
    """A line on standard error; one that cannot be written is lost."""
    with suppress(AttributeError, OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _on_a_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, OSError, ValueError):
        return False


@contextmanager
def _bar(label: str, total: float, unit: str, start: float) -> Iterator[Callable[..., None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(f"{{task.completed:.0f}}{{task.fields[whole]}} {unit}" if unit else ""),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    began, done = time.monotonic(), 0.0
    with Progress(*columns, console=Console(stderr=True), transient=not unit) as bar:
        whole = f"/{total:.0f}" if total else ""
        task = bar.add_task(label, total=total or None, rate="", note="", whole=whole)
        bar.update(task, completed=start)

        def advance(n: float, note: str = "", total: float | None = None) -> None:
            nonlocal done
            done += n
            if total is not None:
                bar.update(task, total=total, whole=f"/{total:.0f}")
            rate = done / max(time.monotonic() - began, 1e-9)
            bar.update(task, advance=n, rate=f"{rate:,.1f}/s", note=note)

        yield advance


@contextmanager
def _every(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call something again and again in a thread while the block lasts."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            call()

    threading.Thread(target=repeat, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _lines(
    label: str, total: float, unit: str, start: float
) -> tuple[Callable[..., None], Callable[[], None]]:
    """``advance``, and what is called now and then to break a long silence."""
    began = last = time.monotonic()
    done, whole = 0.0, total

    def so_far() -> str:
        amount = f"{start + done:.0f}" + (f"/{whole:.0f}" if whole else "") + f" {unit}, "
        return f"{label}: {amount if unit else ''}"

    def advance(n: float, note: str = "", total: float | None = None) -> None:
        nonlocal done, last, whole
        done += n
        whole = whole if total is None else total
        now = time.monotonic()
        ended = n > 0 and 0 < whole <= start + done
        if now - last < SECONDS_BETWEEN_LINES and not ended:
            return
        last = now
        rate = done / max(now - began, 1e-9)
        text = f"{so_far()}{rate:,.1f}/s"
        if whole and rate > 0:
            text += f", {max(whole - start - done, 0) / rate:.0f} s left"
        say(f"{text}  {note}".rstrip())

    def still() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SILENCE:
            last = now
            say(f"{so_far()}{now - began:.0f} s so far")

    return advance, still
