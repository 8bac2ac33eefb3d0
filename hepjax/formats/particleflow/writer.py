"""Writes MLPF events in the two published layouts; reading them is in reader.py.

Pickles of 100 events (``tev14_pythia8_ttbar_0_0.pkl.bz2``) and TFDS 1.2.0 in array_record, the
latter through TFDS itself, which needs no TensorFlow for it. All files appear when they are whole,
or none.
"""

import bz2
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hepjax import InputError
from hepjax.formats.atomic import scratch, unwritable
from hepjax.formats.particleflow.columns import ARRAYS, Particle

EVENTS_PER_FILE = 100
TFDS_VERSION = "1.2.0"
TFDS_COLUMNS = ARRAYS | {"ygen": len(Particle) + 1, "ycand": len(Particle) + 1}
"""Of the features in TFDS; the eighth column of particles is the number of their jet, 0 if none."""

Event = Mapping[str, np.ndarray]
"""``X`` (N, 12), ``ygen`` and ``ycand`` (N, 7), see columns.py; ``jet`` (N,) if
jets were clustered."""


class _Writer(Protocol):
    def write(self, event: Event) -> None: ...

    def close(self) -> None: ...


def write_events(
    out_dir: str | Path,
    events: Iterable[Event],
    *,
    stem: str | None,
    dataset: tuple[str, str] | None,
    provenance: Mapping[str, Any],
) -> list[Path]:
    """Write events as they come, into one layout or both.

    Args:
      out_dir: folder, made if absent.
      stem: of the pickles, such as ``tev14_pythia8_ttbar_0``; None for no pickles.
      dataset: name and split of the TFDS data set, such as ("delphes_ttbar_pf", "train"), which
        goes to the folder ``<name>/1.2.0``; None for none.
      provenance: how the events were made, kept as metadata of the data set.
    Returns:
      the pickles, then the folder of the data set's version.
    Raises:
      InputError: nothing to write, names that are taken, or a disk that is full.
    """
    out_dir = Path(out_dir)
    with scratch(out_dir, inside=True) as staging:
        writers: list[_Writer] = []
        if stem is not None:
            writers.append(_Pickles(staging, stem))
        if dataset is not None:
            writers.append(_Tfds(staging, *dataset, provenance))
        count = 0
        try:
            for event in events:
                count += 1
                for writer in writers:
                    writer.write(event)
            for writer in writers:
                writer.close()
        except RuntimeError as error:
            # From array_record, with the cause in its first words.
            raise unwritable(out_dir, str(error).split(";")[0]) from None
        if not count:
            raise InputError(f"{out_dir}: expected at least one event to write, found none")
        return _moved(staging, out_dir)


def _moved(staging: Path, out_dir: Path) -> list[Path]:
    """Give the finished files their places."""
    parts = sorted(staging.iterdir(), key=_order)
    for part in parts:
        if (out_dir / part.name).exists():
            raise InputError(
                f"{out_dir}: expected a folder without {part.name}, found it there; choose another "
                "folder"
            )
    for part in parts:
        part.replace(out_dir / part.name)
    places = [out_dir / part.name for part in parts]
    return [place / TFDS_VERSION if place.is_dir() else place for place in places]


def _order(part: Path) -> tuple[bool, int]:
    """Pickles by number, then the data set."""
    number = part.name.split(".")[0].rpartition("_")[2]
    return part.is_dir(), 0 if part.is_dir() else int(number)


class _Pickles:
    """Files of 100 events, float64 as published; particles have seven columns."""

    def __init__(self, folder: Path, stem: str) -> None:
        self.folder, self.stem = folder, stem
        self.events: list[Event] = []
        self.files = 0

    def write(self, event: Event) -> None:
        self.events.append(event)
        if len(self.events) == EVENTS_PER_FILE:
            self.close()

    def close(self) -> None:
        if not self.events:
            return
        lists = {key: [np.asarray(e[key], np.float64) for e in self.events] for key in ARRAYS}
        path = self.folder / f"{self.stem}_{self.files}.pkl.bz2"
        with bz2.open(path, "wb") as file:
            pickle.dump(lists, file, protocol=4)
        self.events, self.files = [], self.files + 1


class _Tfds:
    """One split of a TFDS data set, in shards of 100 events."""

    def __init__(self, folder: Path, name: str, split: str, provenance: Mapping[str, Any]) -> None:
        import tensorflow_datasets as tfds

        place = folder / name / TFDS_VERSION
        place.mkdir(parents=True)
        identity = tfds.core.dataset_info.DatasetIdentity(
            name=name,
            version=tfds.core.Version(TFDS_VERSION),
            data_dir=str(place),
            module_name="hepjax",
        )
        features = {
            key: tfds.features.Tensor(shape=(None, columns), dtype=np.float32)
            for key, columns in TFDS_COLUMNS.items()
        }
        info = tfds.core.DatasetInfo(
            builder=identity,
            description=f"Particle-flow elements and particles. {provenance.get('generator', '')}",
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(provenance),
        )
        self.split = split
        self.writer = tfds.core.SequentialWriter(
            info, max_examples_per_shard=EVENTS_PER_FILE, file_format="array_record"
        )
        self.writer.initialize_splits([split])

    def write(self, event: Event) -> None:
        jet = event.get("jet", np.zeros(len(event["X"])))
        example = {key: np.asarray(event[key], np.float32) for key in ARRAYS}
        for key in ("ygen", "ycand"):
            # As published, the candidate of an element has the jet of its true particle.
            example[key] = np.column_stack([example[key], jet]).astype(np.float32)
        self.writer.add_examples({self.split: [example]})

    def close(self) -> None:
        self.writer.close_all()


def dataset_name(process: str, toy: bool) -> str:
    """Name of the TFDS data set; a toy never bears a published name."""
    return f"toy_{process}_pf" if toy else f"delphes_{process}_pf"
