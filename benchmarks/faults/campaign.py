"""A bounded campaign of real faults: trainings are killed, cut off and damaged, and resume.

python -m benchmarks.faults.campaign [--faults kill,network] [--rounds N] [--seed 0] [--json FILE]

Every round ends in one of these: the final state has the bits of the undisturbed training (after a
damaged checkpoint was refused, if there was one), or it is silently wrong, or the training failed:
a hang, another exit code than docs/reference/faults.md says, an error without its cause. The last
two must be 0; the exit code is 1 if they are not. Mounts and network namespaces need root.
"""

import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

from benchmarks.faults.ground import FailedError, Ground, Round, SkipError
from benchmarks.faults.rounds import FAULTS


@dataclass
class Tally:
    """All rounds of one fault."""

    fault: str
    rounds: list[Round] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0

    def count(self, *, equal: bool, fell_back: bool | None = None) -> int:
        """Rounds of this outcome."""
        return sum(r.equal is equal and fell_back in (None, r.fell_back) for r in self.rounds)

    def median(self, name: str) -> str:
        """Median of ``notice`` or ``goodput``."""
        values = [getattr(r, name) for r in self.rounds]
        known = [v for v in values if v is not None]
        return f"{statistics.median(known):.2f}" if known else "-"


def main() -> int:
    """Run the campaign, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--faults", default=",".join(FAULTS), metavar="NAME,...", help="default: all of %(default)s"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="of each fault; default: 1 to 20")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    args = parser.parse_args()
    unknown = set(args.faults.split(",")) - FAULTS.keys()
    if unknown:
        parser.error(f"--faults: no {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that mounts and hosts go
    tallies = []
    with tempfile.TemporaryDirectory(prefix="hepjax-faults-") as folder:
        jax.config.update("jax_compilation_cache_dir", f"{folder}/cache")
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = f"{folder}/cache"
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        ground = Ground(Path(folder), random.Random(args.seed))
        for name in args.faults.split(","):
            tallies.append(campaign(ground, name, args.rounds or FAULTS[name][1]))
            if args.json:
                args.json.write_text(json.dumps([asdict(tally) for tally in tallies], indent=1))
    print("\n".join(table(tallies)))
    return int(any(tally.failed or tally.count(equal=False) for tally in tallies))


def campaign(ground: Ground, name: str, rounds: int) -> Tally:
    """So many rounds of one fault; what happens goes to standard error as it comes."""
    tally, began = Tally(name), time.monotonic()
    for number in range(rounds):
        try:
            result = FAULTS[name][0](ground)
            for one in result if isinstance(result, Iterator) else [result]:
                tally.rounds.append(one)
                print(f"{name} {number + 1}: {one}", file=sys.stderr, flush=True)
        except FailedError as error:
            tally.failed.append(str(error))
            print(f"{name} {number + 1}: FAILED: {error}", file=sys.stderr, flush=True)
        except SkipError as error:
            tally.skipped = str(error)
            break
        finally:
            ground.clean()
    tally.seconds = time.monotonic() - began
    return tally


def table(tallies: list[Tally]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [
        "| fault | rounds | resumed, equal | refused, fell back, equal | silently wrong | failed "
        "| to notice, s | goodput |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for t in tallies:
        rounds = len(t.rounds) + len(t.failed)
        cells = (
            [t.fault, f"skipped: {t.skipped}", "-", "-", "-", "-", "-", "-"]
            if t.skipped else
            [t.fault, rounds, t.count(equal=True, fell_back=False),
             t.count(equal=True, fell_back=True), t.count(equal=False), len(t.failed),
             t.median("notice"), t.median("goodput")]
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
