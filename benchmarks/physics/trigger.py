"""The curve of size against accuracy of trigger networks, beside a reference on a like task.

    python -m benchmarks.physics.trigger [--seeds 3] [--epochs 40] [--out DIR]

Simulates 50,000 points of the linear toy, of which 30,000 train, trains the six networks of
``trigger/toy`` with each seed, judges them on the other 20,000, and prints one table: how far each
is below the best possible accuracy, beside the reference at the same number of bit operations.

The reference: HGQ written out in plain JAX, fraction bits for each weight and each input, the same
layers (64, 32, 32), 30,000 points of 16 features in five classes whose best accuracy is 0.7200.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import hepjax
from hepjax.simulate.trigger.files import write_trigger

REFERENCE = {"ebops": (6.9e3, 24e3, 55e3, 87e3), "below": (0.0125, 0.0080, 0.0059, 0.0065)}
"""EBOPs, and accuracy below the best possible; the first is known to count too few bits."""


def expected(ebops):
    """How far the reference is below at so many EBOPs; between its points straight in the
    logarithm, None beyond them."""
    known = REFERENCE["ebops"]
    if not known[0] <= ebops <= known[-1]:
        return None
    return float(np.interp(np.log(ebops), np.log(known), REFERENCE["below"]))


def curve(events, out, seed, epochs):
    """The scores of the six networks, and the best accuracy on their validation events."""
    settings = {"data.files": [str(events)], "train.epochs": epochs, "train.seed": seed}
    run = hepjax.train("trigger/toy", out / f"seed{seed}", **settings)
    scores = run.evaluate([], out / f"seed{seed}" / "report")
    return scores["networks"], scores["bayes"], scores["mismatches"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="of weights and batches")
    parser.add_argument("--epochs", type=int, default=40, metavar="N")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the runs there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = args.out or Path(scratch)
        events = out / "events"
        if not events.exists():
            write_trigger(events, "linear", 50_000, 0, lambda n: None)
        found = [curve(events, out, seed, args.epochs) for seed in range(args.seeds)]
    print("| cost | EBOPs | accuracy | below the best | reference there |\n|---|---|---|---|---|")
    for rows in zip(*(networks for networks, _, _ in found), strict=True):
        ebops = np.mean([row["ebops"] for row in rows])
        accuracy = np.array([row["accuracy"] for row in rows])
        below = np.array([best for _, best, _ in found]) - accuracy
        there = expected(ebops)
        print(
            f"| {rows[0]['cost']:g} | {ebops:,.0f} | {accuracy.mean():.4f} | {below.mean():.4f} ± "
            f"{below.std():.4f} | {'-' if there is None else f'{there:.4f}'} |"
        )
    print(f"best possible: {found[0][1]:.4f}; sums that differ from integers: "
          f"{sum(differ for _, _, differ in found)}")  # fmt: skip


if __name__ == "__main__":
    main()
