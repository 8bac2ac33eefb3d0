"""Mutated files, configurations and environments: what comes of them, and a table.

python -m benchmarks.faults.fuzz files|configs|environments [--count N] [--seed 0] [--start 0]
    [--minutes M] [--json FILE] [--work DIR]
python -m benchmarks.faults.fuzz table FILE...

A case is made by its seed and its number alone: ``--start N --count 1`` plays it again. It is right
if it ends with 0 and right values, or with 2 and one line on standard error, and leaves nothing
half-written. It has 1 GiB and 20 s of processor time (files; 60 s for the others, which compile and
draw); waiting for 20 s counts as a hang. The exit code is 1 if a case is wrong.
"""

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

KINDS = {
    "files": "benchmarks.faults.fuzz_files:Files",
    "configs": "benchmarks.faults.fuzz_configs:Configs",
    "environments": "benchmarks.faults.fuzz_environments:Environments",
}
NEEDED = (
    "hepjax.run", "hepjax.cli.inspect", "hepjax.cli.pack", "hepjax.workloads.families",
    "hepjax.physics.calorimeter.inspect", "hepjax.physics.jets.inspect",
    "hepjax.physics.particleflow.inspect", "hepjax.formats.jets.parquet",
    "hepjax.formats.jets.tfds", "hepjax.formats.packed.pack", "tensorflow_datasets",
)  # fmt: skip
"""Imported once, before the forks; none of them starts a thread or a backend of jax."""


@dataclass
class Case:
    """One case."""

    kind: str
    number: int
    subject: str
    """The layout, or the verb."""
    done: str
    """The mutation."""
    read: str
    wrong: str
    seconds: float
    bytes: int
    said: str


def play(
    kind: str, work: Path, seed: int, numbers: Iterable[int], until: float, **options: bool
) -> list[Case]:
    """Play cases until the clock says ``until``; what is wrong goes to standard error."""
    if kind != "environments":
        for module in NEEDED:
            importlib.import_module(module)
    module, _, name = KINDS[kind].partition(":")
    player = getattr(importlib.import_module(module), name)(work, seed, **options)
    cases = []
    for number in numbers:
        if time.monotonic() > until:
            break
        subject, done, ended = player.play(number)
        cases.append(Case(kind, number, subject, done, **asdict(ended)))
        if ended.wrong:
            print(f"{kind} {number}: {subject}: {done}: {ended.wrong}", file=sys.stderr, flush=True)
    return cases


def table(cases: list[Case]) -> list[str]:
    """The lines of a Markdown table, one for each subject."""
    lines = [
        "| | subject | cases | exit code 0 | refused in one line | wrong | most processor s "
        "| most MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups = sorted({(c.kind, c.subject) for c in cases})
    for kind, subject in [*groups, ("all", "")]:
        of = [c for c in cases if kind == "all" or (c.kind, c.subject) == (kind, subject)]
        if not of:
            continue
        cells = [
            kind, subject, len(of), sum(c.read == "read" for c in of),
            sum(c.read == "refused" for c in of), sum(bool(c.wrong) for c in of),
            f"{max(c.seconds for c in of):.1f}", f"{max(c.bytes for c in of) / 1e6:.0f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def _joined(files: list[Path]) -> list[Case]:
    """The cases of several calls; a number that was played twice counts once, the last time."""
    found: dict[tuple[Any, ...], Case] = {}
    for file in files:
        content = json.loads(file.read_text())
        for one in content["cases"]:
            found[content["seed"], one["kind"], one["number"]] = Case(**one)
    return list(found.values())


def main() -> int:
    """Play the cases, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=[*KINDS, "table"])
    parser.add_argument("files", nargs="*", type=Path, help="table: JSON files of earlier calls")
    parser.add_argument("--count", type=int, default=1000, metavar="N")
    parser.add_argument("--start", type=int, default=0, metavar="N", help="number of the first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no case after these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the cases here")
    parser.add_argument("--work", type=Path, metavar="DIR", help="default: a temporary folder")
    parser.add_argument("--untrained", action="store_true", help="configs: without a trained run")
    args = parser.parse_args()
    if args.kind == "table":
        cases = _joined(args.files)
        print("\n".join(table(cases)))
        return int(any(case.wrong for case in cases))
    until = time.monotonic() + 60 * args.minutes
    numbers = range(args.start, args.start + args.count)
    with tempfile.TemporaryDirectory(prefix="hepjax-fuzz-", dir=args.work) as folder:
        options = {"trained": not args.untrained} if args.kind == "configs" else {}
        cases = play(args.kind, Path(folder), args.seed, numbers, until, **options)
    if args.json:
        content = {"seed": args.seed, "cases": [asdict(case) for case in cases]}
        args.json.write_text(json.dumps(content, indent=1))
    print("\n".join(table(cases)))
    return int(any(case.wrong for case in cases))


if __name__ == "__main__":
    sys.exit(main())
