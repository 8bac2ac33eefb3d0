"""Tracks of a trained run by connected components and by walk-through, at several cuts: a table.

    python -m benchmarks.physics.tracks runs/tracks data/hits-test

Edges are scored once; processor time is that of making tracks, an event.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np

import hepjax
from hepjax.physics.tracking.metrics import track_scores
from hepjax.physics.tracking.tracks import tracks
from hepjax.workloads.tracking.data import graphs

SHOWN = ("double_majority", "perfect", "trackml", "fake_rate", "duplicate_rate")


def scored(run, paths):
    """(event, senders, receivers, score) of each event."""
    source = run.workload.open(run.cfg, paths)
    for events, answers in run.model.over(source, 4):
        for row in range(len(answers["score"])):
            e = int(events["edges"][row])
            yield (
                graphs(source).event(int(events["event"][row])), events["senders"][row, :e],
                events["receivers"][row, :e], answers["score"][row, :e],
            )  # fmt: skip


def judged(events, min_pt, how):
    """Mean scores over events, weighted by the particles to be found, and seconds an event."""
    found, weights, spent = [], [], 0.0
    for event, senders, receivers, score in events:
        began = time.process_time()
        track = tracks(len(event), senders, receivers, score, *how)
        spent += time.process_time() - began
        target = event.identifier[event.pt >= min_pt]
        scores = track_scores(track, event.particle, target, event.weight)
        found.append([scores[name] for name in SHOWN])
        weights.append(scores["targets"])
    return np.average(found, axis=0, weights=weights), spent / len(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("data", nargs="+", type=Path, help="events with truth")
    parser.add_argument("--min-pt", type=float, default=0.5, help="GeV, of particles to be found")
    args = parser.parse_args()
    events = list(scored(hepjax.load(args.run), args.data))
    print(f"{len(events)} events, {sum(len(e) for e, *_ in events):,} hits")
    print("| how | cut | add | " + " | ".join(SHOWN) + " | s an event |")
    print("|---" * (4 + len(SHOWN)) + "|")
    cases = [(cut, "connected", cut) for cut in (0.3, 0.5, 0.7, 0.8, 0.9)]
    cases += [(cut, "walk", add) for cut, add in itertools.product((0.1, 0.3, 0.5), (0.6, 0.8))]
    for cut, how, add in cases:
        values, seconds = judged(events, args.min_pt, (cut, how, add))
        cells = " | ".join(f"{v:.3f}" for v in values)
        print(f"| {how} | {cut} | {add if how == 'walk' else ''} | {cells} | {seconds:.3f} |")


if __name__ == "__main__":
    main()
