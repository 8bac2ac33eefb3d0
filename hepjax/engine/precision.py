"""How exactly matrix products and convolutions multiply float32 numbers on accelerators."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax

R = TypeVar("R")


def exactly(cfg: Any, function: Callable[..., R]) -> Callable[..., R]:
    """``function``, traced so that it multiplies as ``train.precision`` wants it.

    Without ``float32_highest`` the default of jax, or of the user, holds.
    """
    if cfg.train.precision != "float32_highest":
        return function

    @functools.wraps(function)
    def traced(*args: Any) -> R:
        with jax.default_matmul_precision("highest"):
            return function(*args)

    return traced
