"""Constants of the materials that calorimeters are made of."""

from typing import NamedTuple


class Material(NamedTuple):
    """Constants of a material; those of a mixture are means by weight."""

    z: float
    a: float
    density: float  # g/cm3
    x0: float  # radiation length, g/cm2
    mip_loss: float  # of a minimum ionising particle, MeV/cm
    geant4: str
    """Its name in Geant4's table of NIST materials."""
    elements: tuple[int, ...]
    """Atomic numbers of what it is made of."""

    @property
    def critical_energy(self) -> float:
        """MeV; Grindhammer and Peters, hep-ex/0001020, eq. 10."""
        return 2.66 * (self.x0 * self.z / self.a) ** 1.1

    @property
    def x0_mm(self) -> float:
        return 10.0 * self.x0 / self.density

    @property
    def gas(self) -> bool:
        """Whether it has a thickness and next to no mass."""
        return self.density < 0.01


MATERIALS = {
    "air": Material(7.31, 14.6, 1.204605e-3, 36.62, 0.00219, "G4_AIR", (6, 7, 8, 18)),
    "aluminium": Material(13.0, 26.9815, 2.699, 24.01, 4.358, "G4_Al", (13,)),
    "silicon": Material(14.0, 28.0855, 2.329, 21.82, 3.876, "G4_Si", (14,)),
    "argon": Material(18.0, 39.948, 1.396, 19.55, 2.105, "G4_lAr", (18,)),
    "iron": Material(26.0, 55.845, 7.874, 13.84, 11.43, "G4_Fe", (26,)),
    "copper": Material(29.0, 63.546, 8.960, 12.86, 12.57, "G4_Cu", (29,)),
    "tungsten": Material(74.0, 183.84, 19.3, 6.763, 22.1, "G4_W", (74,)),
    "lead": Material(82.0, 207.2, 11.35, 6.37, 12.74, "G4_Pb", (82,)),
    "uranium": Material(92.0, 238.03, 18.95, 6.00, 20.48, "G4_U", (92,)),
    "scintillator": Material(5.61, 10.43, 1.06, 43.79, 2.052, "G4_POLYSTYRENE", (1, 6)),
    "lead-tungstate": Material(68.4, 165.3, 8.28, 7.39, 10.2, "G4_PbWO4", (8, 74, 82)),
}
"""By name; ``argon`` is liquid, ``scintillator`` polystyrene.

Source: Particle Data Group, Atomic and nuclear properties of materials.
"""
