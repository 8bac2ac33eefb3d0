"""Ten genuine Geant4 showers of the CLIC calorimeter against generated ones of the same energies.

    HEPJAX_REFERENCE_DATA=FOLDER python -m benchmarks.physics.clic_events RUN [--plot FILE.png]

The file holds neither incident energies nor perpendicular showers: 51x51x25 cells at 60 to 120
degrees. So the energy of each is taken from its visible energy by the published sampling fraction,
the window is cut to the 25x25 cells around the shower as in the published studies, and only what
hardly depends on the angle is compared: depth, width in x, hits, longitudinal shares. The built-in
simulation, on which a run may have been trained, stands beside both.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from scipy.optimize import brentq

import hepjax
from benchmarks import setting
from hepjax.formats.showers.calorimeters import calorimeter
from hepjax.formats.showers.reader import open_showers
from hepjax.physics.calorimeter import observables
from hepjax.simulate.showers.showers import simulate_showers

COPIES = 100
"""Generated showers for each Geant4 shower."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    path = setting.reference_data() / "clic_ele_angle_10events.h5"
    source = open_showers(path, crop=(13, 38))
    clic = source[np.arange(len(source))]["ecal"]
    energy = np.array([incident(visible) for visible in clic.sum(axis=(1, 2, 3))])
    energies = np.repeat(energy, COPIES)
    generated = hepjax.load(args.run).generate(energy=energies, seed=0)
    clic_25 = calorimeter("clic-25")
    simulated = simulate_showers(clic_25, energies, np.pi / 2, "electron", jax.random.key(0))

    print(f"{len(clic)} Geant4 showers, estimated {energy.min():.0f} to {energy.max():.0f} GeV")
    print(f"{'quantity':30}{'Geant4':>18}{'simulated, ratio':>20}{'generated, ratio':>20}")
    samples = [quantities(s) for s in (clic, simulated, generated)]
    for name, real in samples[0].items():
        error = real.std(ddof=1) / np.sqrt(len(real))
        means = [sample[name].mean() for sample in samples[1:]]
        ratios = "".join(f"{m:12.3f}{m / real.mean():8.2f}" for m in means)
        print(f"{name:30}{real.mean():10.3f} ±{error:6.3f}{ratios}")
    if args.plot:
        draw((clic, simulated, generated), args.plot)


def incident(visible: float) -> float:
    """Energy in GeV at which an electron leaves ``visible`` GeV, by the published curve."""
    return brentq(
        lambda e: float(observables.published_sampling_fraction(np.array([e]))[0]) * e - visible,
        1,
        600,
    )


def quantities(showers: np.ndarray) -> dict[str, np.ndarray]:
    """What is compared, one value for each shower."""
    moments = np.asarray(observables.moments(showers))
    ratios = np.asarray(observables.longitudinal_ratios(showers))
    return {
        "mean depth (layers)": moments[:, 0, 2],
        "variance of depth (layers^2)": moments[:, 1, 2],
        "variance in x (cells^2)": moments[:, 1, 0],
        "cells above 0.3 MeV": np.asarray(observables.hits(showers)),
        "share of layers 0-7": ratios[:, 0],
        "share of layers 8-15": ratios[:, 1],
        "share of layers 16-24": ratios[:, 2],
    }


def draw(samples: tuple[np.ndarray, ...], path: Path) -> None:
    """Energy share of each layer: each Geant4 shower, and the mean of all three samples."""
    import matplotlib.pyplot as plt

    shares = [(p := s.sum(axis=(1, 2))) / p.sum(axis=1, keepdims=True) for s in samples]
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(shares[0].T, color="0.8", lw=1)
    axes.plot(shares[0].mean(0), "ko", ms=4, label="Geant4, CLIC, mean of 10 (grey: each)")
    axes.plot(shares[1].mean(0), color="#0072b2", lw=2, ls="--", label="built-in simulation, mean")
    axes.plot(shares[2].mean(0), color="#d55e00", lw=2, label="generated, mean")
    axes.set(xlabel="layer", ylabel="share of the visible energy", ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
