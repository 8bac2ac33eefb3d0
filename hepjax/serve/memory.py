"""Bytes of the requests that are in memory now, over both protocols."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from hepjax.serve.refusal import Reason, Refusal

TOGETHER = 512 * 2**20
"""Bytes of all requests at once, or those of so many largest ones if that is more:"""
LARGEST_ONES = 8


@dataclass(eq=False)
class Memory:
    """What requests take, from their first byte to the last of the answer."""

    largest: int
    """Bytes of one request."""
    held: int = 0

    def require_size(self, size: int) -> None:
        """Refuse a request of so many bytes.

        Raises:
          Refusal: it is too large.
        """
        if size > self.largest:
            raise Refusal(
                Reason.LARGE, f"request: expected at most {self.largest} bytes, found {size}"
            )

    @contextlib.contextmanager
    def share(self) -> Iterator["Share"]:
        """The share of a request, given back at the end of the block."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held -= share.size


@dataclass(eq=False)
class Share:
    """Bytes of one request."""

    memory: Memory
    size: int = 0

    def grow(self, size: int) -> None:
        """Take so many bytes more.

        Raises:
          Refusal: the request is too large, or all together are.
        """
        self.size += size
        self.memory.held += size
        self.memory.require_size(self.size)
        limit = max(TOGETHER, LARGEST_ONES * self.memory.largest)
        if self.memory.held > limit:
            raise Refusal(
                Reason.FULL,
                f"request: expected at most {limit} bytes of all requests, found more; try later",
            )
