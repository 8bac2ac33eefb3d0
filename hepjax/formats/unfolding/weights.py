"""The weights of an unfolding as a product: ``weights.h5`` and, in words, ``weights.json``.

``weights.h5`` has ``weights`` (events, members) float32: for how many true events in the data a
simulated event stands by each member, its own weight included, and 0 outside of the phase space;
rows are those of the simulated files, one behind the other. For each observable there are
``edges/NAME`` (bins + 1,), ``nominal/NAME`` (bins,), the mean over members that differ in their
seed alone, and ``covariance/NAME`` (bins, bins) over the bootstraps. To read it without hepjax:

    import h5py, json
    about = json.load(open("weights.json"))
    with h5py.File("weights.h5") as file:
        weights = file["weights"][:]
    nominal = weights[:, [m["number"] for m in about["members"] if not m["bootstrap"]]].mean(axis=1)
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hepjax import InputError
from hepjax.formats.atomic import replacing, write_json
from hepjax.formats.hdf5 import open_hdf5

FORMAT = "hepjax unfolding weights 1"
FILE, ABOUT = "weights.h5", "weights.json"


class Writer:
    """Takes weights piece by piece; made by ``writing``."""

    def __init__(self, file: h5py.File, events: int, members: int) -> None:
        chunk = (min(events, 2**14), members)
        self.file, self.done, self.digest = file, 0, hashlib.sha256()
        self.data = file.create_dataset(
            "weights", (events, members), "f4", chunks=chunk, compression="gzip", shuffle=True
        )

    def add(self, weights: np.ndarray) -> None:
        """The next rows (n, members)."""
        rows = np.ascontiguousarray(weights, np.float32)
        self.data[self.done : self.done + len(rows)] = rows
        self.digest.update(rows.tobytes())
        self.done += len(rows)

    def histogram(
        self, name: str, edges: np.ndarray, nominal: np.ndarray, covariance: np.ndarray
    ) -> None:
        """What the weights say of one observable."""
        for group, values in (("edges", edges), ("nominal", nominal), ("covariance", covariance)):
            self.file[f"{group}/{name}"] = values


@contextmanager
def writing(folder: Path, events: int, members: int, about: dict[str, Any]) -> Iterator[Writer]:
    """Write both files into a folder that is there, the words last.

    Args:
      about: what to say of the weights; may be added to until the block ends.
    Raises:
      InputError: they cannot be written.
    """
    with replacing(folder / FILE) as partial:
        with h5py.File(partial, "w") as file:
            writer = Writer(file, events, members)
            yield writer
            file.attrs["format"] = FORMAT
        if writer.done != events:
            raise ValueError(f"{writer.done} rows of {events}")
    said = {"format": FORMAT, "events": events, "sha256": writer.digest.hexdigest()} | about
    write_json(folder / ABOUT, said)


def read_weights(path: Path) -> np.ndarray:
    """(events, members) weights of ``weights.h5``.

    Raises:
      InputError: no such file, another one, or weights that are negative or not finite.
    """
    with open_hdf5(path) as file:
        if str(file.attrs.get("format", "")) != FORMAT:
            raise InputError(
                f"{path}: expected weights of an unfolding ({FORMAT}), found "
                f"{', '.join(file) or 'an empty file'}"
            )
        weights = np.asarray(file["weights"][:])
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise InputError(f"{path}: expected weights that are finite and not negative, found others")
    return weights
