"""Devices without room for what they are given: one line instead of the allocator's report."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import jax

from hepjax import InputError


@contextmanager
def enough_memory(otherwise: str) -> Iterator[None]:
    """Use devices inside the block.

    Raises:
      InputError: with the text ``otherwise`` and the allocator's first line, when a device cannot
        hold a program or an array.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        reason = str(error).splitlines()[0].rpartition("RESOURCE_EXHAUSTED: ")[2]
        raise InputError(f"{otherwise} ({reason.rstrip('.')})") from error


def memory_of(device: jax.Device) -> int:
    """Bytes of memory that a device has in all; a CPU has that of the machine."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
