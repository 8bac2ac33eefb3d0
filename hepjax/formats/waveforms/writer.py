"""Writes HDF5 files of waveforms; layout.py says what is in them."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from hepjax.formats.atomic import replacing
from hepjax.formats.waveforms.layout import COLUMNS, SAMPLE_NS, SCALE, WAVEFORM


def write_waveforms(
    path: Path, fields: Mapping[str, np.ndarray], scale: float, sample_ns: float | None
) -> None:
    """Write a file, whole or not at all.

    Datasets are contiguous: a reader takes them as they lie on the disk.

    Args:
      fields: ``waveform`` (n, samples) and columns (n,).
      scale: photoelectrons a count.
    Raises:
      InputError: the disk refuses.
    """
    with replacing(path) as partial, h5py.File(partial, "w") as file:
        waveform = file.create_dataset(WAVEFORM, data=fields[WAVEFORM])
        waveform.attrs[SCALE] = scale
        waveform.attrs["unit"] = "photoelectrons"
        if sample_ns is not None:
            waveform.attrs[SAMPLE_NS] = sample_ns
        for name, (kind, unit) in COLUMNS.items():
            if name in fields:
                file.create_dataset(name, data=fields[name].astype(kind)).attrs["unit"] = unit
