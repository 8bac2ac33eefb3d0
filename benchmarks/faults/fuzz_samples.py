"""The sound files that the fuzzer mutates: small ones of every layout that hepjax reads.

Those that are dictionaries of arrays (HDF5, npz, Parquet, TFRecord, pickles) are made from arrays
that a mutation may change first; the data sets that are folders are written whole.
"""

import bz2
import itertools
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.speed import legacy_layouts as legacy
from hepjax.formats.images import Channel, Grid, sparsify
from hepjax.formats.packed.writer import write_packed
from hepjax.formats.particleflow.writer import write_events
from hepjax.formats.showers.layout import CHANNEL

Arrays = dict[str, np.ndarray]

SHOWERS, CELLS = 12, (5, 5, 4)
JETS, PIXELS, CHANNELS, LABELS = 14, (9, 9), ("pT", "d0", "ECAL"), {0: "qcd", 1: "top"}
GRID = Grid(PIXELS, tuple(Channel(name, "1") for name in CHANNELS))
MEANING = ["--channels", ",".join(CHANNELS), "--labels", "0=qcd,1=top"]
EVENTS = 7


def showers() -> Arrays:
    """Sparse showers whose cells sum to 2 % of the incident energy."""
    rng = np.random.default_rng(1)
    energy = rng.uniform(10, 500, SHOWERS)
    cells = rng.exponential(size=(SHOWERS, *CELLS)) * (rng.random((SHOWERS, *CELLS)) < 0.3)
    cells *= (0.02 * energy / cells.sum((1, 2, 3)))[:, None, None, None]
    return {"ECAL": cells.astype("f4"), "target": np.stack([np.full(SHOWERS, 11.0), energy], 1)}


def tilted_showers() -> Arrays:
    """The same at other angles, in GeV x 50."""
    made, rng = showers(), np.random.default_rng(2)
    theta = rng.uniform(1.05, 2.09, SHOWERS).astype("f4")
    cells = made["ECAL"] * np.float32(50)
    return {
        "ECAL": cells, "energy": made["target"][:, 1], "theta": theta,
        "mtheta": theta + np.float32(0.01), "sum": cells.sum((1, 2, 3)),
    }  # fmt: skip


def challenge() -> Arrays:
    """CaloChallenge showers, MeV."""
    rng = np.random.default_rng(3)
    energy = rng.uniform(1e3, 1e5, (8, 1))
    voxels = rng.exponential(5, (8, 368)) * (rng.random((8, 368)) < 0.4)
    return {
        "incident_energies": energy,
        "showers": voxels * (0.8 * energy / voxels.sum(1, keepdims=True)),
    }


def dense_jets() -> Arrays:
    """Images (events, rows, columns, channels) and columns under their published names."""
    rng = np.random.default_rng(4)
    shape = (JETS, *PIXELS, len(CHANNELS))
    return {
        "X_jets": (rng.exponential(size=shape) * (rng.random(shape) < 0.1)).astype("f4"),
        "m0": rng.uniform(10, 200, JETS).astype("f4"),
        "pt": rng.uniform(400, 1200, JETS).astype("f4"),
        "y": np.arange(JETS) % 2,
    }


def split_jets() -> Arrays:
    """The same as npz files of two parts have them."""
    made = dense_jets()
    return {
        "x_train": made["X_jets"][:9], "y_train": made["y"][:9],
        "x_test": made["X_jets"][9:], "y_test": made["y"][9:],
    }  # fmt: skip


def flat_events() -> Arrays:
    """Particle-flow events one after another, cut by ``offsets``."""
    made = [_event(n, seed) for seed, n in enumerate((6, 3, 9, 12, 2, 7, 5))]
    arrays = {key: np.concatenate([e[key] for e in made]) for key in made[0]}
    return arrays | {
        "offsets": np.cumsum([0, *(len(e["X"]) for e in made)]),
        "n_unassociated_gen": np.arange(EVENTS, dtype="i4"),
    }


def _event(elements: int, seed: int) -> Arrays:
    """Tracks, then towers, each with its particle."""
    rng = np.random.default_rng(100 + seed)
    track = np.arange(elements) < elements // 2
    pt, eta, phi = (
        rng.exponential(5, elements) + 0.5,
        rng.uniform(-2, 2, elements),
        rng.uniform(-3, 3, elements),
    )
    kinematics = np.stack([pt, eta, np.sin(phi), np.cos(phi), pt * np.cosh(eta)], 1)
    X = np.zeros((elements, 12), "f4")
    X[:, 0], X[:, 1:6] = np.where(track, 2, 1), kinematics
    X[:, [7, 8]] = X[:, [3, 4]] * track[:, None]
    X[:, 9] = np.where(track, rng.choice([-1, 1], elements), 0)
    y = np.zeros((elements, 7), "f4")
    y[:, 0], y[:, 1], y[:, 2:] = np.where(track, 1, 2), X[:, 9], kinematics
    return {"X": X, "ygen": y, "ycand": y.copy()}


def events_of(arrays: Arrays) -> list[Arrays]:
    """The events of ``flat_events`` one by one, however it was changed."""
    cuts = np.asarray(arrays["offsets"], "i8").reshape(-1)
    tables = [key for key in arrays if key not in ("offsets", "n_unassociated_gen")]
    return [{key: arrays[key][a:b] for key in tables} for a, b in itertools.pairwise(cuts)]


def write_pickle(path: Path, lists: object, protocol: int = 4) -> None:
    """A pickle, compressed as it was published."""
    path.write_bytes(bz2.compress(pickle.dumps(lists, protocol)))


def lists_of(arrays: Arrays) -> dict[str, list[np.ndarray]]:
    """One array an event, float64, as the published pickles have them."""
    made = events_of(arrays)
    return {key: [np.asarray(e[key], "f8") for e in made] for key in made[0]}


def _images() -> tuple[object, Arrays]:
    made = dense_jets()
    columns = {"label": made["y"].astype("i4"), "pt": made["pt"], "mass": made["m0"]}
    return sparsify(made["X_jets"], GRID), columns


def _write_pairs(path: Path) -> None:
    from hepjax.formats.jets.meaning import Meaning

    legacy.write_pairs_parquet(path, *_images(), GRID, meaning=Meaning(CHANNELS, LABELS, PIXELS))


def _write_jets_tfds(path: Path) -> None:
    legacy.write_tfds(
        path, *_images(), GRID, splits={"train": 8, "test": 6}, classes=["qcd", "top"]
    )


def _write_events_tfds(path: Path) -> None:
    out = path.parents[1]
    write_events(
        out, events_of(flat_events()), stem=None, dataset=("delphes_pf", "train"), provenance={}
    )


def _write_packed_jets(path: Path) -> None:
    write_packed(path, [_images()], GRID, LABELS, events_per_shard=8)


def _write_packed_showers(path: Path) -> None:
    made = tilted_showers()
    cells = made["ECAL"] / np.float32(50)
    columns = {key: made[key].astype("f4") for key in ("energy", "theta", "mtheta")}
    grid = Grid(CELLS, (CHANNEL,))
    write_packed(path, [(sparsify(cells[..., None], grid), columns)], grid, {})


@dataclass(frozen=True)
class Sample:
    """A layout, and how a sound file of it is made."""

    name: str
    path: str
    """Name of the file or folder."""
    family: str
    """Who reads it: showers, jets, packed, events."""
    kind: str
    """Container: hdf5, npz, parquet, tfrecord, pickle, folder."""
    make: Callable[[], Arrays] | None = None
    """The arrays of which such a file is made."""
    write: Callable[[Path], object] | None = None
    """For those that are not made of arrays by fuzz_arrays.py."""
    checked: bool = False
    """Whether checksums cover every value."""

    @property
    def meaning(self) -> list[str]:
        """Options that say what the file does not."""
        return MEANING if self.family == "jets" else []


SAMPLES = (
    Sample("showers, fixed angle (HDF5)", "fixed.h5", "showers", "hdf5", showers),
    Sample("showers, variable angle (HDF5)", "angle.h5", "showers", "hdf5", tilted_showers),
    Sample("CaloChallenge (HDF5)", "challenge.hdf5", "showers", "hdf5", challenge),
    Sample("jets (HDF5)", "jets.h5", "jets", "hdf5", dense_jets),
    Sample("jets (Parquet, nested)", "nested.parquet", "jets", "parquet", dense_jets),
    Sample("jets (Parquet, pairs)", "pairs.parquet", "jets", "bytes", write=_write_pairs),
    Sample("jets (npz)", "jets.npz", "jets", "npz", dense_jets),
    Sample("jets (npz in parts)", "parts.npz", "jets", "npz", split_jets),
    Sample("jets (TFRecord)", "jets.tfrecord", "jets", "tfrecord", dense_jets, checked=True),
    Sample("jets (TFDS)", "jets", "jets", "folder", write=_write_jets_tfds),
    Sample("events (pickle)", "e.pkl.bz2", "events", "pickle", flat_events, checked=True),
    Sample("events (HDF5)", "events.h5", "events", "hdf5", flat_events),
    Sample("events (TFDS)", "delphes_pf/1.2.0", "events", "folder", write=_write_events_tfds),
    Sample("packed jets", "packed", "packed", "folder", write=_write_packed_jets, checked=True),
    Sample(
        "packed showers", "showers", "packed", "folder", write=_write_packed_showers, checked=True
    ),
)
