"""Jets of particle-flow candidates against jets of the true particles."""

from typing import Any

import numpy as np

from hepjax.formats.particleflow.columns import Particle
from hepjax.ops import clustering
from hepjax.ops.clustering import Jets
from hepjax.physics.particleflow import metrics

RADIUS = 0.4
PT_MIN = 3.0
"""GeV."""
MATCH = 0.1
"""Largest distance in (eta, phi) of a jet from the true one (published)."""


def anti_kt(rows: np.ndarray, event: np.ndarray, events: int) -> Jets:
    """Anti-kt jets with R = 0.4 above 3 GeV of the rows (n, 7) that hold a particle.

    Args:
      event: (n,) event of each row, rising.
    Raises:
      MissingExtraError: ``fastjet`` is not installed.
    """
    usable = (metrics.classes(rows) != 0) & (rows[:, Particle.PT] > 0)
    rows, event = rows[usable].astype(np.float64), event[usable]
    pt, eta = rows[:, Particle.PT], rows[:, Particle.ETA]
    # Massless: a predicted energy below its momentum would be no particle.
    momenta = clustering.momenta(
        pt, eta, rows[:, Particle.COS_PHI], rows[:, Particle.SIN_PHI], pt * np.cosh(eta)
    )
    return clustering.anti_kt(momenta, np.bincount(event, minlength=events), RADIUS, PT_MIN)


def matched(true: Jets, found: Jets, events: int) -> np.ndarray:
    """For each true jet the index of the nearest found one within ``MATCH``, or -1: (jets,)."""
    match = np.full(len(true.pt), -1)
    first = {name: np.searchsorted(jets.event, np.arange(events + 1))
             for name, jets in (("true", true), ("found", found))}  # fmt: skip
    for k in range(events):
        a = slice(*first["true"][k : k + 2])
        b = slice(*first["found"][k : k + 2])
        if a.start == a.stop or b.start == b.stop:
            continue
        eta = true.eta[a, None] - found.eta[None, b]
        phi = metrics.wrapped(true.phi[a, None] - found.phi[None, b])
        distance = np.hypot(eta, phi)
        nearest = distance.argmin(1)
        close = distance[np.arange(len(nearest)), nearest] < MATCH
        match[a] = np.where(close, b.start + nearest, -1)
    return match


def compare(true: Jets, found: Jets, events: int) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Scores of the found jets, and pt (matched,) of the true ones with the response reco / gen.

    ``median`` and ``iqr`` (interquartile range / 1.35) describe the response.
    """
    match = matched(true, found, events)
    some = match >= 0
    pt = true.pt[some]
    response = found.pt[match[some]] / pt
    share, error = metrics.share(float(some.sum()), len(some))
    width = metrics.spread(response)
    scores = {
        "true": len(true.pt), "found": len(found.pt), "matched": int(some.sum()),
        "matched_share": share, "matched_share_error": error,
        "median": width["median"], "iqr": width["iqr"],
    }  # fmt: skip
    return scores, pt, response
