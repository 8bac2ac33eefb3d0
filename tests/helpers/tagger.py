"""A tagger small enough for tests, and separable toy images to feed it."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.engine.workload import Spec
from hepjax.formats.images import Channel, Grid, SparseImages, sparsify
from hepjax.formats.packed.writer import write_packed
from hepjax.workloads.tagger import objective
from hepjax.workloads.tagger.config import DataConfig, TaggerConfig, published_optimizer

SHAPE = (20, 25)
CHANNELS = ("pT", "d0", "dz", "HCAL")
FINE = Grid(SHAPE, tuple(Channel(name, "1") for name in CHANNELS))
GRID = Grid(SHAPE, (*FINE.channels[:3], Channel("HCAL", "1", 5)))
TINY = TaggerConfig(
    optimizer=replace(published_optimizer(), learning_rate=2e-3),
    data=DataConfig(shape=SHAPE, channels=CHANNELS),
    train=TrainConfig(batch_size=8, epochs=2, record_every=1),
    mesh=MeshConfig(devices=1),
)


def toy_images(n: int, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One bright blob of pT for label 0, two for label 1; the other channels are noise.

    Returns:
      (n, *SHAPE, 4) float32 with HCAL constant in 5 x 5 pixels, and the columns; two events in a
      row are jets of one collision.
    """
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n).astype(np.int32)
    image = np.zeros((n, *SHAPE, 4), np.float32)
    tracks = rng.random((n, *SHAPE, 2)) < 0.05
    image[..., 1:3][tracks] = rng.normal(size=tracks.sum())
    towers = rng.exponential(size=(n, 4, 5)) * (rng.random((n, 4, 5)) < 0.3)
    image[..., 3] = np.repeat(np.repeat(towers, 5, 1), 5, 2)
    for event in range(n):
        for k in range(1 + label[event]):
            row, column = rng.integers(2, 14), rng.integers(1, 8) + 9 * k
            image[event, row - 1 : row + 2, column - 1 : column + 2, 0] = rng.uniform(4, 8, (3, 3))
    pt = rng.uniform(400, 800, n).astype(np.float32)
    return image, {"label": label, "pt": pt, "event": np.arange(n) // 2}


def spec_of(grid: Grid) -> Spec:
    """The fact that the steps need of a grid."""
    return Spec(facts=(("coarsenings", tuple(c.coarsening for c in grid.channels)),))


def raw_batch(n: int, seed: int = 0, grid: Grid = GRID) -> dict[str, np.ndarray]:
    """Toy events as a source gives them."""
    image, columns = toy_images(n, seed)
    sparse = sparsify(image, grid)
    counts = np.diff(sparse.first)
    cell = np.full((n, 640), grid.size, np.int32)
    value = np.zeros((n, 640), np.float32)
    inside = np.arange(640) < counts[:, None]
    cell[inside], value[inside] = sparse.cell, sparse.value
    weight = np.ones(n, np.float32)
    return {"cell": cell, "value": value, "label": columns["label"], "weight": weight}


def prepared(raw: dict[str, np.ndarray], cfg: TaggerConfig = TINY, grid: Grid = GRID) -> dict:
    """Raw events of a grid as the steps take them."""
    batch = {name: jnp.asarray(values) for name, values in raw.items()}
    return objective.prepare(cfg, spec_of(grid), batch)


def write_toy(folder: Path, n: int = 64, labels: tuple[str, str] = ("qcd", "top")) -> Path:
    """A packed set of toy events, HCAL stored by the tower."""
    image, columns = toy_images(n)
    images: SparseImages = sparsify(image, FINE)
    return write_packed(folder, [(images, columns)], FINE, dict(enumerate(labels)))
