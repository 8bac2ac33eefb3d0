"""What the cases of fuzz_configs.py find in their working directory."""

import os
from pathlib import Path

import numpy as np
import yaml

from benchmarks.faults import fuzz_arrays
from benchmarks.faults.fuzz_child import command
from benchmarks.faults.fuzz_samples import CHANNELS, LABELS, SAMPLES
from hepjax.formats.images import Channel, Grid, sparsify
from hepjax.formats.packed.writer import write_packed
from hepjax.formats.showers.writer import write_showers

DATA = {"gan3d": "showers25", "tagger": "jets16", "mlpf": "events"}
"""Files for each workload."""
TINY = {
    "gan3d": {
        "workload": "gan3d", "data": {"files": ["showers25"]},
        "model": {
            "latent": 4,
            "generator": [
                {"dense": [5, 5, 5, 1], "norm": True},
                {"upsample": [5, 5, 5], "filters": 1, "kernel": [3, 3, 3], "activation": "relu"},
            ],
            "discriminator": [
                {"filters": 2, "kernel": [3, 3, 3], "norm": True, "pool": [5, 5, 5]}
            ],
        },
        "optimizer": {"reference_batch": 8}, "mesh": {"devices": 1},
        "train": {"batch_size": 8, "epochs": 1, "record_every": 1},
    },
    "tagger": {
        "workload": "tagger", "mesh": {"devices": 1}, "train": {"batch_size": 4, "epochs": 1},
        "data": {
            "files": ["jets16"], "shape": [16, 16], "channels": ["pT", "ECAL"],
            "labels": ["qcd", "top"], "fractions": [0.4, 0.3, 0.3],
        },
    },
    "mlpf": {
        "workload": "mlpf", "data": {"files": ["events"], "buckets": [16]},
        "model": {
            "variant": "additive", "inputs": "log", "layers": 1, "width": 8, "head_width": 8,
            "bin_size": 16, "distance_hidden": 8, "distance_dim": 4,
        },
        "mesh": {"devices": 1}, "train": {"batch_size": 2, "epochs": 1},
    },
}  # fmt: skip
"""Small configurations of the three workloads on the files of ``prepare``."""


def prepare(ground: Path, trained: bool) -> tuple[str, str, str]:
    """Files of each kind, configurations on them, and a finished run if it is asked for."""
    ground.mkdir()
    os.chdir(ground)
    _write_showers()
    _write_jets()
    sample = {sample.name: sample for sample in SAMPLES}
    for folder in ("packed", "jets"):
        sample["packed jets"].write(Path(folder))
    Path("events").mkdir()
    fuzz_arrays.write("pickle", Path("events/e.pkl.bz2"), sample["events (pickle)"].make(), None)
    Path("empty").mkdir()
    Path("text.txt").write_text("hello")
    for name, settings in TINY.items():
        Path(f"tiny-{name}.yaml").write_text(yaml.safe_dump(settings))
    if trained:
        said = command(["train", "tiny-gan3d.yaml", "--run", "run", "--quiet"])
        return "read", said.wrong(), ""
    return "read", "", ""


def _write_showers() -> None:
    rng = np.random.default_rng(1)
    energy = rng.uniform(20, 400, 24).astype(np.float32)
    cells = rng.gamma(0.1, 0.01, (24, 25, 25, 25)).astype(np.float32)
    cells *= (0.02 * energy / cells.sum((1, 2, 3)))[:, None, None, None]
    batch = {"ecal": cells, "energy": energy}
    write_showers("showers25", [batch], layout="fixed", events_per_file=12)


def _write_jets() -> None:
    """Images that are large enough for the networks."""
    rng = np.random.default_rng(2)
    grid = Grid((16, 16), tuple(Channel(name, "1") for name in CHANNELS))
    shape = (24, 16, 16, len(CHANNELS))
    images = (rng.exponential(size=shape) * (rng.random(shape) < 0.1)).astype(np.float32)
    columns = {"label": (np.arange(24) % 2).astype(np.int32)}
    write_packed("jets16", [(sparsify(images, grid), columns)], grid, LABELS)
