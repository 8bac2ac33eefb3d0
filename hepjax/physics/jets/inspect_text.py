"""The report of ``inspect`` on detector images, as lines for people."""

from collections.abc import Iterator
from typing import Any

from hepjax.report.inspection import (
    COLUMNS,
    head_lines,
    line,
    number,
    passed,
    problem_lines,
    range_header,
    range_line,
)

GEV = ("pt", "mass")
"""Columns whose unit readers guarantee."""

SIGNED = ("d0", "dz", "time")
"""Channels in which negative values are as good as positive ones."""
SOUND = {
    "columns_not_finite": "numbers finite",
    "empty_events": "no empty events",
    "identical_images": "no copies",
    "negative_energies": "no negative energies",
}
"""What is said of a check that found nothing."""


def text(report: dict[str, Any]) -> Iterator[str]:
    """The lines that ``hepjax inspect`` prints."""
    yield from head_lines(report, "events")
    yield line("image", " x ".join(map(str, report["shape"])) + " pixels")
    for label, row in (report["labels"] or {}).items():
        share = row["events"] / report["events"]
        name = row["name"] or "(meaning not stored)"
        yield line(f"label {label}", f"{name}: {row['events']:,} events, {100 * share:.1f} %")
    yield ""
    yield (
        f"{'channel':16}{'unit':>6}{'cell':>6}{'cells/event':>13}{'filled':>9}"
        f"{'min':>12}{'mean':>12}{'max':>12}{'negative':>10}"
    )
    for c in report["channels"]:
        size = "x".join([str(c["coarsening"])] * len(report["shape"]))
        yield (
            f"{c['name']:16}{c['unit'] if c['unit'] != '1' else '-':>6}{size:>6}"
            f"{c['cells']:>13.1f}{100 * c['filled']:>7.2f} %"
            + "".join(f"{number(c[key]):>12}" for key in COLUMNS)
            + f"{c['negative']:>10,}"
        )
    yield ""
    if report["columns"]:
        yield range_header("column")
    for name, values in report["columns"].items():
        yield range_line(name + (" (GeV)" if name in GEV else ""), values)
    if report["columns"]:
        yield ""
    found = report["checks"] | {
        "columns_not_finite": sum(values is None for values in report["columns"].values()),
        "negative_energies": sum(
            c["negative"] for c in report["channels"] if c["name"] not in SIGNED
        ),
    }
    yield from problem_lines(report, passed(found, SOUND))
