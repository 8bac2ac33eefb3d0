"""Events in memory for each workload: the engine trains on them without a file of showers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed import jet_readers
from benchmarks.speed.event_length import events as random_events
from benchmarks.speed.train_step import showers
from hepjax.engine.resident import Arrays, Take
from hepjax.engine.workload import Sources, Workload
from hepjax.formats.source import Batch
from hepjax.run import configured

BLOCK = 64
"""Events that count as decoded together."""
DISTINCT = {"gan3d": 512, "tagger": 2048, "mlpf": 32}
"""Events that differ, at least two batches of them."""
RESOLUTIONS = {"tagger/top": 1, "tagger/top_x3": 3}


class InMemory:
    """Arrays (n, ...) as a source."""

    def __init__(self, arrays: Batch) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    @property
    def blocks(self) -> np.ndarray:
        return np.unique([*range(0, len(self), BLOCK), len(self)])

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return {name: values[indices] for name, values in self.arrays.items()}

    def resident(self) -> tuple[Arrays, Take]:
        """See ``engine.resident.Compact``."""
        return self.arrays, lambda arrays, rows: {k: v[rows] for k, v in arrays.items()}


class Repeated:
    """So many events of a source, over and over; in device memory they lie once."""

    def __init__(self, source: Any, events: int) -> None:
        self.source, self.events = source, events

    def __len__(self) -> int:
        return self.events

    @property
    def blocks(self) -> np.ndarray:
        return np.unique([*range(0, len(self), BLOCK), len(self)])

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return self.source[np.asarray(indices) % len(self.source)]

    def resident(self) -> tuple[Arrays, Take]:
        """See ``engine.resident.Compact``."""
        count = len(self.source)
        arrays, take = self.source.resident()
        return arrays, lambda arrays, rows: take(arrays, rows % count)


def setting(
    config: str, events: int, overrides: list[str], elements: int, folder: Path
) -> tuple[Workload[Any, Any], Any]:
    """A workload that reads ``events`` events from memory, and its configuration.

    Args:
      elements: of an MLPF event, full to the last slot.
      folder: existing; the packed set of a tagger is written there.
    """
    jets = [f"data.files=[{folder}/jets]"] if config.startswith("tagger") else []
    workload, cfg = configured(config, [*overrides, *jets, "mesh.devices=1"])
    size = cfg.train.batch_size
    distinct = min(events, max(2 * size, DISTINCT[workload.name]))
    if workload.name == "tagger":
        toys = jet_readers.toy_jets(distinct, RESOLUTIONS[config])
        jet_readers.write_set(folder / "jets", *toys, RESOLUTIONS[config])
        source: Any = jet_readers.packed_source(cfg, folder / "jets")
    else:
        gan = workload.name == "gan3d"
        drawn = showers(cfg, distinct) if gan else random_events(distinct, elements)
        rows = {name: np.asarray(values) for name, values in drawn.items()}
        if workload.name == "mlpf":
            rows["ycand"] = rows["ygen"]
        source = InMemory(rows)
    parts = Sources(Repeated(source, events), Repeated(source, max(2, size)))
    return replace(workload, sources=lambda cfg: parts), cfg
