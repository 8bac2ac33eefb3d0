"""hepjax: reference deep-learning workloads of high-energy physics, from one JAX code.

``hepjax.train(config, run_dir)`` makes a run directory and ``hepjax.load(run_dir)`` opens one. The
pure functions are in ``hepjax.physics`` and ``hepjax.ops``. Importing this module starts neither
jax nor any file.

The errors are defined here. Every other exception that reaches a user is a bug. The command line
turns each into one line on standard error and its exit code; the text reads
``<file, key or setting>: expected ..., found ...; <the way out>``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from hepjax.run import Run

__version__ = "0.1.0"
__all__ = [
    "HepjaxError",
    "InputError",
    "MissingExtraError",
    "TrainingError",
    "__version__",
    "load",
    "train",
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


def load(run_dir: "str | Path", step: int | None = None, member: int | None = None) -> "Run":
    """Open a run directory: the verified state of its best epoch, or of ``step``.

    Args:
      member: of a population; by default all members together.
    Raises:
      InputError: no run directory, no such checkpoint, or it does not verify.
    """
    from hepjax.run import load

    return load(run_dir, step, member)


def train(
    config: "str | Path | dict[str, Any]",
    run_dir: "str | Path",
    *,
    quiet: bool = True,
    **overrides: Any,
) -> "Run":
    """Train, or go on training, in a run directory, as ``hepjax train`` does; open the result.

    Args:
      config: packaged name (``gan3d/small``), YAML file, or nested settings with ``workload``.
      overrides: settings by their path: ``**{"data.files": ["data/train"], "train.epochs": 3}``.
    Raises:
      InputError: settings, data, devices or disk do not allow it.
      TrainingError: non-finite updates, or a failure that the workload sees.
    """
    from pathlib import Path

    from hepjax import run

    run.train(*run.configured(config, overrides), Path(run_dir), quiet=quiet)
    return run.load(run_dir)
