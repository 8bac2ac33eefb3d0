"""Ten genuine Geant4 showers of the CLIC calorimeter against generated ones of the same energies.

    HEPJAX_REFERENCE_DATA=FOLDER python benchmarks/clic_events.py RUN [--plot FILE.png]

The file holds neither incident energies nor perpendicular showers: 51x51x25 cells at 60 to 120
degrees. So the energy of each is taken from its visible energy by the published sampling fraction,
the window is cut to the 25x25 cells around the shower as in the published studies, and only what
hardly depends on the angle is compared: depth, width in x, hits, longitudinal shares.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from scipy.optimize import brentq

import hepjax
from hepjax.formats.showers import open_showers
from hepjax.gan3d import physics

COPIES = 100
"""Generated showers for each Geant4 shower."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    path = Path(os.environ["HEPJAX_REFERENCE_DATA"]) / "clic_ele_angle_10events.h5"
    source = open_showers(path, crop=(13, 38))
    clic = source[np.arange(len(source))]["ecal"]
    energy = np.array([incident(visible) for visible in clic.sum(axis=(1, 2, 3))])
    generated = hepjax.load(args.run).generate(np.repeat(energy, COPIES), seed=0)

    print(f"{len(clic)} Geant4 showers, estimated {energy.min():.0f} to {energy.max():.0f} GeV")
    print(f"{'quantity':34}{'Geant4':>18}{'generated':>18}{'ratio':>8}")
    samples = [quantities(s) for s in (clic, generated)]
    for name in samples[0]:
        real, made = samples[0][name], samples[1][name]
        error = real.std(ddof=1) / np.sqrt(len(real))
        print(
            f"{name:34}{real.mean():10.3f} ±{error:6.3f}{made.mean():18.3f}"
            f"{made.mean() / real.mean():8.3f}"
        )
    if args.plot:
        draw(clic, generated, args.plot)


def incident(visible: float) -> float:
    """Energy in GeV at which an electron leaves ``visible`` GeV, by the published curve."""
    return brentq(
        lambda e: float(physics.published_sampling_fraction(np.array([e]))[0]) * e - visible, 1, 600
    )


def quantities(showers: np.ndarray) -> dict[str, np.ndarray]:
    """What is compared, one value for each shower."""
    moments = np.asarray(physics.moments(showers))
    ratios = np.asarray(physics.longitudinal_ratios(showers))
    return {
        "mean depth (layers)": moments[:, 0, 2],
        "variance of depth (layers^2)": moments[:, 1, 2],
        "variance in x (cells^2)": moments[:, 1, 0],
        "cells above 0.3 MeV": np.asarray(physics.hits(showers)),
        "share of layers 0-7": ratios[:, 0],
        "share of layers 8-15": ratios[:, 1],
        "share of layers 16-24": ratios[:, 2],
    }


def draw(clic: np.ndarray, generated: np.ndarray, path: Path) -> None:
    """Energy share of each layer, each Geant4 shower and the mean of both samples."""
    import matplotlib.pyplot as plt

    shares = [(p := s.sum(axis=(1, 2))) / p.sum(axis=1, keepdims=True) for s in (clic, generated)]
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(shares[0].T, color="0.8", lw=1)
    axes.plot(shares[0].mean(0), "ko", ms=4, label="Geant4, CLIC, mean of 10 (grey: each)")
    axes.plot(shares[1].mean(0), color="#d55e00", lw=2, label="generated, mean")
    axes.set(xlabel="layer", ylabel="share of the visible energy", ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
