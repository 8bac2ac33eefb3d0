"""Proton-proton collisions from Pythia 8 as plain arrays: a thin wrapper of ``pythia8mc``.

The only module that knows Pythia, which is an optional extra (GPL, a self-contained wheel). The
sequence of events depends on the process and the seed alone.
"""

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from hepjax import InputError, MissingExtraError
from hepjax.simulate.collisions.particles import Particles, particles, pseudorapidity

_TOP = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on")
PROCESSES: dict[str, tuple[str, ...]] = {
    "ttbar": ("Beams:eCM = 14000.", *_TOP),
    "qcd": ("Beams:eCM = 14000.", "HardQCD:all = on", "PhaseSpace:pTHatMin = 20."),
    "minbias": ("Beams:eCM = 14000.", "SoftQCD:inelastic = on"),
    "boosted-top": (
        "Beams:eCM = 13000.", *_TOP, "PhaseSpace:pTHatMin = 380.",
        "24:onMode = off", "24:onIfAny = 1 2 3 4 5",
    ),
    "hard-qcd": ("Beams:eCM = 13000.", "HardQCD:all = on", "PhaseSpace:pTHatMin = 400."),
    "gluons": (
        "Beams:eCM = 8000.", "HardQCD:gg2gg = on", "HardQCD:qqbar2gg = on",
        "PhaseSpace:pTHatMin = 80.", "PhaseSpace:pTHatMax = 180.",
    ),
    "quarks": (
        "Beams:eCM = 8000.", "HardQCD:qq2qq = on", "HardQCD:gg2qqbar = on",
        "HardQCD:qqbar2qqbarNew = on", "PhaseSpace:pTHatMin = 80.", "PhaseSpace:pTHatMax = 180.",
    ),
}  # fmt: skip
"""Settings of each process, as in the MLPF and jet-image data sets, with the default tune."""
COMMON = ("Print:quiet = on", "ParticleDecays:limitTau0 = on", "ParticleDecays:tau0Max = 10.")
"""Particles that fly further than 10 mm/c are left to the detector."""
BATCH = 20


@dataclass(frozen=True)
class Partons:
    """The outgoing particles of the hard process and of the decays of its resonances; (n,)."""

    pdg: np.ndarray
    parent: np.ndarray  # code of the particle it comes from: 6 for the b of a top, 24 of a W+
    px: np.ndarray  # GeV
    py: np.ndarray
    pz: np.ndarray
    energy: np.ndarray

    @property
    def pt(self) -> np.ndarray:
        """Transverse momentum, GeV."""
        return np.hypot(self.px, self.py)

    @property
    def eta(self) -> np.ndarray:
        """Pseudorapidity."""
        return pseudorapidity(self.px, self.py, self.pz)

    @property
    def phi(self) -> np.ndarray:
        """Azimuth, rad."""
        return np.arctan2(self.py, self.px)


class Collision(NamedTuple):
    """One generated event."""

    particles: Particles  # stable ones
    partons: Partons


def collisions(process: str, seed: int, settings: tuple[str, ...] = ()) -> Iterator[Collision]:
    """An endless sequence of events.

    Args:
      process: a key of ``PROCESSES``.
      seed: 0 or more.
      settings: further lines for Pythia, such as ``"PartonLevel:MPI = off"``.
    Raises:
      InputError: another process, or settings that Pythia refuses.
      MissingExtraError: ``pythia8mc`` is not installed.
    """
    if process not in PROCESSES:
        raise InputError(f"process: expected one of {', '.join(PROCESSES)}, found {process!r}")
    pythia = _module().Pythia("", False)
    # Pythia takes seeds of 1 to 900 000 000; another sequence for each process of the same seed.
    words = [seed, *process.encode()]
    number = int(np.random.SeedSequence(words).generate_state(1)[0]) % 900_000_000 + 1
    lines = ("Random:setSeed = on", f"Random:seed = {number}", *PROCESSES[process], *settings)
    for line in (*COMMON, *lines):
        if not pythia.readString(line):
            raise InputError(f"Pythia: expected a setting that it knows, found {line!r}")
    if not pythia.init():
        raise InputError(
            f"Pythia: expected to start {process}, found that it refuses {', '.join(lines)}"
        )
    charges: dict[int, int] = {}
    while True:
        yield from _events(pythia, pythia.nextBatch(BATCH), charges)


def is_available() -> bool:
    """Whether ``pythia8mc`` and ``awkward``, which its events need, are installed."""
    try:
        _module()
    except MissingExtraError:
        return False
    return True


def version() -> str:
    """Of the installed Pythia."""
    return importlib.metadata.version("pythia8mc")


def _module() -> ModuleType:
    try:
        import awkward  # noqa: F401
        import pythia8mc
    except ImportError:
        raise MissingExtraError("events from Pythia", "hep") from None
    return pythia8mc


def _events(pythia: Any, batch: Any, charges: dict[int, int]) -> Iterator[Collision]:
    import awkward as ak

    records = batch["prt"]
    first = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(records)))])
    flat = ak.flatten(records)
    pdg, status, mother = (ak.to_numpy(flat[name]) for name in ("id", "status", "mother1"))
    momentum = [ak.to_numpy(flat["p", name]) for name in ("px", "py", "pz", "e")]
    # A missing vertex means the origin.
    vertex = [
        ak.to_numpy(ak.fill_none(flat["vProd", name], 0.0)) for name in ("px", "py", "pz", "e")
    ]
    for code in np.unique(pdg[status > 0]).tolist():
        charges.setdefault(code, round(pythia.particleData.charge(code)))
    for begin, end in pairwise(first):
        stable = begin + np.flatnonzero(status[begin:end] > 0)
        charge = np.array([charges[code] for code in pdg[stable].tolist()], np.int8)
        hard = begin + np.flatnonzero(np.isin(status[begin:end], (-22, -23, 23)))
        yield Collision(
            particles(
                pdg[stable], charge, [p[stable] for p in momentum], [v[stable] for v in vertex]
            ),
            Partons(pdg[hard], pdg[begin + mother[hard]], *(p[hard] for p in momentum)),
        )
