"""What a box is: its fields, and what its file says of it. The readers share the checks here."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hepjax import InputError

DARK = ("density", "velocity_x", "velocity_y", "velocity_z")
"""Fields of dark matter: units of the mean density, km/s."""
GAS = ("density", "temperature", "velocity_x", "velocity_y", "velocity_z")
"""Fields of gas: units of the mean density, K, km/s."""


class Facts(NamedTuple):
    """What a file says of its box; None where it does not."""

    cell: float | None = None
    """Mpc/h, of the edge of a cell."""
    redshift: float | None = None
    omega_m: float | None = None


class BoxFile(NamedTuple):
    """A file with one box, its header read."""

    path: Path
    layout: str
    """crops or nyx."""
    cells: int
    """Along an edge."""
    targets: bool
    """Whether it has gas."""
    facts: Facts


def require_cube(path: Path, what: str, shape: tuple[int, ...]) -> int:
    """Cells along the edge of a cube (n, n, n).

    Raises:
      InputError: it is none.
    """
    if len(shape) != 3 or len(set(shape)) != 1 or shape[0] < 2:
        raise InputError(
            f"{path}: expected a cube of cells in {what}, found {' x '.join(map(str, shape))}; "
            "cut the box to a cube first"
        )
    return int(shape[0])


def require_sound(path: Path, what: str, fields: np.ndarray, names: tuple[str, ...]) -> None:
    """Refuse fields (c, n, n, n) that no training accepts.

    Raises:
      InputError: values that are not finite, or densities and temperatures below 0.
    """
    for name, field in zip(names, fields, strict=True):
        bad = int(np.count_nonzero(~np.isfinite(field)))
        if bad:
            raise InputError(
                f"{path}: expected finite numbers in {name} of {what}, found {bad:,} others; "
                "leave the box out or write it again"
            )
        if not name.startswith("velocity") and float(field.min()) < 0:
            raise InputError(
                f"{path}: expected {name} of 0 and more in {what}, found {field.min():.4g}; "
                "is it an overdensity, or a logarithm?"
            )
