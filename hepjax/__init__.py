"""hepjax: reference deep-learning workloads of high-energy physics, from one JAX code.

``hepjax.load(run_dir)`` opens a trained run; the pure functions are in ``hepjax.gan3d`` and
``hepjax.ops``. Importing this module starts neither jax nor any file.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from hepjax.errors import HepjaxError, InputError, TrainingError

if TYPE_CHECKING:
    from hepjax.run import Run

__version__ = "0.1.0"
__all__ = ["HepjaxError", "InputError", "TrainingError", "__version__", "load"]


def load(run_dir: str | Path, step: int | None = None) -> "Run":
    """Open a run directory: the verified state of its best epoch, or of ``step``.

    Raises:
      InputError: no run directory, no such checkpoint, or it does not verify.
    """
    from hepjax.run import load

    return load(run_dir, step)
