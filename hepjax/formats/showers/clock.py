"""What a full simulation took, from its files: the clock that a fast one is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hepjax.formats.hdf5 import column, list_files, open_hdf5
from hepjax.formats.hdf5_text import text_attribute
from hepjax.formats.showers.files import describe

KEY = "cpu_seconds"
"""(n,) dataset of files of a full simulation, processor time of each shower."""


@dataclass(frozen=True, eq=False)
class Clock:
    """Processor time of showers of a full simulation."""

    engine: str
    processor: str
    """Model of the processor; times compare only on the same one."""
    energy: np.ndarray
    """(n,) incident energies, GeV."""
    seconds: np.ndarray
    """(n,) processor time of one core."""

    @property
    def seconds_per_gev(self) -> float:
        """Mean over the showers; the time of a shower is proportional to its energy."""
        return float(self.seconds.sum() / self.energy.sum())

    def speed_up(self, energy: np.ndarray, cpu_seconds: float) -> float:
        """How many times less processor time other showers took.

        Args:
          energy: (m,) their incident energies, GeV.
          cpu_seconds: processor time of all of them together, on the same processor.
        """
        return self.seconds_per_gev * float(np.sum(energy)) / cpu_seconds

    def sentence(
        self, energy: np.ndarray, seconds: float, processor: str, kind: str = "processor time"
    ) -> str:
        """``speed_up`` in words, with what it was measured on.

        Args:
          processor: model of the one that the other showers were made on.
          kind: what the seconds are.
        """
        ratio = self.speed_up(energy, seconds)
        where = (
            self.processor
            if self.processor == processor
            else (f"{self.processor}, another processor than {processor}")
        )
        return (
            f"{ratio:,.3g} times less {kind} than {self.engine.partition(',')[0]} "
            f"({1e3 * self.seconds_per_gev:.3g} ms per GeV on {where})"
        )


def clock_of(paths: str | Path | Sequence[str | Path]) -> Clock | None:
    """The clock of files of showers; None if one of them has none (HDF5 only, not packed).

    Raises:
      InputError: files that cannot be read.
    """
    said: set[tuple[str, str]] = set()
    energy, seconds = [], []
    for path in list_files(paths):
        file = describe(path)
        with open_hdf5(path) as opened:
            if KEY not in opened or file.energy is None:
                return None
            said.add((_text(opened, "engine"), _text(opened, "processor")))
            seconds.append(column(opened, path, KEY, file.events).reshape(-1))
        energy.append(file.energy)
    if len(said) > 1:
        return None  # measured on different machines: no one clock
    engine, processor = said.pop()
    return Clock(engine, processor, np.concatenate(energy), np.concatenate(seconds))


def _text(file: h5py.File, key: str) -> str:
    return text_attribute(file, key) or "unknown"


def processor_name() -> str:
    """The model of the processor of this machine, as the kernel calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(x for x in lines if x.startswith("model name")).partition(":")[2].strip()
    except (OSError, StopIteration):
        return "unknown"
