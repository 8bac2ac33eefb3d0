"""What a file of waveforms holds, and the detector that the simulated ones come from.

An HDF5 file has one dataset ``waveform`` (n, samples): integers with the attribute ``scale``
(photoelectrons a count), or photoelectrons as floating-point numbers. Every other dataset of
``COLUMNS`` has one number a pulse and may be absent. For readers and writers.
"""

from dataclasses import dataclass

WAVEFORM = "waveform"
SCALE = "scale"
SAMPLE_NS = "sample_ns"
EVENT = "event"
"""Number of the pulse, which decides by its hash whether it is held out."""
TRUTH = "kind"
KINDS = ("normal", "multi", "gas", "train", "s1merge", "sat", "baseline")
"""What a simulated pulse is, by its number: column ``kind``."""
ANOMALIES = {
    "multi": "a second scatter, 1.5 to 3.2 widths later, with 25 to 75 % of the charge",
    "gas": "electrons from the gas: no diffusion, 1.3 us wide at any depth",
    "train": "35 % more electrons, delayed by 2.5 us on average (electron train)",
    "s1merge": "an S1 with 8 % of the area, 0.5 to 2.5 us earlier",
    "sat": "clipped at 55 % of its height (saturated amplifier)",
    "baseline": "a baseline that jumps by 0.5 to 2 times the noise, up or down",
}
COLUMNS = {
    EVENT: ("int64", "1"), TRUTH: ("int8", "1"), "drift_time": ("float32", "us"),
    "electrons": ("float32", "1"), "separation": ("float32", "samples"),
    "fraction": ("float32", "1"), "shift": ("int16", "samples"),
    "ratio": ("float32", "1"),
}  # fmt: skip
"""Columns with their types in files of hepjax and units.

``separation`` and ``fraction`` are those of the second scatter that a pulse has, or would have had;
``shift`` is by how many samples the window was moved to be centred; ``ratio`` the logarithm of the
likelihood of two scatters over that of one, for who sees every electron.
"""
FULL_SCALE = 2**15 - 1
"""Largest count of a 16-bit digitiser: a sample there is saturated."""
MOST_SATURATED = 0.5
"""Share of saturated pulses above which a file or shard is refused."""


@dataclass(frozen=True)
class Detector:
    """A dual-phase xenon detector, its amplifier and digitiser.

    Sources: widths by diffusion and light of an electron as in the public simulations of XENON
    (pax, WFSim); charge of a photoelectron from LUX. Values are of that order, of no detector.
    """

    samples: int = 512
    """Of a pulse; the window is centred on the median of its charge."""
    sample_ns: float = 20.0
    electrons: tuple[float, float] = (12.0, 900.0)
    """Mean number, flat in its logarithm."""
    drift_us: tuple[float, float] = (30.0, 950.0)
    """Drift time, flat."""
    diffusion: float = 20.0
    """cm2 / s, along the drift."""
    velocity: float = 0.15
    """cm / us, of drifting electrons."""
    photons: float = 55.0
    """Photoelectrons of an electron."""
    gain_spread: float = 0.066
    """Relative, of an electron's light; with the Poisson spread of 55 it is 15 %."""
    transit_us: float = 1.2
    """An electron shines evenly while it crosses the gas."""
    gas_transit_us: float = 1.3
    """Of electrons that were born in the gas."""
    spe: float = 0.37
    """Relative spread of the charge of a photoelectron."""
    noise: float = 0.6
    """Photoelectrons a sample, of the electronics; white."""
    count: float = 1 / 32
    """Photoelectrons of one count of the digitiser."""

    @property
    def sample_us(self) -> float:
        """Length of a sample, us."""
        return self.sample_ns / 1000

    def width_us(self, drift_us: float) -> float:
        """Spread of the arrival of electrons after this drift, sqrt(2 D t) / v."""
        return float((2 * self.diffusion * drift_us * 1e-6) ** 0.5 / self.velocity)


DETECTOR = Detector()
