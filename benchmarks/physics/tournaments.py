"""Members that exchange something against as many independent ones, at equal updates: tournaments
of generators, and population-based training.

    python -m benchmarks.physics.tournaments wgan/demo 'data.files=[data/photons]' replicas=4 \
        --with objective.tournament_every=100 --seeds 3
    python -m benchmarks.physics.tournaments gan3d/demo 'data.files=[data/showers]' \
        train.members=4 --with train.exchange=tournament --seeds 3
    python -m benchmarks.physics.tournaments tagger/demo 'data.files=[data/jets]' \
        train.members=8 'train.member_rates=[1e-4,2e-4,4e-4,8e-4,1.6e-3,3.2e-3,6.4e-3,1.3e-2]' \
        --with train.exchange=best --seeds 3

Each seed trains twice, with and without what ``--with`` sets; all else, the initial weights too, is
the same. A row gives the validation score of the members after the last epoch: the best one, which
a user would take, and the median; and, where generators travel, of how many members generators are
left. A run that is complete is not trained again.
"""

import argparse
import statistics
from pathlib import Path

from hepjax import run as runs
from hepjax.engine import records
from hepjax.engine.settings import find_config, read_settings
from hepjax.workloads import table


def main() -> None:
    """Train, print the table."""
    parser = argparse.ArgumentParser(description=" ".join(__doc__.split(":")[0].split()))
    parser.add_argument("config", help="as for hepjax train")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value", help="of both")
    parser.add_argument("--with", dest="extra", action="append", required=True, metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="0 to N - 1")
    parser.add_argument("--runs", type=Path, default=Path("runs/tournaments"), metavar="DIR")
    args = parser.parse_args()
    print("| seed | independent: best | median | exchange: best | median | generators left |")
    print("|---" * 6 + "|")
    for seed in range(args.seeds):
        cells = []
        for name, extra in (("independent", []), ("exchange", args.extra)):
            run = args.runs / f"{Path(args.config).parent}-{name}-{seed}"
            origin, scores = trained(
                args.config, [*args.overrides, f"train.seed={seed}", *extra], run
            )
            cells += [f"{min(scores):.3f}", f"{statistics.median(scores):.3f}"]
        print(f"| {seed} | {' | '.join(cells)} | {len(set(origin)) or ''} |", flush=True)


def trained(config: str, overrides: list[str], run: Path) -> tuple[list[int], list[float]]:
    """Whose generator each member has after the last epoch, and the scores."""
    workload, cfg = table.configure(read_settings(find_config(config), overrides))
    runs.train(workload, cfg, run, quiet=True)
    *_, last = [r for r in records.read(run / "metrics.jsonl") if r["event"] == "validation"]
    return last.get("origin", []), last[workload.score]


if __name__ == "__main__":
    main()
