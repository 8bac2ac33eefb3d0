"""``hepjax copies FILE...``: one report of copies that ran side by side.

Takes their ``_summary.json`` and writes the report of all to ``--out``; launch/hepscore uses it.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``copies``."""
    parser.add_argument("summaries", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")


def run(args: argparse.Namespace) -> int:
    """Combine the reports."""
    import json

    from hepjax import InputError
    from hepjax.bench.summary import combine
    from hepjax.engine.records import write_json

    reports = []
    for path in args.summaries:
        try:
            reports.append(json.loads(path.read_text()))
        except ValueError:
            raise InputError(f"{path}: expected a report of hepjax bench, found damage") from None
    write_json(args.out, combine(reports))
    return 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Combine the reports of copies.")
    add_arguments(arguments)
    run(arguments.parse_args())
