"""The report of ``inspect`` on detector images, as lines for people."""

from collections.abc import Iterator
from typing import Any

GEV = ("pt", "mass")
"""Columns whose unit readers guarantee."""


def text(report: dict[str, Any]) -> Iterator[str]:
    """The lines that ``hepjax inspect`` prints."""
    first, count = report["files"][0], len(report["files"])
    yield _line("layout", report["layout"])
    yield _line("files", first["path"] + (f" and {count - 1} more" if count > 1 else ""))
    yield _line("events", f"{report['events']:,}")
    yield _line("image", " x ".join(map(str, report["shape"])) + " pixels")
    for label, row in (report["labels"] or {}).items():
        share = row["events"] / report["events"]
        name = row["name"] or "(meaning not stored)"
        yield _line(f"label {label}", f"{name}: {row['events']:,} events, {100 * share:.1f} %")
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
            + "".join(f"{_number(c[key]):>12}" for key in ("min", "mean", "max"))
            + f"{c['negative']:>10,}"
        )
    yield ""
    if report["columns"]:
        yield f"{'column':22}{'min':>12}{'mean':>12}{'max':>12}"
    for name, values in report["columns"].items():
        unit = " (GeV)" if name in GEV else ""
        numbers = values or dict.fromkeys(("min", "mean", "max"))
        yield f"{name + unit:22}" + "".join(f"{_number(v):>12}" for v in numbers.values())
    if report["columns"]:
        yield ""
    yield from (_line("note", problem) for problem in report["problems"])
    if not report["problems"]:
        yield _line("checks", "numbers finite, no empty events, no copies, no negative energies")


def _line(label: str, value: str) -> str:
    return f"{label:22}{value}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"
