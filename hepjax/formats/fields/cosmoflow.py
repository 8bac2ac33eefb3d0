"""Samples of CosmoFlow: counts of particles on a mesh at four redshifts, and four parameters.

HDF5: ``full`` (n, n, n, 4) integers, ``unitPar`` (4,) from -1 to 1, one sample a file;
``physPar``, ``namePar`` and ``redshifts`` are optional. TFRecord, as MLPerf HPC has it: features
``x``, the bytes of (n, n, n, 4) int16, and ``y``, (4,) float; any number of samples a file, plain
or gzip.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from hepjax import InputError, __version__
from hepjax.formats.atomic import replacing
from hepjax.formats.fields.box import require_cube
from hepjax.formats.files import Paths, has_suffix, inside, list_all
from hepjax.formats.hdf5 import is_hdf5, keys, numeric_dataset, open_hdf5
from hepjax.formats.tfrecord import is_tfrecord, parse_example, read_records

COUNTS, UNIT = "full", "unitPar"
TIMES, PARAMETERS = 4, 4
NAMES = ("omega_m", "sigma_8", "n_s", "h")
"""The parameters, in order."""
SUFFIXES = (".h5", ".hdf5", ".tfrecord", ".tfrecord.gz", ".gz")


class Sample(NamedTuple):
    """Counts (n, n, n, 4) and parameters (4,) float32 from -1 to 1."""

    counts: np.ndarray
    parameters: np.ndarray


def is_samples(path: Path) -> bool:
    """Whether a file holds samples of CosmoFlow, or the first one of a folder does."""
    if path.is_dir():
        found = sorted(p for p in path.glob("*") if p.name.lower().endswith(SUFFIXES))
        return bool(found) and is_samples(found[0])
    if not path.is_file():
        return False
    if is_hdf5(path):
        with open_hdf5(path) as file:
            return {COUNTS, UNIT} <= set(keys(file))
    if not is_tfrecord(path):
        return False
    try:
        example = parse_example(next(read_records(path)))
    except (ValueError, StopIteration):
        return False
    x, y = example.get("x"), example.get("y")
    cells = len(x[0]) / (2 * TIMES) if isinstance(x, list) and x else 0
    return (
        isinstance(y, np.ndarray) and len(y) == PARAMETERS and cells > 0
        and round(cells ** (1 / 3)) ** 3 == cells
    )  # fmt: skip


def list_samples(paths: Paths) -> list[Path]:
    """The files of ``paths``, sorted, each once.

    Raises:
      InputError: there are none.
    """

    def of_folder(folder: Path) -> list[Path]:
        found = [p for p in inside(folder) if has_suffix(p, SUFFIXES)]
        if not found:
            raise InputError(
                f"{folder}: expected a folder with *.h5 or *.tfrecord files, found none in it"
            )
        return found

    return list_all(paths, of_folder)


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples of a file.

    Raises:
      InputError: damaged, of another layout, no cubes, negative counts, or parameters beyond the
        range -1 to 1 by more than rounding.
    """
    if is_hdf5(path):
        yield _checked(path, *_hdf5(path))
        return
    for record in read_records(path):
        try:
            example = parse_example(record)
        except ValueError as error:
            raise InputError(f"{path}: expected tf.train.Example records, found {error}") from None
        x, y = example.get("x"), example.get("y")
        if not isinstance(x, list) or len(x) != 1 or not isinstance(y, np.ndarray):
            raise InputError(
                f"{path}: expected the features x (bytes) and y (floats), found "
                f"{', '.join(sorted(example)) or 'none'}"
            )
        cells = round((len(x[0]) / (2 * TIMES)) ** (1 / 3))
        if cells**3 * 2 * TIMES != len(x[0]):
            raise InputError(
                f"{path}: expected int16 counts of a cube at {TIMES} redshifts in x, found "
                f"{len(x[0]):,} bytes"
            )
        counts = np.frombuffer(x[0], "<i2").reshape(cells, cells, cells, TIMES)
        yield _checked(path, counts, np.asarray(y, np.float32))


def write_sample(
    path: Path, sample: Sample, physical: Sequence[float], redshifts: np.ndarray
) -> None:
    """Write one sample as HDF5, whole or not at all.

    Args:
      physical: the parameters as they are, in the order of ``NAMES``.
    Raises:
      InputError: it cannot be written.
    """
    with replacing(path) as partial, h5py.File(partial, "w", libver=("v110", "v110")) as file:
        file.create_dataset(COUNTS, data=sample.counts.astype(np.int16))
        file.create_dataset(UNIT, data=sample.parameters.astype(np.float32))
        file.create_dataset("physPar", data=np.asarray(physical, np.float32))
        file.create_dataset("namePar", data=np.array([n.encode() for n in NAMES]))
        file.create_dataset("redshifts", data=np.asarray(redshifts, np.float32))
        file.attrs["creator"] = np.bytes_(f"hepjax {__version__}".encode())


def _hdf5(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with open_hdf5(path) as file:
        counts = numeric_dataset(file, path, COUNTS)
        unit = numeric_dataset(file, path, UNIT)
        if counts.ndim != 4 or counts.shape[-1] != TIMES:
            raise InputError(
                f"{path}: expected (n, n, n, {TIMES}) in {COUNTS!r}, found {counts.shape}"
            )
        return counts[...], np.asarray(unit[...], np.float32)


def _checked(path: Path, counts: np.ndarray, parameters: np.ndarray) -> Sample:
    require_cube(path, "the counts", counts.shape[:3])
    if counts.min() < 0 or not np.isfinite(counts).all():
        raise InputError(f"{path}: expected counts of 0 and more, found {counts.min()}")
    if parameters.shape != (PARAMETERS,):
        raise InputError(
            f"{path}: expected {PARAMETERS} parameters, found an array {parameters.shape}"
        )
    # NaN fails the comparison too.
    if not (np.abs(parameters) <= 1 + 1e-5).all():
        raise InputError(
            f"{path}: expected parameters from -1 to 1 (unitPar), found {parameters.tolist()}"
        )
    return Sample(counts, parameters)
