"""Jets of particle-flow candidates against jets of the true particles.

The only place of this workload that knows FastJet (GPL, extra ``hep``).
"""

from typing import Any

import numpy as np

from hepjax import MissingExtraError
from hepjax.formats.particleflow.columns import Particle
from hepjax.physics.particleflow import metrics

RADIUS = 0.4
PT_MIN = 3.0
"""GeV."""
MATCH = 0.1
"""Largest distance in (eta, phi) of a jet from the true one (published)."""

Jets = dict[str, np.ndarray]
"""``event`` (jets,) int64, ``pt`` GeV, ``eta`` and ``phi`` (jets,), by event."""


def anti_kt(rows: np.ndarray, event: np.ndarray, events: int) -> Jets:
    """Anti-kt jets with R = 0.4 above 3 GeV of the rows (n, 7) that hold a particle.

    Args:
      event: (n,) event of each row, rising.
    Raises:
      MissingExtraError: ``fastjet`` is not installed.
    """
    try:
        import awkward as ak
        import fastjet
    except ImportError:
        raise MissingExtraError("jets", "hep") from None

    # Its banner would go to standard output, among the results.
    fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)
    usable = (metrics.classes(rows) != 0) & (rows[:, Particle.PT] > 0)
    rows, event = rows[usable].astype(np.float64), event[usable]
    if not len(rows):
        return {"event": event} | {name: np.empty(0) for name in ("pt", "eta", "phi")}
    pt, eta = rows[:, Particle.PT], rows[:, Particle.ETA]
    momenta = {
        "px": pt * rows[:, Particle.COS_PHI], "py": pt * rows[:, Particle.SIN_PHI],
        "pz": pt * np.sinh(eta), "E": pt * np.cosh(eta),
    }  # fmt: skip
    # Massless: a predicted energy below its momentum would be no particle.
    particles = ak.unflatten(ak.zip(momenta), np.bincount(event, minlength=events))
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS)
    found = fastjet.ClusterSequence(particles, definition).inclusive_jets(min_pt=PT_MIN)
    of_event = np.repeat(np.arange(events), ak.to_numpy(ak.num(found)))
    px, py, pz = (ak.to_numpy(ak.flatten(found[name])) for name in ("px", "py", "pz"))
    jet_pt = np.hypot(px, py)
    return {
        "event": of_event, "pt": jet_pt,
        "eta": np.arcsinh(pz / jet_pt), "phi": np.arctan2(py, px),
    }  # fmt: skip


def matched(true: Jets, found: Jets, events: int) -> np.ndarray:
    """For each true jet the index of the nearest found one within ``MATCH``, or -1: (jets,)."""
    match = np.full(len(true["pt"]), -1)
    first = {name: np.searchsorted(jets["event"], np.arange(events + 1))
             for name, jets in (("true", true), ("found", found))}  # fmt: skip
    for k in range(events):
        a = slice(*first["true"][k : k + 2])
        b = slice(*first["found"][k : k + 2])
        if a.start == a.stop or b.start == b.stop:
            continue
        eta = true["eta"][a, None] - found["eta"][None, b]
        phi = metrics.wrapped(true["phi"][a, None] - found["phi"][None, b])
        distance = np.hypot(eta, phi)
        nearest = distance.argmin(1)
        close = distance[np.arange(len(nearest)), nearest] < MATCH
        match[a] = np.where(close, b.start + nearest, -1)
    return match


def compare(true: Jets, found: Jets, events: int) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Scores of the found jets, and pt (matched,) of the true ones with the response reco / gen.

    ``median`` and ``iqr`` (interquartile range / 1.35) are those of the response.
    """
    match = matched(true, found, events)
    some = match >= 0
    pt = true["pt"][some]
    response = found["pt"][match[some]] / pt
    share, error = metrics.share(float(some.sum()), len(some))
    width = metrics.spread(response)
    scores = {
        "true": len(true["pt"]), "found": len(found["pt"]), "matched": int(some.sum()),
        "matched_share": share, "matched_share_error": error,
        "median": width["median"], "iqr": width["iqr"],
    }  # fmt: skip
    return scores, pt, response
