"""Events of a tagger: which files, which channels of them, which part of them, with what weight.

Packed sets are read as training goes; other layouts, if small, are read into memory. Both give the
sparse images in the channels of the configuration; the dense ones are made inside the step.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.engine.workload import Sources
from hepjax.formats.images import SparseImages
from hepjax.formats.jets.reader import open_jets
from hepjax.formats.packed.manifest import is_packed
from hepjax.formats.packed.reader import open_packed
from hepjax.workloads.tagger.config import DataConfig, TaggerConfig
from hepjax.workloads.tagger.source import Images, ImagesInMemory, JetSource, classes

PT_BINS = 20
LARGEST_WEIGHT = 10.0
"""Of an event over the mean: the few events at the end of a spectrum do not rule the loss."""


def sources(cfg: TaggerConfig) -> Sources:
    """Training, validation and test events: separate files, or parts of the same ones.

    Raises:
      InputError: files that cannot be used, or a part without events of one of the classes.
    """
    data = cfg.data
    images = _labelled(data, data.files)
    share = (split_share(images) + data.rotate) % 1.0
    own_files = ((), data.validation_files, data.test_files)
    fractions = [0.0 if files else f for files, f in zip(own_files, data.fractions, strict=True)]
    edges = np.cumsum([0.0, *fractions]) / sum(fractions)
    parts: list[JetSource | None] = []
    for number, name in enumerate(("training", "validation", "test")):
        files = own_files[number]
        if not files and fractions[number] == 0:
            parts.append(None)
            continue
        inside = (share >= edges[number]) & (share < edges[number + 1])
        chosen = _labelled(data, files) if files else images
        rows = np.arange(len(chosen)) if files else np.flatnonzero(inside)
        label = classes(data, chosen)[chosen.column("label")[rows]]
        _require_both(data, files or data.files, label, name)
        weight = _weights(data, chosen, rows, label) if name == "training" else None
        parts.append(JetSource(data, chosen, rows, weight, with_columns=name != "training"))
    training, validation, test = parts
    if training is None or validation is None:
        raise InputError("data.fractions: expected a share for validation, found 0")
    return Sources(training, validation, test)


def _weights(
    cfg: DataConfig, images: Images, rows: np.ndarray, label: np.ndarray
) -> np.ndarray | None:
    if cfg.weights == "none":
        return None
    if cfg.weights == "pt_flat" and "pt" not in images.columns:
        raise InputError(f"{cfg.files[0]}: expected a column pt for data.weights, found none")
    pt = images.column("pt")[rows] if cfg.weights == "pt_flat" else None
    return weights(label, pt)


def _labelled(cfg: DataConfig, files: Sequence[str]) -> Images:
    images = open_images(cfg, files)
    if "label" not in images.columns:
        raise InputError(f"{files[0]}: expected labelled events to train on, found no labels")
    return images


def open_jet_source(cfg: TaggerConfig, paths: Sequence[Path]) -> JetSource:
    """All events of these files in their order, weight 1; they need no labels."""
    images = open_images(cfg.data, [str(path) for path in paths], labelled=False)
    return JetSource(cfg.data, images, np.arange(len(images)))


def open_images(cfg: DataConfig, files: Sequence[str], *, labelled: bool = True) -> Images:
    """The files as sparse images, checked against the configuration.

    Raises:
      InputError: unreadable files, or others than the configuration says: image size, channels,
        the meaning of the labels.
    """
    if all(is_packed(Path(file)) for file in files):
        images: Images = open_packed([Path(file) for file in files])
    else:
        images = _read(cfg, files, labelled)
    where = files[0]
    if tuple(images.grid.shape) != cfg.shape:
        raise _unlike(
            where, f"images of {list(cfg.shape)} pixels", list(images.grid.shape), "shape"
        )
    found = [images.labels[number] for number in sorted(images.labels)]
    if "label" in images.columns and set(found) != set(cfg.labels):
        raise _unlike(where, f"the classes {' and '.join(cfg.labels)}", found, "labels")
    for name in cfg.names:
        if name not in images.grid.names:
            raise InputError(
                f"{where}: expected channel {name} (data.channels), "
                f"found {', '.join(images.grid.names)}"
            )
    return images


def _unlike(where: str, expected: str, found: object, key: str) -> InputError:
    text = str(found).replace("'", "")
    return InputError(
        f"{where}: expected {expected} (data.{key}), found {text}; set 'data.{key}={text}'"
    )


def _read(cfg: DataConfig, files: Sequence[str], labelled: bool) -> ImagesInMemory:
    readers = open_jets(
        list(files), channels=cfg.stored_channels or None, labels=dict(enumerate(cfg.labels)),
        shape=cfg.shape, labelled=labelled,
    )  # fmt: skip
    parts = [part for reader in readers for part in reader.stream()]
    images, values = zip(*parts, strict=True)
    sizes = np.concatenate([np.diff(part.first) for part in images])
    joined = SparseImages(
        np.concatenate([[0], np.cumsum(sizes)]),
        np.concatenate([part.cell for part in images]),
        np.concatenate([part.value for part in images]),
    )
    columns = {name: np.concatenate([part[name] for part in values]) for name in values[0]}
    return ImagesInMemory(readers[0].grid, readers[0].labels, joined, columns)


def split_share(images: Images) -> np.ndarray:
    """Where each event falls between 0 and 1, (n,): a hash of its event number and label.

    Jets of one collision have one number, so they never lie on both sides of a division. Without
    event numbers the row stands in.
    """
    label = images.column("label").astype(np.uint64)
    numbered = "event" in images.columns
    event = images.column("event") if numbered else np.arange(len(images))
    # SplitMix64 (Steele, Lea and Flood, OOPSLA 2014); unsigned products wrap as it wants.
    x = event.astype(np.uint64) * np.uint64(2) + label
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)) / 2.0**53


def weights(label: np.ndarray, pt: np.ndarray | None) -> np.ndarray:
    """Weights (n,) float32 of mean 1 so that both classes count the same.

    Args:
      pt: (n,) GeV; with it each class counts the same in every one of the bins of pT too, up to
        ``LARGEST_WEIGHT``.
    """
    bins = np.zeros(len(label), np.int64)
    if pt is not None:
        edges = np.linspace(pt.min(), pt.max(), PT_BINS + 1)[1:-1]
        bins = np.digitize(pt, edges)
    group = 2 * bins + label
    weight = 1.0 / np.bincount(group)[group]
    weight = np.minimum(weight / weight.mean(), LARGEST_WEIGHT)
    for value in (0, 1):
        weight[label == value] /= weight[label == value].mean() * np.mean(label == value) * 2
    return weight.astype(np.float32)


def _require_both(cfg: DataConfig, files: Sequence[str], label: np.ndarray, part: str) -> None:
    for value, name in enumerate(cfg.labels):
        if not (label == value).any():
            raise InputError(
                f"{files[0]}: expected {part} events of both classes, found none of label {value} "
                f"({name}) among {len(label)}; give more events, or another share of them to this "
                "part (data.fractions, data.rotate)"
            )
