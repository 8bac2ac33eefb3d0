"""Progress for people: a bar on a terminal, otherwise a line every few seconds, or silence."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def progress(
    label: str, total: int, unit: str, *, quiet: bool = False, start: int = 0
) -> Iterator[Callable[..., None]]:
    """Yield ``advance(n, note="")``, to be called after each piece of work.

    Args:
      label: what is being done, for example ``simulate``.
      total: how many units there are in all; ``start`` of them are done already.
      unit: what is counted, for example ``showers``.
      quiet: print nothing.
    """
    if quiet:
        yield lambda n, note="": None
    elif _on_a_terminal():
        with _bar(label, total, unit, start) as advance:
            yield advance
    else:
        yield _lines(label, total, unit, start)


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
def _bar(label: str, total: int, unit: str, start: int) -> Iterator[Callable[..., None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(f"{{task.completed:.0f}}/{{task.total:.0f}} {unit}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    began, done = time.monotonic(), 0
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total, completed=start, rate="", note="")

        def advance(n: int, note: str = "") -> None:
            nonlocal done
            done += n
            rate = done / max(time.monotonic() - began, 1e-9)
            bar.update(task, advance=n, rate=f"{rate:,.1f}/s", note=note)

        yield advance


def _lines(label: str, total: int, unit: str, start: int) -> Callable[..., None]:
    began = last = time.monotonic()
    done = 0

    def advance(n: int, note: str = "") -> None:
        nonlocal done, last
        done += n
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_LINES and start + done < total:
            return
        last = now
        rate = done / max(now - began, 1e-9)
        left = (total - start - done) / max(rate, 1e-9)
        text = f"{label}: {start + done}/{total} {unit}, {rate:,.1f}/s, {left:.0f} s left"
        say(f"{text}  {note}".rstrip())

    return advance
