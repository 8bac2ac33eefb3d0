"""The vocabulary of MLPF: classes of particles, types of elements, and the columns of the arrays.

Every other module takes names and numbers from here. Energies and momenta are GeV; angles enter as
sine and cosine. Source: the data set 10.5281/zenodo.4559324 and its description in EPJC 81 (2021)
381.

The charge of a target stays as the file has it. Published files give the sign of the PDG code, so
that electrons and muons are +1; others give the charge itself.
"""

from enum import IntEnum

TOWER, TRACK = 1, 2
"""Type of an element, first column of X; 0 is padding. Later sets (CLIC, CLD) have 1 for tracks."""
ELEMENT_TYPES = ("none", "tower", "track")
"""By type."""

NONE, CHARGED_HADRON, NEUTRAL_HADRON, PHOTON, ELECTRON, MUON = range(6)
"""Class ids, first column of ygen and ycand; none: no particle belongs to the element."""
CLASSES = ("none", "charged hadron", "neutral hadron", "photon", "electron", "muon")
"""Names for people, by class id."""
IDENTIFIERS = tuple(name.replace(" ", "_") for name in CLASSES)
"""Names in scores, tables and files, by class id."""
SHORT = ("none", "ch. had.", "n. had.", "photon", "electron", "muon")
"""Names in narrow figures, by class id."""
CHARGED = (CHARGED_HADRON, ELECTRON, MUON)
"""Classes of particles with a charge."""
NEUTRAL = (NEUTRAL_HADRON, PHOTON)
"""Classes of particles without; their energy is measured, not their momentum."""


class Element(IntEnum):
    """Columns of X that tracks and towers share."""

    TYPE = 0
    PT = 1
    """Transverse energy of a tower."""
    ETA = 2
    SIN_PHI = 3
    COS_PHI = 4
    ENERGY = 5
    """Momentum of a track."""


class Track(IntEnum):
    """Columns of X for an element of type 2."""

    TYPE = 0
    PT = 1
    ETA = 2
    """At the vertex, as phi."""
    SIN_PHI = 3
    COS_PHI = 4
    P = 5
    """pT cosh(eta)."""
    ETA_OUTER = 6
    """Where the track enters the calorimeter, as phi_outer."""
    SIN_PHI_OUTER = 7
    COS_PHI_OUTER = 8
    CHARGE = 9
    IS_GEN_MUON = 10
    """0 or 1, from the truth: Delphes identifies leptons so."""
    IS_GEN_ELECTRON = 11


class Tower(IntEnum):
    """Columns of X for an element of type 1; the others are 0."""

    TYPE = 0
    ET = 1
    ETA = 2
    SIN_PHI = 3
    COS_PHI = 4
    ENERGY = 5
    ENERGY_EM = 6
    ENERGY_HAD = 7


class Particle(IntEnum):
    """Columns of ygen (target) and ycand (rule-based particle flow); all 0 where there is none."""

    CLASS = 0
    CHARGE = 1
    PT = 2
    ETA = 3
    SIN_PHI = 4
    COS_PHI = 5
    ENERGY = 6


QUANTITIES = tuple(column.name.lower() for column in Particle)
"""Names of the columns of ygen and ycand: class, charge, pt, eta, sin_phi, cos_phi, energy."""
ARRAYS = {"X": len(Track), "ygen": len(Particle), "ycand": len(Particle)}
"""The arrays of an event, and how many columns each has: 12, 7 and 7."""
