"""Who has the time of a device: what runs at the same time shares it, and the rest are gaps."""

from collections.abc import Iterable
from typing import NamedTuple

Gaps = list[tuple[float, float]]
"""Intervals in ns that do not overlap."""


class Ran(NamedTuple):
    """One operation or kernel in a trace; times in ns."""

    start: float
    stop: float
    name: str
    container: bool = False


def shares(events: Iterable[Ran], window: tuple[float, float]) -> tuple[dict[str, float], Gaps]:
    """How the time of a window divides over what ran on one device, and when nothing did.

    What runs at the same time shares that time equally; containers count only while nothing else
    runs.

    Returns:
      ns by name, which with the gaps add up to the window; and the gaps.
    """
    low, high = window
    edges: list[tuple[float, int, Ran]] = []
    for event in events:
        start, stop = max(event.start, low), min(event.stop, high)
        if start < stop:
            edges += [(start, 1, event), (stop, -1, event)]
    edges.sort(key=lambda edge: edge[:2])
    active: tuple[dict[str, int], dict[str, int]] = {}, {}
    total: dict[str, float] = {}
    gaps, before = [], low
    for at, change, event in edges:
        if at > before:
            counts = active[0] or active[1]
            running = sum(counts.values())
            for name, count in counts.items():
                total[name] = total.get(name, 0.0) + (at - before) * count / running
            if not counts:
                gaps.append((before, at))
        counts = active[event.container]
        counts[event.name] = counts.get(event.name, 0) + change
        if not counts[event.name]:
            del counts[event.name]
        before = at
    if before < high:
        gaps.append((before, high))
    return total, gaps


def overlap(gaps: Gaps, others: Gaps) -> float:
    """ns that two lists of intervals have in common; within each they do not overlap."""
    total = 0.0
    later = iter(sorted(others))
    other = next(later, None)
    for start, stop in sorted(gaps):
        while other is not None and other[1] <= start:
            other = next(later, None)
        while other is not None and other[0] < stop:
            total += min(stop, other[1]) - max(start, other[0])
            if other[1] > stop:
                break
            other = next(later, None)
    return total
