"""What is in files of hits: counts, noise, layers, spectra, checks; and a picture of the first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepjax.formats.tracking.detector import PARTS, SURFACES
from hepjax.formats.tracking.event import Event
from hepjax.formats.tracking.reader import list_events, read_event
from hepjax.report.inspection import (
    Progress,
    head_lines,
    line,
    no_progress,
    problem_lines,
    range_header,
    range_line,
    save_picture,
    value_range,
)


def inspect(
    paths: str | Path | Sequence[str | Path], plot: str | Path | None = None,
    *, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Everything ``hepjax inspect`` prints, as one dictionary ready for JSON.

    Raises:
      InputError: see ``reader.read_event``.
    """
    files = list_events(paths)
    by_part, pts, per_particle = np.zeros(len(PARTS), int), [], []
    hits, noise, truth, first = [], 0, 0, None
    part = np.array([s.part for s in SURFACES])
    with progress("inspect", len(files), "events") as advance:
        for path in files:
            event = read_event(path)
            first = first or event
            hits.append(len(event))
            by_part += np.bincount(part[event.surface], minlength=len(PARTS))
            if event.particle is not None:
                truth += 1
                noise += int((event.particle == 0).sum())
                names, count = np.unique(event.particle, return_counts=True)
                per_particle.append(count[names != 0])
                if event.identifier is not None:
                    pts.append(event.pt[np.isin(event.identifier, names)])
            advance(1)
    assert first is not None
    if plot is not None:
        save_picture(lambda: _picture(first), Path(plot))
    return {
        "layout": " and ".join(sorted({place.layout for place in files})), "events": len(files),
        "files": [{"path": path} for path in dict.fromkeys(str(place.path) for place in files)],
        "hits_per_event": value_range(np.array(hits)),
        "hits_by_part": {p.name: int(n) for p, n in zip(PARTS, by_part, strict=True)},
        "events_with_truth": truth, "noise_share": noise / sum(hits) if truth else None,
        "hits_per_particle": value_range(np.concatenate(per_particle)) if per_particle else None,
        "pt": value_range(np.concatenate(pts)) if pts else None,
        "checks": {}, "problems": [] if truth == len(files) else [
            f"{len(files) - truth} of {len(files)} events have no truth"],
    }  # fmt: skip


def text(report: dict[str, Any]) -> list[str]:
    """The report for people."""
    parts = ", ".join(f"{name} {n:,}" for name, n in report["hits_by_part"].items())
    lines = [*head_lines(report, "events"), line("hits", parts)]
    if report["noise_share"] is not None:
        lines.append(line("noise", f"{report['noise_share']:.1%} of the hits"))
    lines += [
        range_header(), range_line("hits an event", report["hits_per_event"]),
        range_line("hits a particle", report["hits_per_particle"]),
        range_line("pT, GeV", report["pt"]),
        *problem_lines(report, "hits inside the detector, truth of all hits"),
    ]  # fmt: skip
    return lines


def _picture(event: Event) -> Any:
    from hepjax.report import layout

    figure, grid = layout.panel_grid(2, 2, [4.0])
    x, y, z = event.xyz.T
    noise = event.particle == 0 if event.particle is not None else np.zeros(len(event), bool)
    panels = (((x, y), ("x [mm]", "y [mm]")), ((z, np.hypot(x, y)), ("z [mm]", "r [mm]")))
    for (axis,), ((a, b), (la, lb)) in zip(grid, panels, strict=True):
        axis.scatter(a[~noise], b[~noise], s=1.5, color="#0072b2", rasterized=True)
        axis.scatter(a[noise], b[noise], s=1, color="0.7", rasterized=True)
        axis.set_xlabel(la)
        axis.set_ylabel(lb)
    grid[0][0].set_aspect("equal", adjustable="datalim")
    layout.head(figure, f"{len(event):,} hits, {noise.sum():,} of them noise (grey)")
    return figure
