"""Which waiting requests are answered together, and padded to what. Pure functions of numbers.

An answer must not depend on what happens to be in its batch. So an event is padded to a length that
follows from its own length alone, and only events of one padded length share a batch.
"""

import bisect
from collections.abc import Hashable, Sequence
from typing import NamedTuple


class Waiting(NamedTuple):
    """Events that wait: those of one request, or of a part of it."""

    rows: int
    group: Hashable
    """Only events of one group can be answered together: model, version, padded length."""


def sizes(most: int, sharing: int = 1) -> tuple[int, ...]:
    """Batch sizes to compile: powers of two up to ``most``, times the devices that share a batch.

    >>> sizes(12)
    (1, 2, 4, 8)
    """
    doubled = (1 << k for k in range(max(most // sharing, 1).bit_length()))
    return tuple(n * sharing for n in doubled)


def buckets(lengths: Sequence[int], most: int, sharing: int = 1) -> dict[int, tuple[int, ...]]:
    """Batch sizes to compile for each padded length.

    A batch holds no more elements than one event of the longest: its memory and its time are
    those of one long event.

    Args:
      lengths: rising; (0,) if events have no length.
      most: events of a batch.
    """
    limit = lengths[-1]
    return {
        length: sizes(min(most, limit // length) if length else most, sharing) for length in lengths
    }


def padded(value: int, allowed: Sequence[int]) -> int:
    """The smallest of ``allowed`` (rising) that holds ``value``."""
    return allowed[bisect.bisect_left(allowed, value)]


def parts(rows: int, most: int) -> list[slice]:
    """The rows of a request in parts that fit into a batch."""
    return [slice(first, min(first + most, rows)) for first in range(0, rows, most)]


def choose(waiting: Sequence[Waiting], most: int) -> list[int]:
    """The next batch: the oldest, and behind it what fits of its group, in order.

    Args:
      waiting: oldest first.
      most: events of a batch of the oldest one's group.
    Returns:
      positions in ``waiting``.
    """
    group, rows, chosen = waiting[0].group, 0, []
    for position, item in enumerate(waiting):
        if item.group == group and rows + item.rows <= most:
            chosen.append(position)
            rows += item.rows
            if rows == most:
                break
    return chosen
