"""A least-recently-used cache of decoded blocks, bounded in bytes and shared by threads."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

import numpy as np


class Sized(Protocol):
    """Anything that knows its memory."""

    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=Sized)


class BlockCache(Generic[T]):
    """Decoded blocks by number. Pickles without the blocks."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, Future[T]] = OrderedDict()
        self._bytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the blocks that are kept."""
        return self._bytes

    def __getstate__(self) -> dict[str, Any]:
        return {"_limit_bytes": self._limit_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_limit_bytes"])  # type: ignore[misc]

    def get_all(self, numbers: np.ndarray, decode: Callable[[int], T]) -> dict[int, T]:
        """The blocks of these numbers, each once; waits for those that other threads decode."""
        futures = {k: self.get(k, decode) for k in np.unique(numbers).tolist()}
        return {k: future.result() for k, future in futures.items()}

    def get(self, k: int, decode: Callable[[int], T]) -> "Future[T]":
        """Block ``k`` as a future; the first thread that asks decodes it, others go on."""
        with self._lock:
            if k in self._blocks:
                self._blocks.move_to_end(k)
                return self._blocks[k]
            future = self._blocks[k] = Future()
        try:
            block = decode(k)
        except BaseException as error:
            with self._lock:
                self._blocks.pop(k, None)
            future.set_exception(error)
            raise
        future.set_result(block)
        with self._lock:
            self._bytes += block.nbytes
            for old in [j for j, f in self._blocks.items() if f.done() and j != k]:
                if self._bytes <= self._limit_bytes:
                    break
                self._bytes -= self._blocks.pop(old).result().nbytes
        return future
