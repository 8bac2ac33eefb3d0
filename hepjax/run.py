"""A run directory opened for use: the verified state of its best epoch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import yaml
from numpy.typing import ArrayLike

from hepjax import InputError
from hepjax.engine import records, rundir
from hepjax.engine.checkpoint import (
    best_first,
    complete_steps,
    read_manifest,
    restore,
    restore_first,
)
from hepjax.engine.config import to_settings
from hepjax.engine.mesh import make_mesh, replicated
from hepjax.engine.train import init_state
from hepjax.engine.workload import Generative, Predictive, State, Workload
from hepjax.workloads import table


@dataclass(frozen=True)
class Run:
    """A trained model and where it came from. Made by :func:`load`."""

    directory: Path
    workload: Workload
    cfg: Any
    step: int
    """The update whose checkpoint this is."""
    epoch: float
    state: State

    def generate(self, energy: ArrayLike, seed: int = 0, batch_size: int = 64) -> np.ndarray:
        """Showers at incident energies (n,) in GeV.

        The same seed gives the same showers, to rounding, whatever the batch size and the number of
        devices.

        Returns:
          (n, 25, 25, 25) float32, cell energies in GeV, axes x, y, z (depth).
        Raises:
          InputError: energies that are not positive finite numbers.
        """
        energies = np.atleast_1d(np.asarray(energy, np.float32))
        return np.concatenate(list(self.generated_batches(energies, seed, batch_size)))

    def generated_batches(
        self, energy: np.ndarray, seed: int, batch_size: int
    ) -> Iterator[np.ndarray]:
        """The showers of ``generate``, ``batch_size`` at a time, for more than memory holds.

        Raises:
          InputError: a workload that does not simulate events.
        """
        if not isinstance(self.workload, Generative):
            raise InputError(
                f"{self.directory}: expected a run that simulates events, "
                f"found one of {self.workload.name}"
            )
        return self.workload.generate(self.cfg, self.state, energy, seed, batch_size)

    def predict(
        self, paths: list[Path], batch_size: int = 256, *, quiet: bool = True
    ) -> Iterator[dict[str, np.ndarray]]:
        """What the model says of the events of ``paths``, as rows of a table, piece by piece.

        Returns:
          columns (rows,), the same in every piece; what a row is depends on the workload.
        Raises:
          InputError: unusable files, or a workload that judges no events.
        """
        if not isinstance(self.workload, Predictive):
            raise InputError(
                f"{self.directory}: expected a run that judges events, "
                f"found one of {self.workload.name}; use hepjax generate"
            )
        source = self.workload.open(self.cfg, paths)
        return self.workload.predict_table(
            self.cfg, self.state, source, batch_size, quiet=quiet
        )  # fmt: skip

    def evaluate(
        self, paths: list[Path], out: Path, *, seed: int = 0, quiet: bool = True
    ) -> dict[str, Any]:
        """Write the report page on the events of ``paths`` into ``out``; return its scores.

        Without paths the test events of the run are used, or those of its validation if it has
        no others.
        """
        cfg, part = self.cfg, "files"
        if paths:
            source = self.workload.open(cfg, paths)
        else:
            sources = self.workload.sources(cfg)
            part = "validation" if sources.test is None else "test"
            source = sources.validation if sources.test is None else sources.test
        about = {
            "run_config": yaml.safe_dump(to_settings(self.cfg), sort_keys=False),
            "provenance": {
                "run": str(self.directory), "step": self.step, "epoch": self.epoch, "seed": seed,
                "data": [str(p) for p in paths] or f"{part} events of the run",
            } | rundir.provenance(),
            "history": records.read(self.directory / "metrics.jsonl"),
        }  # fmt: skip
        return self.workload.evaluate(
            cfg, self.state, source, out, seed=seed, about=about, quiet=quiet
        )


def load(run_dir: str | Path, step: int | None = None) -> Run:
    """Open a run directory: verified restore on the devices that are here, however many.

    Args:
      step: the checkpoint wanted; by default the best of the last epochs (by the score that the
        workload names), as published, or the next best with a warning if that one is damaged.
    Raises:
      InputError: no run directory, no such checkpoint, or none that verifies.
    """
    directory = Path(run_dir)
    settings = rundir.read_settings(directory)
    workload, cfg = table.configure(settings)
    folder = directory / "checkpoints"
    known = complete_steps(folder)
    if not known or step not in (None, *known):
        wanted = "checkpoints" if step is None else f"a checkpoint of step {step}"
        raise InputError(f"{folder}: expected {wanted}, found {known or 'none; train first'}")
    mesh = make_mesh(type(cfg.mesh)(), len(jax.devices()))
    abstract = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=replicated(mesh)),
        jax.eval_shape(lambda: init_state(workload, cfg)),
    )
    if step is not None:
        chosen, state = step, restore(folder, step, abstract)
    else:
        chosen, state = restore_first(folder, best_first(folder), abstract) or (0, None)
    epoch = float(read_manifest(folder, chosen)["epoch"])
    return Run(directory, workload, cfg, chosen, epoch, state.model)
