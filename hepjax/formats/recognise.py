"""Detects the layout of a file or folder from its first bytes and the names inside."""

from pathlib import Path
from typing import Literal

from hepjax import InputError
from hepjax.formats.files import (
    UNREAD_SUFFIXES,
    exists_inside,
    has_suffix,
    inside,
    is_regular,
    require_path,
)
from hepjax.formats.hdf5 import is_hdf5, keys, open_hdf5
from hepjax.formats.packed.manifest import is_packed, read_manifest
from hepjax.formats.particleflow import reader
from hepjax.formats.root.card import is_card, read_card
from hepjax.formats.root.tree import MAGIC, is_root
from hepjax.formats.showers import calochallenge

Container = Literal["hdf5", "parquet", "npz", "tfrecord", "tfds", "packed", "root"]
Family = Literal["clic", "calochallenge", "jets", "mlpf", "root"]

CARDS: dict[str, Family] = {"jets": "jets", "particleflow": "mlpf", "showers": "clic"}
"""By what a data card maps branches to."""


def recognise(path: Path) -> Family:
    """The family of layouts of ``path``; the modules of the family know the rest.

    Args:
      path: a file, a TFDS folder, a packed set, or a folder of files, of which the first counts.
    Raises:
      InputError: unreadable, damaged, or of no known layout.
    """
    if reader.holds_events(path):
        return "mlpf"
    kind = container(path)
    if require_path(path) == "folder" and kind not in ("packed", "tfds"):
        return recognise(data_files(path)[0])
    if kind == "hdf5":
        return _hdf5_family(path)
    if kind == "root":
        return "root" if is_root(path) else CARDS[read_card(path).kind]
    return _packed_family(path) if kind == "packed" else "jets"


def container(path: Path) -> Container:
    """The container format of ``path``, by its content and not by its suffix.

    Raises:
      InputError: unreadable or none of these.
    """
    if require_path(path) == "folder":
        if is_packed(path):
            return "packed"
        if exists_inside(path, "dataset_info.json"):
            return "tfds"
        return container(data_files(path)[0])
    from hepjax.formats.tfrecord import is_tfrecord

    if is_card(path):
        return "root"
    try:
        with open(path, "rb") as file:
            head = file.read(8)
        if head[:4] == b"PAR1":
            return "parquet"
        if head[:5] == MAGIC:
            return "root"
        if head[:4] == b"PK\x03\x04":
            return "npz"
        if is_hdf5(path):
            return "hdf5"
        if head[:2] == b"\x1f\x8b" or is_tfrecord(path):
            return "tfrecord"
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, found {error.strerror}") from error
    found = "another format" if head else "an empty one"
    raise InputError(
        f"{path}: expected a Parquet, HDF5, TFRecord or npz file, found {found}; copy it again if "
        "it should be one"
    )


def data_files(folder: Path) -> list[Path]:
    """The files in a folder, sorted, without hidden ones and those that describe the others.

    Raises:
      InputError: there are none.
    """
    files = [
        path
        for path in inside(folder)
        if path.name[0] != "_" and not has_suffix(path, UNREAD_SUFFIXES) and is_regular(path)
    ]
    if not files:
        raise InputError(f"{folder}: expected a folder with data files, found none in it")
    return files


def _hdf5_family(path: Path) -> Family:
    with open_hdf5(path) as file:
        # Names count, also of links that lead nowhere: the reader says what is missing.
        names = set(keys(file))
        if "ECAL" in names:
            return "clic"
        if calochallenge.is_calochallenge(file):
            return "calochallenge"
        if "X_jets" in names or {"X", "y"} <= names:
            return "jets"
        found = ", ".join(sorted(names)) or "nothing"
    raise InputError(
        f"{path}: expected ECAL (CLIC), incident_energies and showers (CaloChallenge), or X_jets "
        f"or X and y (jets), found {found}"
    )


def _packed_family(folder: Path) -> Family:
    """Showers have three axes or one, jets two."""
    return "jets" if len(read_manifest(folder).meaning.grid.shape) == 2 else "clic"
