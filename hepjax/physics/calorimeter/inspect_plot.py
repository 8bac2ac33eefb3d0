"""The picture of ``hepjax inspect --plot``: the mean shower of a sample; needs ``plot``."""

from typing import Any

import numpy as np

from hepjax.physics.calorimeter.observables import published_sampling_fraction
from hepjax.report.inspection import caption
from hepjax.report.layout import EDGE, LINE, WIDTH, Axes, Figure, head
from hepjax.report.maps import positive

# After the layout, which says how to get matplotlib where it is missing.
from matplotlib.colors import LogNorm  # isort: skip
from matplotlib.image import AxesImage  # isort: skip

DECADES = 5
"""How far below the hottest pixel the colours of a projection reach."""
HEIGHT = 8.4
"""Inches."""


def draw(
    report: dict[str, Any],
    shower: np.ndarray,
    by_layer: tuple[np.ndarray, np.ndarray],
) -> Figure:
    """Projections of the mean shower, its longitudinal profile and the sampling fraction.

    Args:
      report: of ``inspect``.
      shower: (x, y, z) mean cell energies, GeV.
      by_layer: mean energy of each layer and its error, (z,) GeV.
    """
    figure = Figure(figsize=(WIDTH, HEIGHT))
    top = figure.add_gridspec(
        1, 4, left=0.065, right=0.93, top=0.88, bottom=0.55, wspace=0.3,
        width_ratios=(1, 1, 1, 0.05),
    )  # fmt: skip
    pictures = {"xy": shower.sum(2), "zx": shower.sum(1), "zy": shower.sum(0)}
    peak = max(float(picture.max()) for picture in pictures.values()) or 1.0
    norm = LogNorm(peak / 10**DECADES, peak)
    for k, (names, picture) in enumerate(pictures.items()):
        image = _projection(figure.add_subplot(top[k]), picture, names, norm)
    bar = figure.colorbar(image, cax=figure.add_subplot(top[3]))
    bar.set_label("energy (GeV / shower)", loc="top")
    grid = figure.add_gridspec(1, 2, left=0.065, right=0.985, top=0.44, bottom=0.085)
    wide = report["sampling_fraction"] is None
    profile = figure.add_subplot(grid[:] if wide else grid[0])
    _longitudinal(profile, *by_layer)
    if not wide:
        _sampling_fraction(figure.add_subplot(grid[1]), report["sampling_fraction"])
    energy = report["energy_gev"]
    text = f"mean of {report['events']:,} showers"
    text += f", {energy['min']:.4g}-{energy['max']:.4g} GeV" if energy else ""
    head(figure, caption(report, text))
    return figure


def _projection(axis: Axes, energy: np.ndarray, names: str, norm: LogNorm) -> AxesImage:
    """``energy`` is (x, y) for names xy, else (transverse, z), drawn with z to the right."""
    drawn = axis.imshow(
        positive(energy.T if names == "xy" else energy),
        origin="lower", aspect="auto", cmap="viridis", norm=norm, interpolation="none",
    )  # fmt: skip
    axis.set_xlabel(f"{names[0]} (layer)" if names[0] == "z" else f"{names[0]} (cell)", labelpad=3)
    axis.set_ylabel(f"{names[1]} (cell)", labelpad=3)
    axis.set_title({"xy": "Along the beam", "zx": "From above", "zy": "From the side"}[names])
    axis.tick_params(which="both", color="0.6")
    return drawn


def _longitudinal(axis: Axes, mean: np.ndarray, error: np.ndarray) -> None:
    edges = np.arange(len(mean) + 1) - 0.5
    axis.stairs(mean, edges, color=EDGE, fill=True, alpha=0.25)
    axis.stairs(mean, edges, color=EDGE, lw=1.5)
    axis.errorbar(np.arange(len(mean)), mean, error, fmt="none", ecolor=EDGE)
    centre = float(mean @ np.arange(len(mean)) / mean.sum()) if mean.sum() > 0 else 0.0
    axis.axvline(centre, color="0.4", ls="--", lw=1.2)
    axis.text(centre, mean.max() * 0.04, f" mean layer {centre:.1f}", color="0.3")
    axis.set_xlabel("layer", labelpad=1)
    axis.set(ylabel="energy (GeV / layer)", xlim=(edges[0], edges[-1]))
    axis.set_ylim(0, None)
    axis.set_title("Longitudinal profile")


def _sampling_fraction(axis: Axes, bins: list[dict[str, Any]]) -> None:
    energy, mean, rms = (
        np.array([b[key] for b in bins]) for key in ("mean_energy_gev", "mean", "rms")
    )
    count = np.array([b["events"] for b in bins])
    axis.errorbar(
        energy, mean, rms, fmt="none", ecolor=EDGE, elinewidth=6, alpha=0.25,
        label="spread of showers (rms)",
    )  # fmt: skip
    axis.errorbar(
        energy, mean, rms / np.sqrt(count), fmt="o", ms=5, color=EDGE, label="mean of this sample"
    )
    if any(b["published"] for b in bins):
        curve = np.linspace(2.0, 500.0, 200)
        curve = curve[(curve >= energy.min() * 0.8) & (curve <= energy.max() * 1.2)]
        axis.plot(curve, published_sampling_fraction(curve), color=LINE, label="published CLIC fit")
    axis.set_xlabel("incident energy (GeV)", labelpad=1)
    axis.set(ylabel="visible / incident energy")
    low, high = float((mean - rms).min()), float((mean + rms).max())
    axis.set_ylim(max(0.0, low - 1.5 * (high - low)), high + 0.7 * (high - low))
    axis.set_title("Sampling fraction")
    axis.legend(loc="lower left", frameon=False)
