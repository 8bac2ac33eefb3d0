"""The report of ``inspect`` on particle-flow events, as lines for people."""

from collections.abc import Iterator
from typing import Any


def text(report: dict[str, Any]) -> Iterator[str]:
    """The lines that ``hepjax inspect`` prints."""
    first, count = report["files"][0], len(report["files"])
    yield _line("layout", report["layout"])
    yield _line("files", first["path"] + (f" and {count - 1} more" if count > 1 else ""))
    yield _line("events", f"{report['events']:,}")
    yield ""
    yield f"{'an event has':22}{'min':>12}{'mean':>12}{'max':>12}"
    yield _range("elements", report["elements_per_event"])
    for kind, row in report["types"].items():
        yield f"{'  ' + row['name'] + 's, type ' + kind:22}{'':12}{row['per_event']:12,.1f}"
    if report["unassociated_per_event"]:
        yield _range("particles unseen", report["unassociated_per_event"])
    yield ""
    yield (
        f"{'class':22}{'true':>10}{'rule-based':>12}{'sum pT':>12}{'rule-based':>12}"
        f"{'sum E':>12}{'rule-based':>12}{'efficiency':>12}{'fake rate':>11}"
    )
    for label, (true, found) in enumerate(zip(*report["classes"].values(), strict=True)):
        both = report["confusion"][label][label] / report["events"]
        line = f"{label} {true['name']:20}{true['per_event']:10,.1f}{found['per_event']:12,.1f}"
        if label:
            line += "".join(
                f"{row[key]:12,.1f}"
                for key in ("pt_sum_gev", "energy_sum_gev")
                for row in (true, found)
            )
            line += _share(both, true["per_event"], 12)
            line += _share(found["per_event"] - both, found["per_event"], 11)
        yield line
    yield "  numbers and sums (GeV) an event; rule-based: the particle flow stored in the files"
    yield ""
    yield from (_line("note", problem) for problem in report["problems"])
    if not report["problems"]:
        yield _line("checks", "finite numbers, known types and classes, no empty events")


def _line(label: str, value: str) -> str:
    return f"{label:22}{value}"


def _range(label: str, values: dict[str, float]) -> str:
    return f"{label:22}{values['min']:12,.0f}{values['mean']:12,.1f}{values['max']:12,.0f}"


def _share(part: float, whole: float, width: int) -> str:
    return f"{part / whole:{width}.3f}" if whole else f"{'-':>{width}}"
