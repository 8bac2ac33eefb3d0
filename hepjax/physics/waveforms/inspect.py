"""What is in files of waveforms: counts, areas, saturation, kinds; and a picture of some."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepjax.formats.waveforms.hdf5 import BLOCK_EVENTS, open_waveforms, saturated
from hepjax.formats.waveforms.layout import KINDS, SAMPLE_NS, TRUTH, WAVEFORM
from hepjax.formats.waveforms.packed import is_packed_waveforms
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

DRAWN = 6


def inspect(
    paths: str | Path | Sequence[str | Path], plot: str | Path | None = None,
    *, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Everything ``hepjax inspect`` prints, as one dictionary ready for JSON.

    Raises:
      InputError: see ``open_waveforms``.
    """
    source = open_waveforms(paths)
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    scale, ns = source.meaning.scale, source.files[0].sample_ns
    area, height, touched = [], [], 0
    kinds = np.zeros(len(KINDS), int)
    first = source[np.arange(min(DRAWN, len(source)))]
    with progress("inspect", len(source), "pulses") as advance:
        for low in range(0, len(source), BLOCK_EVENTS):
            batch = source[np.arange(low, min(low + BLOCK_EVENTS, len(source)))]
            waveform = batch[WAVEFORM].astype(np.float32) * scale
            area.append(waveform.sum(1))
            height.append(waveform.max(1))
            touched += int(saturated(batch[WAVEFORM]).sum())
            if TRUTH in batch:
                kinds += np.bincount(batch[TRUTH], minlength=len(KINDS))
            advance(len(waveform))
    if plot is not None:
        save_picture(lambda: _picture(first[WAVEFORM] * scale), Path(plot))
    packed = any(is_packed_waveforms(Path(p)) for p in given)
    return {
        "layout": "packed waveforms" if packed else "HDF5 waveforms", "events": len(source),
        "files": [{"path": str(f.path), "events": f.events} for f in source.files],
        "samples": source.meaning.samples, SAMPLE_NS: ns, "scale": scale,
        "columns": list(source.meaning.columns),
        "kinds": {k: int(n) for k, n in zip(KINDS, kinds, strict=True)} if kinds.sum() else None,
        "area": value_range(np.concatenate(area)), "height": value_range(np.concatenate(height)),
        "checks": {"saturated": touched},
        "problems": [f"{touched:,} pulses are saturated"] if touched else [],
    }  # fmt: skip


def text(report: dict[str, Any]) -> list[str]:
    """The report for people."""
    ns = report[SAMPLE_NS]
    length = f"{report['samples']} samples" + (f" of {ns:g} ns" if ns else "")
    lines = [
        *head_lines(report, "pulses"), line("waveforms", f"{length}, {report['scale']:g} "
                                            "photoelectrons a count"),
        line("columns", ", ".join(report["columns"]) or "none"),
    ]  # fmt: skip
    if report["kinds"]:
        lines.append(line("kinds", ", ".join(f"{k} {n:,}" for k, n in report["kinds"].items())))
    lines += [
        range_header(), range_line("area, photoelectrons", report["area"]),
        range_line("height", report["height"]),
        *problem_lines(report, "finite, none saturated"),
    ]  # fmt: skip
    return lines


def _picture(waveforms: np.ndarray) -> Any:
    from hepjax.report import layout

    figure, grid = layout.panel_grid(len(waveforms), 3, [2.2])
    for values, (axis,) in zip(waveforms, grid, strict=True):
        axis.plot(values, color="#0072b2", lw=0.9)
        axis.set_xlabel("sample")
        axis.set_ylabel("photoelectrons")
    layout.head(figure, f"the first {len(waveforms)} pulses")
    return figure
