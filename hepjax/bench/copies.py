"""``python -m hepjax.bench.copies FILE...``: one report of copies that ran side by side.

Takes their ``_summary.json`` and writes the report of all to ``--out``; launch/hepscore uses it.
"""

import argparse
import json
from pathlib import Path

from hepjax.bench.summary import combine
from hepjax.engine.records import write_json


def main() -> None:
    """Combine the reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("summaries", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    args = parser.parse_args()
    write_json(args.out, combine([json.loads(path.read_text()) for path in args.summaries]))


if __name__ == "__main__":
    main()
