"""Which events a run trains on and which it is judged on.

Published: train on top pairs, test on multijets. So ``data.files`` names top pairs, whose last part
is for validation unless ``data.validation_files`` says otherwise, and ``hepjax evaluate --data``
the multijets.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from hepjax.engine.workload import Sources
from hepjax.formats.particleflow import reader
from hepjax.formats.particleflow.reader import EventSource
from hepjax.formats.source import divided
from hepjax.workloads.mlpf.config import MLPFConfig


def open_events(cfg: MLPFConfig, paths: Sequence[str | Path]) -> EventSource:
    """Events of these files, padded to the buckets of the configuration.

    Cut events (``data.too_long=truncate``) are counted on standard error.

    Raises:
      InputError: see ``formats.particleflow.reader.open_events``.
    """
    source = reader.open_events(list(paths), buckets=cfg.data.buckets, too_long=cfg.data.too_long)
    if source.cut_events:
        print(
            f"hepjax: {source.cut_events} of {len(source)} events are longer than "
            f"{source.buckets[-1]} elements and lose {source.cut_elements} in all, the last towers",
            file=sys.stderr,
        )
    return source


def sources(cfg: MLPFConfig) -> Sources:
    """Training and validation events: separate files, or the last part of the sorted files.

    Raises:
      InputError: see ``open_events``; or the fraction leaves no events to one of the two.
    """
    source = open_events(cfg, cfg.data.files)
    source.require_targets()
    if cfg.data.validation_files:
        validation = open_events(cfg, cfg.data.validation_files)
        validation.require_targets()
        return Sources(source, validation)
    return Sources(*divided(source, cfg.data.validation_fraction, "events", cfg.data.rotate))
