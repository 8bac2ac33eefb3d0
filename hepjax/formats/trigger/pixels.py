"""Files of smart-pixel clusters: ``recon2D_d<number>.parquet`` with ``labels_d<number>.parquet``.

The layout of Zenodo 7331128: 273 columns ``0`` to ``272``, the charge of 13 x 21 pixels in
electrons, and labels with ``y-local`` (mm, from the middle of the module) and the signed ``pt``
(GeV) of the track. A network sees the sums over x and y-local.
"""

import re
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.formats.trigger.columns import numbers
from hepjax.formats.trigger.tasks import PIXELS, PT_CUT

NAME = re.compile(r"^recon2D_d(\d+)\.parquet$")
COLUMNS = tuple(str(k) for k in range(PIXELS[0] * PIXELS[1]))
LABELS = ("y-local", "pt")


def classes_of(pt: np.ndarray) -> np.ndarray:
    """(n,) int32 of signed momenta in GeV: 0 hard, 1 soft and positive, 2 soft and negative."""
    return np.where(np.abs(pt) > PT_CUT, 0, np.where(pt > 0, 1, 2)).astype(np.int32)


def profiles(charge: np.ndarray, y_local: np.ndarray) -> np.ndarray:
    """What a network sees, (n, 14) float32: sums of charges (n, 13, 21) over x, and y-local."""
    return np.concatenate([charge.sum(axis=2), y_local[:, None]], axis=1).astype(np.float32)


def read_clusters(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (n, 14) and classes (n,) of a file of pixels and the labels beside it.

    Raises:
      InputError: unreadable files, missing columns, other numbers of rows, numbers that are not
        finite.
    """
    labels = path.with_name(path.name.replace("recon2D", "labels"))
    if not labels.is_file():
        raise InputError(f"{labels}: expected the labels of {path.name}, found none of this name")
    charge, known = numbers(path, COLUMNS), numbers(labels, LABELS)
    if len(charge) != len(known):
        raise InputError(
            f"{labels}: expected the {len(charge)} rows of {path.name}, found {len(known)}"
        )
    inputs = profiles(charge.reshape(-1, *PIXELS), known[:, 0])
    return inputs, classes_of(known[:, 1])


def read_charge(path: Path) -> np.ndarray:
    """Charges (n, 13, 21) in electrons.

    Raises:
      InputError: see ``read_clusters``.
    """
    return numbers(path, COLUMNS).reshape(-1, *PIXELS)
