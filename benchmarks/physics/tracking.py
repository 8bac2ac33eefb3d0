"""Simulated hits beside a TrackML event, and what the graph keeps of the true edges: two tables.

python -m benchmarks.physics.tracking $D/trackml --particles 200 500 1000
"""

import argparse
from pathlib import Path

import numpy as np

from hepjax.formats.tracking.detector import PARTS, SURFACES
from hepjax.formats.tracking.reader import list_events, read_event
from hepjax.physics.tracking.graph import build, true_pairs
from hepjax.simulate.hits.events import simulate_event

LOOKED_AT = 9000
"""Particles of the simulated event that is compared."""


def look(event):
    """Hits and layers a particle, noise, pT in GeV at 16, 50, 84 %, shares of the parts."""
    names, count = np.unique(event.particle[event.particle != 0], return_counts=True)
    pairs = set(zip(event.particle.tolist(), event.surface.tolist(), strict=True))
    layers = sum(particle != 0 for particle, _ in pairs) / len(names)
    part = np.array([s.part for s in SURFACES])[event.surface]
    shares = np.bincount(part, minlength=len(PARTS)) / len(event)
    pt = np.percentile(event.pt[np.isin(event.identifier, names)], [16, 50, 84])
    return count.mean(), layers, (event.particle == 0).mean(), pt, shares


def kept(event, least):
    """Share of the true edges of particles above ``least`` GeV that the graph has."""
    graph, truth, pt = build(event), true_pairs(event), event.of_hits(event.pt)
    wanted = (pt[truth[:, 0]] > least).sum()
    return graph, 1 - (pt[graph.missed[:, 0]] > least).sum() / max(wanted, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="a TrackML event, or a folder of them")
    parser.add_argument("--particles", nargs="+", type=int, default=[200, 500, 1000])
    args = parser.parse_args()
    real = read_event(list_events([args.data])[0])
    for name, event in (("simulated", simulate_event(LOOKED_AT, 0)), ("TrackML", real)):
        hits, layers, noise, pt, shares = look(event)
        print(
            f"{name}: {hits:.1f} hits and {layers:.1f} layers a particle, noise {noise:.0%}, "
            f"pT {np.round(pt, 2)} GeV, parts {np.round(100 * shares)} %"
        )
    events = {f"{n} particles": simulate_event(n, 0) for n in args.particles}
    for name, event in ({"TrackML": real} | events).items():
        graph, half = kept(event, 0.5)
        print(
            f"{name}: {len(event):,} hits, {len(graph.senders):,} edges, kept {half:.1%} above "
            f"0.5 GeV, {kept(event, 1.0)[1]:.1%} above 1 GeV, purity {graph.true.mean():.0%}"
        )


if __name__ == "__main__":
    main()
