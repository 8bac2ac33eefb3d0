"""Anti-kt jets of many events: the only place that knows FastJet (GPL, extra ``hep``).

Momenta are rows (n, 4) of px, py, pz and E in GeV. Selection and labels of jets are elsewhere.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from hepjax import MissingExtraError


@dataclass(frozen=True)
class Jets:
    """Jets of several events; (n,) arrays, by event, then by falling pT."""

    event: np.ndarray  # index of the event they come from
    pt: np.ndarray  # GeV
    eta: np.ndarray
    phi: np.ndarray  # -pi to pi
    mass: np.ndarray  # GeV


def is_available() -> bool:
    """Whether FastJet is installed."""
    try:
        _modules()
    except MissingExtraError:
        return False
    return True


def momenta(
    pt: np.ndarray, eta: np.ndarray, cos_phi: np.ndarray, sin_phi: np.ndarray, energy: np.ndarray
) -> np.ndarray:
    """Rows (n, 4) of px, py, pz and E from what detectors measure, (n,) each."""
    return np.stack([pt * cos_phi, pt * sin_phi, pt * np.sinh(eta), energy], axis=1)


def anti_kt(momenta: np.ndarray, counts: np.ndarray, radius: float, pt_min: float) -> Jets:
    """Anti-kt jets above ``pt_min`` GeV.

    Args:
      momenta: (n, 4), event after event.
      counts: (events,) rows of each event.
    Raises:
      MissingExtraError: FastJet is not installed.
    Source: Cacciari, Salam and Soyez, JHEP 04 (2008) 063.
    """
    ak, _ = _modules()
    if not len(momenta):
        return Jets(np.empty(0, np.int64), *np.empty((4, 0)))
    found = _cluster(momenta, radius, counts).inclusive_jets(min_pt=pt_min)
    event = np.repeat(np.arange(len(counts)), ak.to_numpy(ak.num(found)))
    flat = ak.flatten(found)
    px, py, pz, energy = (ak.to_numpy(flat[name]) for name in ("px", "py", "pz", "E"))
    pt = np.hypot(px, py)
    mass = np.sqrt(np.maximum(energy**2 - pt**2 - pz**2, 0.0))
    order = np.lexsort((-pt, event))
    columns = (event, pt, np.arcsinh(pz / pt), np.arctan2(py, px), mass)
    return Jets(*(values[order] for values in columns))


def jet_numbers(momenta: np.ndarray, radius: float, pt_min: float) -> np.ndarray:
    """Number of the anti-kt jet of each particle (n, 4) of one event, 0 for none: (n,) int64.

    Numbers follow the clustering, from 1 on, not pT.

    Raises:
      MissingExtraError: FastJet is not installed.
    """
    _modules()
    number = np.zeros(len(momenta), np.int64)
    if len(momenta):
        members = _cluster(momenta, radius).constituent_index(min_pt=pt_min)
        for jet, rows in enumerate(members.to_list(), start=1):
            number[rows] = jet
    return number


def _cluster(momenta: np.ndarray, radius: float, counts: np.ndarray | None = None) -> Any:
    ak, fastjet = _modules()
    columns = dict(zip(("px", "py", "pz", "E"), momenta.astype(np.float64).T, strict=True))
    particles = ak.zip(columns) if counts is None else ak.unflatten(ak.zip(columns), counts)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
    return fastjet.ClusterSequence(particles, definition)


def _modules() -> tuple[ModuleType, ModuleType]:
    """Awkward and FastJet, kept from printing its banner to standard output, among results."""
    try:
        import awkward
        import fastjet
        from fastjet._swig import ClusterSequence
    except ImportError:
        raise MissingExtraError("clustering of jets", "hep") from None
    ClusterSequence.set_fastjet_banner_stream(None)
    return awkward, fastjet
