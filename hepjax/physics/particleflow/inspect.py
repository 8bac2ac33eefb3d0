"""What is in files of particle-flow events: elements, types, classes, spectra, sums, checks.

Goes through the events once, block by block; rows that break the layout are counted and left out.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepjax.formats.particleflow.columns import (
    CLASSES,
    ELECTRON,
    MUON,
    NEUTRAL_HADRON,
    NONE,
    PHOTON,
    TOWER,
    TRACK,
    Particle,
    Tower,
    Track,
)
from hepjax.formats.particleflow.events import EventFile, Events
from hepjax.formats.particleflow.reader import describe_all
from hepjax.formats.particleflow.sound import FINITE, faults, fill_candidates
from hepjax.physics.particleflow.inspect_text import text
from hepjax.report.inspection import Progress, no_progress, save_picture, value_range

__all__ = ["inspect", "text"]

PT_EDGES = np.geomspace(0.1, 1000.0, 41)
"""GeV; what is below or above counts in the first or last bin."""
ETA_EDGES = np.linspace(-5.0, 5.0, 51)
TYPES = {TRACK: "track", TOWER: "tower"}


def inspect(
    paths: str | Path | Sequence[str | Path], plot: str | Path | None = None,
    *, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Everything ``hepjax inspect`` prints, as one dictionary ready for JSON.

    Args:
      paths: files, TFDS data sets or folders, see ``formats.particleflow.reader``.
      plot: PNG file to draw the distributions into.
      progress: shows how far it is.
    Returns:
      ``events``, ``files``, ``elements_per_event``, ``types``, ``classes`` (targets ``ygen`` and
      candidates ``ycand``: number and sums an event), ``confusion`` (target by candidate),
      ``lepton_charge`` (share of leptons with the charge of their track), ``candidates_filled``,
      ``unassociated_per_event``, ``spectra``, ``checks`` and ``problems``, one sentence each.
    Raises:
      InputError: unreadable or damaged files, unknown layouts.
    """
    files = describe_all(paths)
    totals = _Totals()
    with progress("inspect", sum(map(len, files)), "events") as advance:
        for file in files:
            for start, stop in zip(file.blocks[:-1], file.blocks[1:], strict=True):
                totals.add(file.read(int(start), int(stop)))
                advance(int(stop - start))
    report = _report(files, totals)
    if plot is not None:
        from hepjax.physics.particleflow.inspect_plot import draw

        save_picture(lambda: draw(report), Path(plot))
    return report


class _Totals:
    """Sums over elements; all are plain counts or GeV."""

    def __init__(self) -> None:
        self.events = 0
        self.faults: dict[str, int] = {}
        self.first_bad: int | None = None
        self.first_bad_row: int | None = None
        self.types = dict.fromkeys(TYPES, 0)
        self.confusion = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
        self.sums = {key: np.zeros((len(CLASSES), 2)) for key in ("ygen", "ycand")}  # pt, energy
        self.filled = {"pt of neutrals": 0, "energy of charged": 0}
        self.leptons = np.zeros(2, np.int64)  # with the charge of their track, and all
        self.element_pt = {kind: np.zeros(len(PT_EDGES) - 1, np.int64) for kind in TYPES}
        self.element_eta = {kind: np.zeros(len(ETA_EDGES) - 1, np.int64) for kind in TYPES}
        self.target_pt = np.zeros((len(CLASSES), len(PT_EDGES) - 1), np.int64)

    def add(self, events: Events) -> None:
        """Count some events."""
        bad = np.zeros(len(events.X), bool)
        for expected, rows in faults(events).items():
            self.faults[expected] = self.faults.get(expected, 0) + int(rows.sum())
            bad |= rows
        if bad.any() and self.first_bad is None:
            row = int(np.flatnonzero(bad)[0])
            event = int(np.searchsorted(events.first, row, "right")) - 1
            self.first_bad = self.events + event
            self.first_bad_row = row - int(events.first[event])
        self.events += len(events)
        X, ygen, ycand = (table[~bad] for table in (events.X, events.ygen, events.ycand))
        self._add_elements(X)
        self._add_particles(X, ygen, ycand)

    def _add_elements(self, X: np.ndarray) -> None:
        for kind in TYPES:
            inside = X[X[:, Track.TYPE] == kind]
            self.types[kind] += len(inside)
            pt = np.clip(inside[:, Track.PT], PT_EDGES[0], PT_EDGES[-1])  # of a tower ET
            self.element_pt[kind] += np.histogram(pt, PT_EDGES)[0]
            self.element_eta[kind] += np.histogram(inside[:, Tower.ETA], ETA_EDGES)[0]

    def _add_particles(self, X: np.ndarray, ygen: np.ndarray, ycand: np.ndarray) -> None:
        target, candidate = (y[:, Particle.CLASS].astype(np.int64) for y in (ygen, ycand))
        pair = np.bincount(target * len(CLASSES) + candidate, minlength=self.confusion.size)
        self.confusion += pair.reshape(self.confusion.shape)
        neutral = np.isin(candidate, (NEUTRAL_HADRON, PHOTON))
        charged = ~neutral & (candidate != NONE)
        self.filled["pt of neutrals"] += int((neutral & (ycand[:, Particle.PT] == 0)).sum())
        self.filled["energy of charged"] += int((charged & (ycand[:, Particle.ENERGY] == 0)).sum())
        for key, y, of in (("ygen", ygen, target), ("ycand", fill_candidates(ycand), candidate)):
            for k, column in enumerate((Particle.PT, Particle.ENERGY)):
                self.sums[key][:, k] += np.bincount(of, y[:, column], len(CLASSES))
        lepton = (X[:, Track.TYPE] == TRACK) & np.isin(target, (ELECTRON, MUON))
        agrees = ygen[lepton, Particle.CHARGE] == X[lepton, Track.CHARGE]
        self.leptons += [int(agrees.sum()), len(agrees)]
        for label in range(len(CLASSES)):
            pt = np.clip(ygen[target == label, Particle.PT], PT_EDGES[0], PT_EDGES[-1])
            self.target_pt[label] += np.histogram(pt, PT_EDGES)[0]


def _report(files: Sequence[EventFile], totals: _Totals) -> dict[str, Any]:
    elements = np.concatenate([file.elements for file in files])
    counts = [file.unassociated for file in files if file.unassociated is not None]
    known = np.concatenate(counts) if len(counts) == len(files) else None
    report: dict[str, Any] = {
        "layout": f"MLPF, {', '.join(sorted({file.layout for file in files}))}",
        "events": totals.events,
        "files": [{"path": str(f.path), "layout": f.layout, "events": len(f)} for f in files],
        "elements": int(elements.sum()),
        "elements_per_event": value_range(elements),
        "types": {
            str(kind): {"name": name, "per_event": totals.types[kind] / totals.events}
            for kind, name in TYPES.items()
        },
        "classes": {key: list(_classes(totals, key)) for key in ("ygen", "ycand")},
        "confusion": totals.confusion.tolist(),
        "lepton_charge": _share(*totals.leptons),
        "candidates_filled": totals.filled,
        "unassociated_per_event": None if known is None else value_range(known),
        "spectra": _spectra(totals, elements),
        "checks": {
            "not_finite": totals.faults[FINITE],
            "broken_rows": {expected: n for expected, n in totals.faults.items() if n},
            "empty_events": int((elements == 0).sum()),
            "first_bad_event": totals.first_bad, "first_bad_row": totals.first_bad_row,
        },
    }  # fmt: skip
    report["problems"] = list(_problems(report))
    return report


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _classes(totals: _Totals, key: str) -> Iterator[dict[str, Any]]:
    counts = totals.confusion.sum(1 if key == "ygen" else 0)
    for label, name in enumerate(CLASSES):
        pt, energy = totals.sums[key][label] / totals.events
        yield {
            "class": label, "name": name, "per_event": float(counts[label] / totals.events),
            "pt_sum_gev": float(pt), "energy_sum_gev": float(energy),
        }  # fmt: skip


def _spectra(totals: _Totals, elements: np.ndarray) -> dict[str, Any]:
    counts, edges = np.histogram(elements, 40)
    return {
        "elements": {"edges": edges.tolist(), "events": counts.tolist()},
        "pt_edges_gev": PT_EDGES.tolist(),
        "eta_edges": ETA_EDGES.tolist(),
        "element_pt": {TYPES[k]: h.tolist() for k, h in totals.element_pt.items()},
        "element_eta": {TYPES[k]: h.tolist() for k, h in totals.element_eta.items()},
        "target_pt": {CLASSES[k]: totals.target_pt[k].tolist() for k in range(1, len(CLASSES))},
    }


def _problems(report: dict[str, Any]) -> Iterator[str]:
    checks = report["checks"]
    for expected, rows in checks["broken_rows"].items():
        yield (
            f"{rows} elements break the layout: expected {expected}, the first in event "
            f"{checks['first_bad_event']} (row {checks['first_bad_row']}) or later; such files "
            "cannot be trained on"
        )
    if checks["empty_events"]:
        yield f"{checks['empty_events']} events have no elements; such files cannot be trained on"
    agreement = report["lepton_charge"]
    if agreement is not None and agreement < 0.9:
        yield (
            f"{100 * agreement:.0f} % of leptons have the charge of their track: the targets have "
            "the sign of the PDG code, as published, which is +1 for electrons and muons"
        )
    for what, count in report["candidates_filled"].items():
        if count:
            yield f"{what} is 0 in {count} candidates, as published; it is filled in on reading"
