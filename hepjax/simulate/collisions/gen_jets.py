"""Which jet each particle of an MLPF event belongs to: the eighth column of the TFDS layout.

Through the optional package ``fastjet``; jets of energy-flow objects are in clustering.py.
"""

from types import ModuleType

import numpy as np

from hepjax import MissingExtraError

RADIUS = 0.4
PT_MIN = 5.0
"""GeV."""


def is_available() -> bool:
    """Whether ``fastjet`` is there."""
    try:
        fastjet_module()
    except MissingExtraError:
        return False
    return True


def fastjet_module() -> ModuleType:
    """FastJet, kept from printing its banner to standard output, which is for results.

    Raises:
      MissingExtraError: it is not installed.
    """
    try:
        import awkward  # noqa: F401
        import fastjet
        from fastjet._swig import ClusterSequence
    except ImportError:
        raise MissingExtraError("clustering of jets", "hep") from None
    ClusterSequence.set_fastjet_banner_stream(None)
    return fastjet


def jet_numbers(particles: np.ndarray) -> np.ndarray:
    """Number of the anti-kt jet (R = 0.4, pT > 5 GeV) of each particle, 0 for none.

    Args:
      particles: (N, 7) columns class, charge, pT, eta, sin phi, cos phi, E; class 0 is no particle.
    Returns:
      (N,) float32. As published, numbers follow the clustering, from 1 on, not pT.
    Raises:
      MissingExtraError: ``fastjet`` is not installed.
    """
    fastjet = fastjet_module()
    import awkward as ak

    number = np.zeros(len(particles), np.float32)
    rows = np.flatnonzero(particles[:, 0])
    if not len(rows):
        return number
    pt, eta, sin, cos, energy = particles[rows, 2:].astype(np.float64).T
    momenta = ak.zip({"px": pt * cos, "py": pt * sin, "pz": pt * np.sinh(eta), "E": energy})
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS)
    cluster = fastjet.ClusterSequence(momenta, definition)
    for jet, members in enumerate(cluster.constituent_index(min_pt=PT_MIN).to_list(), start=1):
        number[rows[members]] = jet
    return number
