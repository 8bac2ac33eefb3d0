"""Active learning beside Sobol scans: known contours over seeds, and a detector in the loop.

python -m benchmarks.physics.active race toy/2d --acquisition entropy straddle --out docs/figures
python -m benchmarks.physics.active tracking studies/contour --scan 128
"""

import argparse
import time
from pathlib import Path

import numpy as np

from hepjax.engine.progress import progress
from hepjax.studies import shared_files
from hepjax.studies import study as studies
from hepjax.studies.active import acquire, gaussian, loop, race, race_page, result, toys
from hepjax.studies.active.sequence import sobol

AT = (28, 44, 60, 76, 108)
"""Simulations of the table, where there are so many."""


def compare(args):
    """A row of means, spreads and worst seeds for each acquisition, and for the Sobol scan."""
    for k, name in enumerate(args.acquisition):
        began = time.process_time()
        found = race.run(
            toys.TOYS[args.toy], name, args.seeds, args.points, args.seed, share=args.share
        )
        seconds = time.process_time() - began
        ways = list(zip(("Sobol", name), found.wrong, found.wrong_near, strict=True))
        for label, wrong, near in ways[min(k, 1) :]:
            cells = " | ".join(
                f"n={n}: {100 * w.mean():.2f} +- {100 * w.std():.2f}, worst {100 * w.max():.2f}"
                for n, w in zip(found.points, wrong.T, strict=True)
                if n in AT
            )
            print(f"{label}: {cells}; near the contour {100 * near[:, -1].mean():.1f} %")
        print(f"  {race_page.summary(found)['verdict']}; {seconds:.0f} s of processor", flush=True)
        if args.out is not None:
            race_page.write(found, args.out / f"{args.toy.replace('/', '-')}-{name}")


def judge(args):
    """Both ways of a study of a tracking run, judged by a scan of many points with more events."""
    from hepjax import run
    from hepjax.studies.active.detectors import tracking

    stored = shared_files.read(args.study / "study.json")
    study = loop.ActiveStudy(args.study, **stored)
    trained = run.load(Path(study.simulator))
    x = sobol(args.scan, 2, (study.seed, 3))
    values, errors = [], []
    with progress("scan", args.scan, "points") as advance:
        for k, place in enumerate(x):
            params = {
                axis.key: axis.inside(float(u)) for axis, u in zip(study.axes, place, strict=True)
            }
            answer = tracking(
                trained, params["pileup"], params["noise"], 10**6 + k, particles=args.particles
            )
            values.append(answer.value)
            errors.append(answer.error)
            advance(1)
    with gaussian.double():
        data = gaussian.empty(args.scan, 2)
        data = data._replace(
            x=data.x.at[:].set(x), y=data.y.at[:].set(np.array(values) - study.threshold),
            error=data.error.at[:].set(np.array(errors)), used=data.used.at[:].set(True),
        )  # fmt: skip
        grid = sobol(4096, 2, (study.seed, 4))
        belief = gaussian.posterior(data, gaussian.fit(data), grid)
        truth = np.asarray(belief.mean)
        print(f"scan: {100 * float(acquire.misclassified(belief).mean()):.2f} % uncertain itself")
    for arm in result.arms(study, studies.trials(study)):
        wrong = (arm.at(grid)[0] > 0) != (truth > 0)
        print(f"{arm.name}: {100 * wrong.mean():.2f} % of the box against the scan")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(required=True)
    toy = parts.add_parser("race", help="toys over seeds")
    toy.add_argument("toy", choices=sorted(toys.TOYS))
    toy.add_argument("--acquisition", nargs="+", default=["entropy"], choices=acquire.ACQUISITIONS)
    toy.add_argument("--seeds", type=int, default=12)
    toy.add_argument("--points", type=int, default=60)
    toy.add_argument("--seed", type=int, default=0)
    toy.add_argument("--share", type=float, default=0.5, help="of a batch that is asked for")
    toy.add_argument("--out", type=Path, help="folder for the pages")
    toy.set_defaults(part=compare)
    real = parts.add_parser("tracking", help="a study of a run of tracking")
    real.add_argument("study", type=Path)
    real.add_argument("--scan", type=int, default=128, help="points")
    real.add_argument("--particles", type=int, default=4800, help="at a point")
    real.set_defaults(part=judge)
    args = parser.parse_args()
    args.part(args)


if __name__ == "__main__":
    main()
