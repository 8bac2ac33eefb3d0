"""Devices without room for what they are given: one line instead of the allocator's report."""

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
