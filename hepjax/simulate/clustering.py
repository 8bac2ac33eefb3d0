"""Jets by the anti-kt algorithm: a thin layer over the optional package ``fastjet``.

The only place that knows FastJet (GPL, an extra). Selection and labels are elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hepjax import MissingExtraError
from hepjax.simulate.collisions.detector import FlowObjects


@dataclass(frozen=True)
class Jets:
    """Jets of several events; (n,) arrays, by event, then by falling pT."""

    event: np.ndarray  # index of the event they come from
    pt: np.ndarray  # GeV
    eta: np.ndarray
    phi: np.ndarray  # -pi to pi
    mass: np.ndarray  # GeV


def anti_kt(events: Sequence[FlowObjects], radius: float, pt_min: float) -> Jets:
    """Anti-kt jets of energy-flow objects above ``pt_min`` GeV.

    Raises:
      MissingExtraError: ``fastjet`` is not installed.
    """
    try:
        import awkward as ak
        import fastjet
    except ImportError:
        raise MissingExtraError("clustering of jets", "hep") from None

    # Its banner would go to standard output, among the results; its papers are cited in
    # docs/reference/environment.md.
    fastjet._swig.ClusterSequence.set_fastjet_banner_stream(None)
    columns = {
        "px": [e.pt * np.cos(e.phi) for e in events],
        "py": [e.pt * np.sin(e.phi) for e in events],
        "pz": [e.pt * np.sinh(e.eta) for e in events],
        "E": [e.energy for e in events],
    }
    counts = [len(e.pt) for e in events]
    objects = ak.unflatten(ak.zip({k: np.concatenate(v) for k, v in columns.items()}), counts)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
    found = fastjet.ClusterSequence(objects, definition).inclusive_jets(min_pt=pt_min)
    event = np.repeat(np.arange(len(events)), ak.to_numpy(ak.num(found)))
    flat = ak.flatten(found)
    px, py, pz, energy = (ak.to_numpy(flat[name]) for name in ("px", "py", "pz", "E"))
    pt = np.hypot(px, py)
    order = np.lexsort((-pt, event))
    jets = (
        event,
        pt,
        np.arcsinh(pz / pt),
        np.arctan2(py, px),
        np.sqrt(np.maximum(energy**2 - pt**2 - pz**2, 0.0)),
    )
    return Jets(*(values[order] for values in jets))
