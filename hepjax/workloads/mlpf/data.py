"""Which events a run trains on and which it is judged on.

Published: train on top pairs, test on multijets. So ``data.files`` names top pairs, whose last part
is for validation unless ``data.validation_files`` says otherwise, and ``hepjax evaluate --data``
the multijets.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from hepjax import InputError
from hepjax.engine.workload import Sources
from hepjax.formats.particleflow import reader
from hepjax.formats.particleflow.reader import EventSource
from hepjax.formats.source import Part
from hepjax.workloads.mlpf.config import DataConfig


def open_events(data: DataConfig, paths: Sequence[str | Path]) -> EventSource:
    """Events of these files, padded to the buckets of the configuration.

    Cut events (``data.too_long=truncate``) are counted on standard error.

    Raises:
      InputError: see ``formats.mlpf.open_events``.
    """
    source = reader.open_events(list(paths), buckets=data.buckets, too_long=data.too_long)
    if source.cut_events:
        print(
            f"hepjax: {source.cut_events} of {len(source)} events are longer than "
            f"{source.buckets[-1]} elements and lose {source.cut_elements} in all, the last towers",
            file=sys.stderr,
        )
    return source


def sources(data: DataConfig) -> Sources:
    """Training and validation events: separate files, or the last part of the sorted files.

    Raises:
      InputError: see ``open_events``; or the fraction leaves no events to one of the two.
    """
    source = open_events(data, data.files)
    if data.validation_files:
        return Sources(source, open_events(data, data.validation_files))
    cut = int(len(source) * (1.0 - data.validation_fraction))
    if not 0 < cut < len(source):
        raise InputError(
            f"data.validation_fraction: expected to leave training and validation events of "
            f"{len(source)}, found {data.validation_fraction}"
        )
    return Sources(Part(source, 0, cut), Part(source, cut, len(source)))
