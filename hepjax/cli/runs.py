"""``hepjax runs``: the run directories below a folder side by side."""

import argparse
import json
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``runs``."""
    parser.add_argument(
        "folders", metavar="DIR", type=Path, nargs="+", help="folders with runs in them, or runs"
    )
    parser.add_argument(
        "--page", type=Path, metavar="DIR", help="folder for a page with their curves"
    )
    parser.add_argument(
        "--settings", action="store_true", help="print the settings that differ as well"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the table; write the page if one is asked for."""
    from hepjax.formats.files import require_path
    from hepjax.studies import compare

    courses = []
    for folder in args.folders:
        require_path(folder)
        courses += [compare.course(found, folder) for found in compare.find(folder)]
    rows = compare.summary(courses)
    keys = compare.differing(courses) if len(courses) > 1 else []
    if args.page is not None:
        compare.write_page(courses, args.page)
    if args.json:
        settings = {c.name: {key: c.settings.get(key) for key in keys} for c in courses}
        print(json.dumps({"runs": rows, "settings": settings}))
        return 0
    print("\n".join(_table(rows)))
    if args.settings or len(keys) <= 6:
        ordered = {c.name: c.settings for c in courses}
        print("\n".join(_settings(keys, [(r["run"], ordered[r["run"]]) for r in rows])))
    else:
        print(f"{len(keys)} settings differ; --settings prints them")
    if args.page is not None:
        print(f"page: {args.page / 'index.html'}")
    return 0


def _table(rows: list[dict[str, Any]]) -> list[str]:
    head = (
        "run",
        "workload",
        "best score",
        "at epoch",
        "epochs",
        "updates",
        "events/s",
        "last seen",
    )
    cells = [
        (
            row["run"], str(row["workload"]),
            "none yet" if row["best"] is None else f"{row['metric']} {row['best']:.5g}",
            _number(row["best_epoch"]), _number(row["epochs"]), str(row["updates"]),
            _number(row["events_per_second"]), _ago(row["hours_since"]),
        )
        for row in rows
    ]  # fmt: skip
    return _aligned([head, *cells])


def _settings(keys: list[str], runs: list[tuple[str, dict[str, Any]]]) -> list[str]:
    if not keys:
        return []
    rows = [("setting", *(name for name, _ in runs))]
    rows += [(key, *(_number(settings.get(key)) for _, settings in runs)) for key in keys]
    return ["", *_aligned(rows)]


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _ago(hours: float | None) -> str:
    if hours is None:
        return "-"
    if hours < 1:
        return f"{60 * hours:.0f} min ago"
    return f"{hours:.0f} h ago" if hours < 48 else f"{hours / 24:.0f} days ago"
