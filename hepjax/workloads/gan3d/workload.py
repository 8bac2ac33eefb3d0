"""The 3DGAN as the engine sees it: which files, which functions, which report."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.engine.workload import Sources
from hepjax.formats.showers.reader import open_showers
from hepjax.formats.source import Part, Source
from hepjax.workloads.gan3d import evaluation, objective, validation
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.generation import generated_batches
from hepjax.workloads.gan3d.model import GRID

EMPTY_SHOWERS = 100.0
"""MAPE of the visible energy when every generated shower is empty: the generator is dead."""


class Gan3D:
    """The fixed-angle 3DGAN; stateless, see engine/workload.py for what each function is for."""

    name = "gan3d"
    Config = Gan3DConfig
    score = validation.SCORE

    init = staticmethod(objective.init)
    prepare = staticmethod(objective.prepare)
    train_step = staticmethod(objective.train_step)
    eval_step = staticmethod(validation.eval_step)

    def summarise(self, cfg: Gan3DConfig, sums: dict[str, Any]) -> dict[str, float]:
        """Validation metrics of one epoch."""
        return validation.summarise(sums)

    def failure(self, cfg: Gan3DConfig, step: int, metrics: dict[str, float]) -> str | None:
        """The published abort: after ten updates all generated showers are empty."""
        if step > 10 and abs(metrics["gen_sum"] - EMPTY_SHOWERS) < 1e-4:
            return "expected generated showers with energy, found a dead generator (all are empty)"
        return None

    def open(self, cfg: Gan3DConfig, paths: list[Path]) -> Source:
        """Showers of these files after the event cuts of the configuration.

        Raises:
          InputError: unreadable, of another grid, or without incident energies.
        """
        source = open_showers(
            paths, unit=cfg.data.unit, energy_window=cfg.data.energy_range,
            min_sum=cfg.data.min_sum, crop=cfg.data.crop,
        )  # fmt: skip
        if source.energy is None:
            raise InputError(f"{paths[0]}: expected incident energies, found a file without them")
        if source.grid != GRID:
            raise InputError(
                f"{paths[0]}: expected showers of {GRID} cells for gan3d, found {source.grid}"
            )
        return source

    def sources(self, cfg: Gan3DConfig) -> Sources:
        """Training and validation showers: separate files, or the last part of the sorted files."""
        source = self.open(cfg, [Path(p) for p in cfg.data.files])
        if cfg.data.validation_files:
            validating = self.open(cfg, [Path(p) for p in cfg.data.validation_files])
            return Sources(source, validating)
        cut = int(len(source) * (1.0 - cfg.data.validation_fraction))
        if not 0 < cut < len(source):
            raise InputError(
                f"data.validation_fraction: expected to leave training and validation showers of "
                f"{len(source)}, found {cfg.data.validation_fraction}"
            )
        return Sources(Part(source, 0, cut), Part(source, cut, len(source)))

    def generate(
        self,
        cfg: Gan3DConfig,
        state: objective.State,
        energy: np.ndarray,
        seed: int,
        batch_size: int,
    ) -> Iterator[np.ndarray]:
        """Showers (n, 25, 25, 25) GeV at ``energy`` (n,) GeV, batch by batch.

        Raises:
          InputError: energies that are not positive finite numbers.
        """
        if energy.ndim != 1 or len(energy) == 0 or not np.all(np.isfinite(energy) & (energy > 0)):
            raise InputError("energy: expected a list of positive numbers in GeV, found others")
        return generated_batches(cfg, state.generator, energy, seed, batch_size)

    evaluate = staticmethod(evaluation.evaluate)

    def compare(
        self, reference: list[Path], generated: list[Path], out: Path, *, quiet: bool
    ) -> dict[str, Any]:
        """Report on the showers of some files against those of others; return the scores."""
        from hepjax.physics.calorimeter.report import report
        from hepjax.report.document import check_folder, write_report

        check_folder(out)
        samples = [
            evaluation.read_showers(open_showers(paths), "read", quiet)
            for paths in (reference, generated)
        ]
        provenance = {
            "reference": list(map(str, reference)),
            "generated": list(map(str, generated)),
        }
        built = report(samples[0], samples[1], labels=("reference", "generated"))
        return write_report(built, out, provenance=provenance)


WORKLOAD = Gan3D()
