"""Whose showers a file holds: what it was said to be, what it says, or what its shape tells."""

from pathlib import Path

import h5py
import yaml

from hepjax import InputError
from hepjax.formats.hdf5_text import text_attribute
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.calorimeters import as_yaml, by_shape, read_yaml, unknown
from hepjax.formats.showers.layout import GEOMETRY


def calorimeter_of(
    file: h5py.File, path: Path, shape: tuple[int, ...], given: Calorimeter | None = None
) -> Calorimeter | None:
    """The calorimeter of an open file.

    Args:
      shape: of one shower in it.
      given: what the caller says it is.
    Returns:
      None for a cylinder that nothing names; a box is never None, its cells are known.
    Raises:
      InputError: the one that is given, or that the file describes, has showers of another shape.
    """
    if given is not None:
        require_shape(given, shape, str(path))
        return given
    text = text_attribute(file, GEOMETRY)
    if text:
        said = read_yaml(text, f"{path}: attribute {GEOMETRY!r}")
        require_shape(said, shape, str(path))
        return said
    return guessed(shape)


def guessed(shape: tuple[int, ...]) -> Calorimeter | None:
    """The public calorimeter of this shape, or a box of which only the cells are known."""
    return by_shape(shape) or (unknown(shape) if len(shape) == 3 else None)


def require_shape(calorimeter: Calorimeter, shape: tuple[int, ...], where: str) -> None:
    """Refuse a description that does not fit the showers.

    Raises:
      InputError: another shape.
    """
    if calorimeter.shape != tuple(shape):
        raise InputError(
            f"{where}: expected showers of {_in_words(calorimeter.shape)} as {calorimeter.name} "
            f"has, found {_in_words(shape)}; give the description of this file"
        )


def _in_words(shape: tuple[int, ...]) -> str:
    kind = "voxels" if len(shape) == 1 else "cells"
    return f"{' x '.join(map(str, shape))} {kind}"


def written(calorimeter: Calorimeter | None) -> str | None:
    """The text for the attribute of a file; None if the shape of a shower says as much."""
    if calorimeter is None or calorimeter == guessed(calorimeter.shape):
        return None
    return yaml.safe_dump(as_yaml(calorimeter), sort_keys=False, default_flow_style=None, width=100)
