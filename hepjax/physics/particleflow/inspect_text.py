"""The report of ``inspect`` on particle-flow events, as lines for people."""

from collections.abc import Iterator
from typing import Any

from hepjax.report.inspection import head_lines, passed, problem_lines, range_header, range_line

WHOLE = (",.0f", ",.1f", ",.0f")
"""How minimum, mean and maximum of whole numbers are written."""

SOUND = {
    "not_finite": "finite numbers",
    "broken_rows": "known types and classes, sound charges, momenta and angles",
    "empty_events": "no empty events",
}
"""What is said of a check that found nothing."""


def text(report: dict[str, Any]) -> Iterator[str]:
    """The lines that ``hepjax inspect`` prints."""
    yield from head_lines(report, "events")
    yield ""
    yield range_header("an event has")
    yield range_line("elements", report["elements_per_event"], formats=WHOLE)
    for kind, row in report["types"].items():
        yield f"{'  ' + row['name'] + 's, type ' + kind:22}{'':12}{row['per_event']:12,.1f}"
    if report["unassociated_per_event"]:
        yield range_line("particles unseen", report["unassociated_per_event"], formats=WHOLE)
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
    yield from problem_lines(report, passed(report["checks"], SOUND))


def _share(part: float, whole: float, width: int) -> str:
    return f"{part / whole:{width}.3f}" if whole else f"{'-':>{width}}"
