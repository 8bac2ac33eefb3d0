"""Files of showers as images of one channel, which is how ``hepjax pack`` takes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hepjax.formats.hdf5 import list_files
from hepjax.formats.images import Grid, sparsify
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.files import ShowerSource, open_shower_files
from hepjax.formats.showers.geometry import written
from hepjax.formats.showers.layout import CHANNEL, Unit
from hepjax.formats.source import Batch
from hepjax.formats.sparse import SparseImages


@dataclass(frozen=True)
class ShowerImages:
    """One file of showers for ``pack``."""

    source: ShowerSource
    layout = "clic"

    @property
    def geometry(self) -> str | None:
        """Description of the calorimeter for the manifest, if the shape does not tell it."""
        return written(self.source.calorimeter)

    @property
    def path(self) -> Path:
        return self.source.files[0].path

    @property
    def events(self) -> int:
        return len(self.source)

    @property
    def grid(self) -> Grid:
        return Grid(self.source.grid, (CHANNEL,))

    @property
    def labels(self) -> dict[int, str]:
        return {}

    def stream(
        self, batch: int = 256, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[SparseImages, Batch]]:
        """Showers ``start`` to ``stop``, GeV, with the columns that ``open_showers`` gives."""
        stop = self.events if stop is None else stop
        visible = self.source.files[0].visible
        for low in range(start, stop, batch):
            rows = np.arange(low, min(low + batch, stop))
            columns = self.source[rows]
            images = sparsify(columns.pop("ecal")[..., None], self.grid)
            if visible is not None:
                columns["visible"] = visible[rows]
            yield images, columns


def shower_files(
    paths: str | Path | Sequence[str | Path],
    unit: Unit = "auto",
    calorimeter: Calorimeter | None = None,
) -> list[ShowerImages]:
    """Files of showers for ``pack``; ``unit`` and ``calorimeter`` as in ``open_showers``.

    Raises:
      InputError: unreadable files, or files that do not go together.
    """
    open_shower_files(paths, unit=unit, calorimeter=calorimeter)
    return [
        ShowerImages(open_shower_files(path, unit=unit, calorimeter=calorimeter, cache_bytes=0))
        for path in list_files(paths)
    ]
