"""What is in files of jet or e/gamma images, or in packed sets: channels, sparsity, labels, checks.

Goes through the events once, in bounded memory. Names that the files do not store and nobody states
are not made up: channels go by their number then.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepjax.formats.images import Grid, SparseImages
from hepjax.formats.jets.reader import open_jets
from hepjax.formats.packed.manifest import read_manifest
from hepjax.formats.packed.reader import PackedSource, open_packed
from hepjax.formats.recognise import container
from hepjax.physics.jets.inspect_text import SIGNED, text
from hepjax.report.inspection import Progress, no_progress, save_picture, value_range

__all__ = ["inspect", "text"]

BATCH = 256
PT_BINS = 30

Columns = dict[str, np.ndarray]


def inspect(
    paths: str | Path | Sequence[str | Path],
    plot: str | Path | None = None,
    *,
    progress: Progress = no_progress,
    channels: tuple[str, ...] | None = None,
    labels: dict[int, str] | None = None,
    shape: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Everything ``hepjax inspect`` prints, as one dictionary ready for JSON.

    Args:
      paths: files or folders of one layout, or packed sets.
      plot: PNG file to draw mean images and spectra into.
      progress: shows how far it is.
      channels, labels, shape: what the files do not say, see ``formats.jets.open_jets``.
    Returns:
      ``layout``, ``events``, ``shape``, ``files``, ``channels`` (each with ``filled``, the share of
      cells that are not zero, ``cells`` an event, and the range of their values), ``labels`` with
      their events, ``columns`` with their ranges, ``pt_spectrum``, ``checks``, ``problems``.
    Raises:
      InputError: unreadable or damaged files, numbers that are not finite, unknown layouts.
    """
    first = Path(paths) if isinstance(paths, str | Path) else Path(paths[0])
    if container(first) == "packed":
        report, grid, names, events = _packed(paths)
    else:
        report, grid, names, events = _files(paths, channels, labels, shape)
    totals = _Totals(grid)
    with progress("inspect", report["events"], "events") as advance:
        for images, columns in events:
            totals.add(images, columns)
            advance(len(images))
    report |= _summary(totals, names)
    if plot is not None:
        from hepjax.physics.jets.inspect_plot import draw

        save_picture(lambda: draw(report, totals.means()), Path(plot))
    return report


Opened = tuple[dict[str, Any], Grid, dict[int, str], Iterator[tuple[SparseImages, Columns]]]


def _files(
    paths: str | Path | Sequence[str | Path],
    channels: tuple[str, ...] | None,
    labels: dict[int, str] | None,
    shape: tuple[int, int] | None,
) -> Opened:
    files = open_jets(paths, channels=channels, labels=labels, shape=shape, first_look=True)
    report = {
        "layout": ", ".join(dict.fromkeys((container(files[0].path), files[0].layout))),
        "events": sum(file.events for file in files),
        "files": [{"path": str(file.path), "events": file.events} for file in files],
    }
    stream = (piece for file in files for piece in file.stream(BATCH))
    return report, files[0].grid, files[0].labels, stream


def _packed(paths: str | Path | Sequence[str | Path]) -> Opened:
    source = open_packed(paths)
    folders = [Path(paths)] if isinstance(paths, str | Path) else map(Path, paths)
    report = {
        "layout": "packed set",
        "events": len(source),
        "files": [{"path": str(f), "events": read_manifest(f).events} for f in folders],
    }
    return report, source.grid, source.labels, _unpadded(source)


def _unpadded(source: PackedSource) -> Iterator[tuple[SparseImages, Columns]]:
    for start in range(0, len(source), BATCH):
        batch = source[np.arange(start, min(start + BATCH, len(source)))]
        cell, value = batch.pop("cell"), batch.pop("value")
        stored = cell < source.grid.size
        first = np.concatenate([[0], np.cumsum(stored.sum(1))])
        yield SparseImages(first, cell[stored].astype(np.uint32), value[stored]), batch


class _Totals:
    """Sums over events, channel by channel and class by class."""

    def __init__(self, grid: Grid) -> None:
        self.grid, self.events, self.empty = grid, 0, 0
        count = len(grid.channels)
        self.filled, self.negative = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.sum = np.zeros(count)
        self.low, self.high = np.full(count, np.inf), np.full(count, -np.inf)
        self.images: dict[int, np.ndarray] = {}  # sum of |value| in each cell, by label
        self.columns: list[Columns] = []
        self.fingerprints: list[int] = []

    def add(self, images: SparseImages, columns: Columns) -> None:
        """Count some events."""
        cells, value = images.cell, images.value
        count = np.diff(images.first)
        channel = np.searchsorted(self.grid.starts, cells, side="right") - 1
        channels = len(self.grid.channels)
        self.events += len(images)
        self.empty += int(np.count_nonzero(count == 0))
        self.filled += np.bincount(channel, minlength=channels)
        self.negative += np.bincount(channel[value < 0], minlength=channels)
        self.sum += np.bincount(channel, value, channels)
        np.minimum.at(self.low, channel, value)
        np.maximum.at(self.high, channel, value)
        label = np.asarray(columns.get("label", np.zeros(len(images), np.int32)))
        of_cell = np.repeat(label, count)
        for k in np.unique(label).tolist():
            mine = of_cell == k
            sums = np.bincount(cells[mine], np.abs(value[mine]), self.grid.size)
            self.images[k] = self.images.get(k, 0.0) + sums
        self.columns.append(dict(columns))
        for start, stop in zip(images.first[:-1], images.first[1:], strict=True):
            self.fingerprints.append(
                hash((cells[start:stop].tobytes(), value[start:stop].tobytes()))
            )

    def column(self, name: str) -> np.ndarray | None:
        """(n,) values, or None if the files do not have it."""
        if not self.columns or name not in self.columns[0]:
            return None
        return np.concatenate([part[name] for part in self.columns])

    def means(self) -> dict[int, list[np.ndarray]]:
        """By label the mean |value| of each channel, at its own granularity."""
        label = self.column("label")
        starts, planes = self.grid.starts, self.grid.planes
        made = {}
        for k, sums in sorted(self.images.items()):
            mean = sums / (self.events if label is None else np.count_nonzero(label == k))
            made[k] = [mean[starts[c] : starts[c + 1]].reshape(p) for c, p in enumerate(planes)]
        return made


def _summary(totals: _Totals, names: dict[int, str]) -> dict[str, Any]:
    label, pt = totals.column("label"), totals.column("pt")
    values = {name: totals.column(name) for name in totals.columns[0] if name != "label"}
    summary: dict[str, Any] = {
        "shape": list(totals.grid.shape),
        "channels": list(_channels(totals)),
        "labels": None if label is None else _label_counts(label, names),
        "columns": {name: _finite_range(v) for name, v in values.items()},
        "pt_spectrum": None if pt is None else _spectrum(pt, label),
        "checks": {
            "empty_events": totals.empty,
            "identical_images": totals.events - len(set(totals.fingerprints)),
            "events_with_company": _company(totals.column("event"), label),
        },
    }
    summary["problems"] = list(_problems(summary, names))
    return summary


def _finite_range(values: np.ndarray | None) -> dict[str, float] | None:
    return None if values is None or not np.isfinite(values).all() else value_range(values)


def _channels(totals: _Totals) -> Iterator[dict[str, Any]]:
    sizes = np.diff(totals.grid.starts)
    for k, channel in enumerate(totals.grid.channels):
        filled = int(totals.filled[k])
        yield {
            "name": channel.name, "unit": channel.unit, "coarsening": channel.coarsening,
            "cells": filled / totals.events,
            "filled": filled / (totals.events * int(sizes[k])),
            "min": float(totals.low[k]) if filled else None,
            "mean": float(totals.sum[k]) / filled if filled else None,
            "max": float(totals.high[k]) if filled else None,
            "negative": int(totals.negative[k]),
        }  # fmt: skip


def _label_counts(label: np.ndarray, names: dict[int, str]) -> dict[str, dict[str, Any]]:
    found, counts = np.unique(label, return_counts=True)
    events = dict(zip(found.tolist(), counts.tolist(), strict=True))
    return {
        str(k): {"name": names.get(k), "events": events.get(k, 0)}
        for k in sorted({*names, *events})
    }


def _spectrum(pt: np.ndarray, label: np.ndarray | None) -> dict[str, Any]:
    """Numbers of events in bins of pT (GeV), by label."""
    low, high = float(pt.min()), float(pt.max())
    edges = np.linspace(low, max(high, low + 1.0), PT_BINS + 1)
    label = np.zeros(len(pt), np.int32) if label is None else label
    counts = {str(k): np.histogram(pt[label == k], edges)[0].tolist() for k in np.unique(label)}
    return {"edges_gev": edges.tolist(), "events": counts}


def _company(event: np.ndarray | None, label: np.ndarray | None) -> int | None:
    """Jets whose event and label another jet has too."""
    if event is None:
        return None
    keys = event[:, None] if label is None else np.stack([event, label], axis=1)
    counts = np.unique(keys, axis=0, return_counts=True)[1]
    return int(counts[counts > 1].sum())


def _problems(summary: dict[str, Any], names: dict[int, str]) -> Iterator[str]:
    checks, labels = summary["checks"], summary["labels"]
    if any(channel["name"].startswith("channel ") for channel in summary["channels"]):
        yield "names of the channels not stored: orders differ between files, state --channels"
    if labels is None:
        yield "no labels: such files can be predicted, not trained on"
    if labels is not None and not names:
        yield "meaning of the labels not stored: conventions contradict each other, state --labels"
    if labels is not None and min(row["events"] for row in labels.values()) == 0:
        yield "a class has no events"
    for name in (c["name"] for c in summary["channels"] if c["cells"] == 0):
        yield f"channel {name} is empty in all events"
    for channel in summary["channels"]:
        if channel["negative"] and channel["name"] not in SIGNED:
            yield f"channel {channel['name']} has {channel['negative']:,} negative cells"
    if checks["empty_events"]:
        yield f"{checks['empty_events']:,} events are empty"
    if checks["identical_images"]:
        yield f"{checks['identical_images']:,} images are copies of others: keep them in one part"
    if checks["events_with_company"]:
        yield (
            f"{checks['events_with_company']:,} jets share event and label with another: "
            "split by both"
        )
    for name in (name for name, values in summary["columns"].items() if values is None):
        yield f"column {name} has values that are not finite"
