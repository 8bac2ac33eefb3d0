"""MLPF networks small enough for tests, and events to feed them: the right columns, no physics."""

from dataclasses import replace

import numpy as np

from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.workloads.mlpf.config import MLPFConfig, ModelConfig, published_optimizer

CONCAT = ModelConfig(
    layers=1, width=8, head_width=16, bin_size=8, max_bins=16, distance_hidden=8, distance_dim=4
)
ADDITIVE = replace(CONCAT, variant="additive")
SPARSE = replace(CONCAT, variant="sparse", neighbours=4)
MODELS = {"concat": CONCAT, "additive": ADDITIVE, "sparse": SPARSE}


def config(model: ModelConfig, **groups) -> MLPFConfig:
    """A configuration around ``model`` for one device and two events an update."""
    given = {
        "optimizer": replace(published_optimizer(), learning_rate=3e-3),
        "train": TrainConfig(batch_size=2, epochs=2, record_every=1),
        "mesh": MeshConfig(devices=1),
    } | groups
    return MLPFConfig(model=model, **given)


def raw_events(lengths: list[int], padded: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Events of these lengths, tracks before towers, as a source gives them."""
    events = [event(n, seed + k) for k, n in enumerate(lengths)]
    padding = [((0, padded - n), (0, 0)) for n in lengths]
    raw = {
        name: np.stack([np.pad(e[name], p) for e, p in zip(events, padding, strict=True)])
        for name in ("X", "ygen", "ycand")
    }
    return raw | {"n": np.array(lengths, np.int32)}


def event(n: int, seed: int) -> dict[str, np.ndarray]:
    """One event: charged particles with a track each, neutral ones with a tower, some with none."""
    rng = np.random.default_rng(seed)
    track = np.arange(n) < n // 2
    pt, eta = rng.exponential(2.0, n) + 0.5, rng.uniform(-2.5, 2.5, n)
    phi, energy = rng.uniform(-np.pi, np.pi, n), pt * np.cosh(eta)
    charge = np.where(track, rng.choice([-1, 1], n), 0)
    X = np.zeros((n, 12))
    X[:, 0] = np.where(track, 2, 1)
    X[:, 1:6] = np.stack([pt, eta, np.sin(phi), np.cos(phi), energy], axis=1)
    share = rng.uniform(size=n)
    of_track = np.stack([eta, np.sin(phi), np.cos(phi), charge], axis=1)
    of_tower = np.stack([share * energy, (1 - share) * energy, 0 * eta, 0 * eta], axis=1)
    X[:, 6:10] = np.where(track[:, None], of_track, of_tower)

    label = np.where(track, 1, rng.choice([0, 2, 3], n))
    y = np.stack(
        [label, charge, 1.1 * pt, eta, np.sin(phi), np.cos(phi), 1.1 * energy], axis=1
    ) * (label != 0)[:, None]  # fmt: skip
    return {k: v.astype(np.float32) for k, v in {"X": X, "ygen": y, "ycand": y}.items()}
