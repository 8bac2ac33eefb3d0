"""A library of showers that key4hep's DDML plays back (``LoadHdf5``), without any model.

One dataset ``layers`` (showers, layer, x, y) float32 in MeV. Source: key4hep DDML 0.2, which wants
a dataset of this name and of rank 4.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from hepjax import InputError, __version__
from hepjax.formats.atomic import replacing
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.source import Batch

LAYERS = "layers"
MEV = 1000.0
CHUNK = 16


@contextmanager
def library(
    path: Path, total: int, calorimeter: Calorimeter, notes: Mapping[str, str]
) -> Iterator[Callable[[Batch], None]]:
    """A function that appends showers ``ecal`` (n, x, y, layer) GeV with their ``energy`` (n,) GeV.

    The file appears whole at the end of the block, or not at all.

    Args:
      notes: attributes that say where the showers come from.
    Raises:
      InputError: a calorimeter that is no box, or a file that cannot be written.
    """
    if calorimeter.cells is None:
        raise InputError(
            f"--library: expected a calorimeter that is a box, found the cylinder "
            f"{calorimeter.name}; --out writes its showers"
        )
    (x, y), layers = calorimeter.cells, len(calorimeter.layers)
    with replacing(path) as partial, h5py.File(partial, "w", track_order=True) as file:
        cells = file.create_dataset(
            LAYERS, (total, layers, x, y), "float32", chunks=(min(CHUNK, total), layers, x, y),
            compression="gzip", shuffle=True,
        )  # fmt: skip
        energy = file.create_dataset("energy", (total,), "float32")
        cells.attrs["unit"], energy.attrs["unit"] = "MeV", "GeV"
        file.attrs.update({"generator": f"hepjax {__version__}"} | dict(notes))
        done = 0

        def write(batch: Batch) -> None:
            nonlocal done
            rows = slice(done, done + len(batch["ecal"]))
            cells[rows] = np.transpose(batch["ecal"], (0, 3, 1, 2)) * MEV
            energy[rows] = batch["energy"]
            done = rows.stop

        yield write
