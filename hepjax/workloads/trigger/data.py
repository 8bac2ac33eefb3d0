"""Events of a trigger task in memory, and which of them train and judge a run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.engine.workload import Sources
from hepjax.formats.source import Batch, divided
from hepjax.formats.trigger.tables import Events, read_events
from hepjax.workloads.trigger.config import TriggerConfig

BLOCK = 256
"""Events of a block; tables are in memory, so that any order costs the same."""


class TableSource:
    """Events as a ``Source``: ``inputs`` (n, k) float32 and ``label`` (n,) int32, -1 unknown."""

    def __init__(self, events: Events) -> None:
        self.inputs = events.inputs
        self.labelled = events.label is not None
        unknown = np.full(len(self.inputs), -1, np.int32)
        self.label = unknown if events.label is None else events.label
        self.blocks = np.unique([*range(0, len(self.inputs), BLOCK), len(self.inputs)])

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return {"inputs": self.inputs[indices], "label": self.label[indices]}


def open_events(cfg: TriggerConfig, paths: Sequence[str | Path]) -> TableSource:
    """The events of these files.

    Raises:
      InputError: see ``tables.read_events``.
    """
    return TableSource(read_events(list(paths), cfg.task))


def sources(cfg: TriggerConfig) -> Sources:
    """Training and validation events. Of the anomaly task both are the background alone, and all
    events of the validation part are for ``evaluate``.

    Raises:
      InputError: see ``open_events``; or events without classes.
    """
    data = cfg.data
    events = _labelled(cfg, data.files)
    if not cfg.task.anomaly:
        source = TableSource(events)
        if data.validation_files:
            return Sources(source, TableSource(_labelled(cfg, data.validation_files)))
        return Sources(*divided(source, data.validation_fraction, "events", data.rotate))
    background = TableSource(_background(cfg, events))
    if data.validation_files:
        other = _labelled(cfg, data.validation_files)
        return Sources(background, TableSource(_background(cfg, other)), TableSource(other))
    train, validation = divided(background, data.validation_fraction, "events", data.rotate)
    judged = validation[np.arange(len(validation))]["inputs"]
    assert events.label is not None
    signal = events.label > 0
    test = Events(
        np.concatenate([judged, events.inputs[signal]]),
        np.concatenate([np.zeros(len(judged), np.int32), events.label[signal]]),
    )
    return Sources(train, validation, TableSource(test))


def _labelled(cfg: TriggerConfig, files: Sequence[str]) -> Events:
    events = read_events(list(files), cfg.task)
    if events.label is None:
        raise InputError(f"{files[0]}: expected a column class to train on, found none")
    return events


def _background(cfg: TriggerConfig, events: Events) -> Events:
    assert events.label is not None
    kept = events.label == 0
    if not kept.any():
        raise InputError(
            f"{cfg.data.files[0]}: expected events of the class {cfg.task.classes[0]} to train on, "
            "found none"
        )
    return Events(events.inputs[kept], events.label[kept])
