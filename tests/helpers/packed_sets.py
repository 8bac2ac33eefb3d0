"""Small made-up images, and files of them that exist in memory only."""

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hepjax.formats.images import Channel, Grid, SparseImages, densify, sparsify

GRID = Grid((10, 15), (Channel("pT", "GeV"), Channel("d0", "cm"), Channel("HCAL", "GeV")))
LABELS = {0: "qcd", 1: "top"}


def jets(n, seed=0, tower=5):
    """Dense images (n, 10, 15, 3) of signed sparse pixels and, last, towers of 5 x 5 pixels."""
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((n, 10, 15, 3)) < 0.05, rng.normal(size=(n, 10, 15, 3)), 0)
    towers = rng.exponential(size=(n, 10 // tower, 15 // tower))
    towers *= rng.random(towers.shape) < 0.4
    dense[..., 2] = np.repeat(np.repeat(towers, tower, 1), tower, 2)
    columns = {
        "label": rng.integers(0, 2, n).astype(np.int32),
        "pt": rng.uniform(400, 800, n).astype(np.float32),
        "event": np.arange(n),
    }
    return dense.astype(np.float32), columns


def batch(n, seed=0, tower=5):
    """The same as ``write_packed`` takes them."""
    dense, columns = jets(n, seed, tower)
    return sparsify(dense, GRID), columns


def bits(array):
    """For comparisons that tell -0.0 from 0.0."""
    return np.ascontiguousarray(array).view(np.uint32)


def dense_of(raw, grid):
    """Dense images of a padded batch."""
    inside = raw["cell"] < grid.size
    first = np.concatenate([[0], np.cumsum(inside.sum(1))])
    return densify(SparseImages(first, raw["cell"][inside].astype(np.uint32),
                                raw["value"][inside]), grid)  # fmt: skip


@dataclass(frozen=True)
class MemoryFile:
    """Jets of a seed behind the interface of a file; ``path`` is a small file that exists."""

    path: Path
    events: int
    seed: int = 0
    layout: str = "memory"
    labels: dict = field(default_factory=lambda: LABELS)
    missing: int = 0
    """Events at the end that never come."""
    nan_at: int | None = None
    kill_at: int | None = None
    """Reaching this event kills the process."""

    grid = GRID

    def stream(self, batch=256, start=0, stop=None):
        dense, columns = jets(self.events, self.seed)
        if self.nan_at is not None:
            dense[self.nan_at, 3, 4, 1] = np.nan
        stop = min(self.events if stop is None else stop, self.events - self.missing)
        for low in range(start, stop, batch):
            rows = slice(low, min(low + batch, stop))
            if self.kill_at is not None and rows.stop > self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            yield sparsify(dense[rows], GRID), {k: v[rows] for k, v in columns.items()}


def memory_files(folder, events=(30, 30, 30), **options):
    """Files in order, of seeds 0, 1, ..."""
    made = []
    for seed, n in enumerate(events):
        path = Path(folder) / f"input{seed}"
        if not path.exists():
            path.write_text("x")
        made.append(MemoryFile(path, n, seed, **options))
    return made
