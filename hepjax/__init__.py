"""hepjax: reference deep-learning workloads of high-energy physics, from one JAX code.

``hepjax.load(run_dir)`` opens a trained run; the pure functions are in ``hepjax.physics`` and
``hepjax.ops``. Importing this module starts neither jax nor any file.

The errors are defined here. Every other exception that reaches a user is a bug. The command line
turns each into one line on standard error and its exit code; the text reads
``<file, key or setting>: expected ..., found ...; <the way out>``.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hepjax.run import Run

__version__ = "0.1.0"
__all__ = [
    "HepjaxError",
    "InputError",
    "MissingExtraError",
    "TrainingError",
    "__version__",
    "load",
]


class HepjaxError(Exception):
    """Base class: one line for the user and the exit code of the command."""

    exit_code = 1


class InputError(HepjaxError, ValueError):
    """The user's input or configuration cannot be used as it is."""

    exit_code = 2


class MissingExtraError(InputError):
    """An optional dependency is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature}: needs an optional package; pip install 'hepjax[{extra}]'")


class TrainingError(HepjaxError):
    """Training went wrong (non-finite loss, dead generator); the last good checkpoint is kept."""

    exit_code = 3


def load(run_dir: str | Path, step: int | None = None) -> "Run":
    """Open a run directory: the verified state of its best epoch, or of ``step``.

    Raises:
      InputError: no run directory, no such checkpoint, or it does not verify.
    """
    from hepjax.run import load

    return load(run_dir, step)
