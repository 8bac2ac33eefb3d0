"""Trained runs as simulators: hepjax simulates events at a point, and the run is judged on them.

A run of ``tracking``: collisions (pile-up) and the share of hits that are noise; the value is the
efficiency by double majority.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError, run
from hepjax.engine import rundir
from hepjax.formats.tracking.trackml import write_event
from hepjax.physics.tracking.metrics import track_scores
from hepjax.simulate.hits.events import simulate_event
from hepjax.simulate.hits.particles import PER_COLLISION
from hepjax.studies.active.command import Answer, FailedError
from hepjax.studies.space import Axis

PARTICLES, FEWEST = 1200, 3
"""Simulated at a point, in so many events at least: the error is much the same everywhere."""
AXES = (Axis("pileup", 1.0, 10.0), Axis("noise", 0.0, 0.6))
"""Mean number of collisions, and the share of all hits that are noise."""

Simulator = Callable[[dict[str, Any], int], Answer]


def require_run(directory: Path) -> None:
    """Refuse what cannot be judged on simulated events.

    Raises:
      InputError: no run, or one of a workload for which there is no simulator.
    """
    name = rundir.read_settings(directory)["workload"]
    if name != "tracking":
        raise InputError(
            f"{directory}: expected a run of tracking, found one of {name}; give a command as the "
            "simulator"
        )


def of_run(directory: Path) -> Simulator:
    """The simulator with a trained run, loaded here.

    Raises:
      InputError: no run that can be used.
    """
    require_run(directory)
    trained = run.load(directory)

    def simulate(params: dict[str, Any], number: int) -> Answer:
        return tracking(trained, params["pileup"], params["noise"], number)

    return simulate


def tracking(
    trained: run.Run, pileup: float, noise: float, seed: int, particles: int = PARTICLES
) -> Answer:  # fmt: skip
    """Efficiency (double majority) of a run on new events.

    Args:
      pileup: mean number of collisions; an event has as many particles as they give.
      noise: share of the hits that belong to no particle.
      particles: of all events together, at least.
    Raises:
      FailedError: no particle above ``objective.min_pt``.
    """
    count = max(1, round(pileup * PER_COLLISION))
    events = max(FEWEST, -(-particles // count))
    made = [simulate_event(count, seed, k, noise=noise) for k in range(events)]
    with tempfile.TemporaryDirectory() as folder:
        for k, event in enumerate(made):
            write_event(Path(folder), k + 1, event)
        parts = list(trained.predict([Path(folder)]))
    of_event, track = (np.concatenate([p[name] for p in parts]) for name in ("event", "track"))
    found = targets = 0.0
    for k, event in enumerate(made):
        assert event.particle is not None
        assert event.identifier is not None
        wanted = event.identifier[event.pt >= trained.cfg.objective.min_pt]
        scores = track_scores(track[of_event == k], event.particle, wanted)
        found += scores["double_majority"] * scores["targets"]
        targets += scores["targets"]
    if targets == 0:
        raise FailedError(f"no particle above {trained.cfg.objective.min_pt:g} GeV")
    # The smoothed share, so that 0 and 1 have an error too.
    smooth = (found + 1) / (targets + 2)
    return Answer(found / targets, float(np.sqrt(smooth * (1 - smooth) / targets)))
