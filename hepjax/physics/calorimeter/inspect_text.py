"""The report of ``inspect`` on showers, as lines for people."""

from collections.abc import Iterator
from typing import Any

from hepjax.report.inspection import (
    head_lines,
    line,
    passed,
    problem_lines,
    range_header,
    range_line,
)


def text(report: dict[str, Any]) -> Iterator[str]:
    """The report as lines for people."""
    yield from head_lines(report, "showers")
    if "grid" in report:
        yield line("grid", " x ".join(map(str, report["grid"])) + " cells (x, y, z = depth)")
    else:
        grid = report["grid_layer_angle_radius"]
        shape = " x ".join(map(str, grid)) + " (layer, angle, radius)" if grid else "no one grid"
        yield line("voxels", f"{report['voxels']}, {shape}")
    if report["calorimeter"] is not None:
        yield line("calorimeter", report["calorimeter"])
    for unit, because in sorted(
        {(f["cell_unit"], f["cell_unit_because"]) for f in report["files"]}
    ):
        yield line("cell unit", f"{unit}: {because}")
    yield ""
    yield from _datasets(report["files"][0])
    yield ""
    yield range_header(width=24)
    for key, label in RANGES.items():
        if report.get(key) is not None:
            yield range_line(label, report[key], 24)
    yield f"{'hottest cell (GeV)':24}{'':24}{report['hottest_cell_gev']:12.5g}"
    if report.get("energy_gev") is None:
        yield f"{'incident energy (GeV)':24}{'not stored':>12}"
    yield ""
    for threshold, share in report["occupancy"].items():
        yield line(f"cells > {float(threshold):g} GeV", f"{100 * share:.2f} %")
    if report.get("layers") and len(report["layers"]) <= MOST_LAYERS:
        yield ""
        yield from _layers(report["layers"])
    if agreement := report.get("mtheta_minus_theta_rad"):
        yield line("mtheta - theta", "mean {mean:.4f}, rms {rms:.4f} rad".format(**agreement))
    if report.get("sampling_fraction"):
        yield ""
        yield from _fractions(report["sampling_fraction"])
    yield ""
    yield from problem_lines(report, passed(report["checks"], SOUND))


SOUND = {
    "cells_not_finite": "no NaN",
    "cells_negative": "no negative cells",
    "empty_events": "no empty showers",
}
"""What is said of a check that found nothing."""
RANGES = {
    "energy_gev": "incident energy (GeV)",
    "visible_gev": "visible energy (GeV)",
    "visible_over_incident": "visible / incident",
    "theta_rad": "polar angle (rad)",
    "mtheta_rad": "measured angle (rad)",
}


MOST_LAYERS = 12
"""Of which each gets a line."""


def _layers(layers: list[dict[str, Any]]) -> Iterator[str]:
    yield f"{'layer':>8}{'sectors':>10}{'rings':>8}{'to (mm)':>10}{'energy':>10}"
    for row in layers:
        yield (
            f"{row['number']:>8}{row['sectors']:>10}{row['rings']:>8}{row['edges_mm'][1]:>10g}"
            f"{100 * row['share']:>9.2f}%"
        )


def _datasets(file: dict[str, Any]) -> Iterator[str]:
    yield f"{'dataset':22}{'shape':22}{'type':10}{'unit':10}stored as"
    for key, dataset in file["datasets"].items():
        shape = " x ".join(map(str, dataset["shape"]))
        stored = dataset["compression"] or "plain"
        if dataset["chunks"]:
            stored += f", chunks of {dataset['chunks'][0]} events"
        yield f"{key:22}{shape:22}{dataset['dtype']:10}{dataset['unit'] or '-':10}{stored}"


def _fractions(bins: list[dict[str, Any]]) -> Iterator[str]:
    published = any(row["published"] is not None for row in bins)
    beside = " against the published CLIC fit" if published else ""
    yield f"sampling fraction (visible / incident energy){beside}"
    yield f"{'energy (GeV)':>14}{'showers':>9}{'mean':>10}{'rms':>9}{'published':>11}{'ratio':>16}"
    for row in bins:
        low, high = row["energy_gev"]
        text = f"{f'{low:g}-{high:g}':>14}{row['events']:>9,}{row['mean']:>10.5f}{row['rms']:>9.5f}"
        if row["published"] is not None:
            text += f"{row['published']:>11.5f}{row['ratio']:>8.3f} ± {row['ratio_error']:.3f}"
        yield text
