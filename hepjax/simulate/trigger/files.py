"""Writes the events of a trigger task into a folder; they depend on their number and seed alone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hepjax.formats.atomic import make_folder
from hepjax.formats.trigger.tables import Events
from hepjax.formats.trigger.writer import write_clusters, write_events
from hepjax.simulate.trigger import anomaly, toy
from hepjax.simulate.trigger.clusters import clusters
from hepjax.simulate.trigger.jets import jets

AT_A_TIME = 2000
"""Events with a random stream of their own."""
SIGNAL_SHARE = 0.2
"""Of the events of the anomaly task."""
Advance = Callable[[int], object]


def write_trigger(out: Path, task: str, events: int, seed: int, advance: Advance) -> None:
    """Write so many events into a new folder: ``events.parquet``, or the files of clusters."""
    make_folder(out)
    if task == "pixels":
        for number, (count, rng) in enumerate(_pieces(events, seed, task)):
            made = clusters(count, rng)
            write_clusters(out, number + 1, made.charge, made.labels)
            advance(count)
        return

    def pieces() -> Iterator[Events]:
        for count, rng in _pieces(events, seed, task):
            yield _made(task, count, rng)
            advance(count)

    write_events(out / "events.parquet", pieces(), task, {"seed": str(seed)})


def _pieces(events: int, seed: int, task: str) -> Iterator[tuple[int, np.random.Generator]]:
    for start in range(0, events, AT_A_TIME):
        words = [seed, start, *task.encode()]
        yield min(AT_A_TIME, events - start), np.random.default_rng(words)


def _made(task: str, count: int, rng: np.random.Generator) -> Events:
    if task != "anomaly":
        return jets(count, rng) if task == "jets" else toy.points(task, count, rng)
    signals = round(SIGNAL_SHARE * count)
    parts = [anomaly.collisions(False, count - signals, rng)]
    if signals:
        parts.append(anomaly.collisions(True, signals, rng))
    return anomaly.mixed(parts, rng)
