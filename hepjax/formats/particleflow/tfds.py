"""TFDS data sets of MLPF events in array_record, read as data sources, without TensorFlow.

``delphes_pf`` 1.0 (padded with zeros to 6,400 elements), 1.1 and 1.2, ``delphes_ttbar_pf`` and
``delphes_qcd_pf``. A path is the folder of a version; one with several splits needs the name of the
split after a colon: ``delphes_ttbar_pf/1.2.0:train``.
"""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.damage import reading
from hepjax.formats.files import exists_inside
from hepjax.formats.particleflow.columns import ARRAYS
from hepjax.formats.particleflow.events import EventFile, Events, join
from hepjax.formats.silence import silenced

BLOCK_EVENTS = 32
"""Events decoded together; records are stored one by one, 1.3 ms each with 5,000 elements."""


def is_tfds(path: Path) -> bool:
    """Whether ``path`` is the folder of a TFDS data set, or one of its splits."""
    return exists_inside(_folder_and_split(path)[0], "dataset_info.json")


def is_events(path: Path) -> bool:
    """Whether it is one with the three features of MLPF events."""
    try:
        features = json.loads((_folder_and_split(path)[0] / "features.json").read_bytes())
        return all(key in features["featuresDict"]["features"] for key in ARRAYS)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def describe(path: Path) -> EventFile:
    """What a split holds; reads all of it, as lengths are stored nowhere else.

    Raises:
      InputError: damaged, not in array_record, several splits and none named.
    """
    name, source = _source(path)
    lengths = [len(_stripped(_record(path, source, i))["X"]) for i in range(len(source))]
    blocks = np.append(np.arange(0, len(lengths), BLOCK_EVENTS), len(lengths))
    return EventFile(
        path, f"TFDS {name}", np.array(lengths, np.int64), blocks, functools.partial(read, path)
    )


def read(path: Path, start: int, stop: int) -> Events:
    """Events ``start`` to ``stop`` without their padding.

    Raises:
      InputError: damaged.
    """
    _, source = _source(path)
    return join(path, start, [_stripped(_record(path, source, i)) for i in range(start, stop)])


def _folder_and_split(path: Path) -> tuple[Path, str]:
    folder, _, split = path.name.partition(":")
    return path.parent / folder, split


@functools.lru_cache(maxsize=64)
def _source(path: Path) -> tuple[str, Any]:
    """Name and version of the data set, and its records."""
    import tensorflow_datasets as tfds

    folder, split = _folder_and_split(path)
    with reading(folder, "TFDS"), silenced():
        builder = tfds.builder_from_directory(folder)
        counts = {name: info.num_examples for name, info in builder.info.splits.items()}
        formats = {form.value for form in builder.info.available_file_formats()}
        if "array_record" not in formats:
            raise InputError(
                f"{folder}: expected a TFDS data set in array_record, found {', '.join(formats)}; "
                "prepare it again with file_format='array_record'"
            )
        found = ", ".join(sorted(builder.info.features))
        if not all(key in builder.info.features for key in ARRAYS):
            raise InputError(f"{folder}: expected the features {', '.join(ARRAYS)}, found {found}")
        if not split and len(counts) == 1:
            (split,) = counts
        if split not in counts:
            names = ", ".join(sorted(counts)) or "none"
            raise InputError(
                f"{path}: expected one of its splits after a colon ({folder.name}:train), "
                f"{names}, found {split or 'none named'}"
            )
        if not counts[split]:
            raise InputError(f"{path}: expected events, found none")
        source = builder.as_data_source(split, file_format="array_record")
        if len(source) != counts[split]:
            raise InputError(
                f"{path}: expected {counts[split]} events as dataset_info.json says, "
                f"found {len(source)}"
            )
    return f"{builder.info.name} {builder.info.version}, {split}", source


def _record(path: Path, source: Any, event: int) -> dict[str, np.ndarray]:
    with reading(_folder_and_split(path)[0], "array_record"):
        record = source[event]
        tables = {key: np.asarray(record[key], np.float32) for key in ARRAYS}
    for key, table in tables.items():
        if table.ndim != 2:
            raise InputError(f"{path}: expected rows in {key!r} of event {event}, found none")
    return tables


def _stripped(event: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """An event without the rows of padding at its end."""
    last = np.flatnonzero(event["X"][:, :1].any(1))
    return {key: rows[: last[-1] + 1 if len(last) else 0] for key, rows in event.items()}
