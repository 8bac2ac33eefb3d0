"""The figures of the energy response: its mean, its distribution, its resolution."""

from collections.abc import Iterator

import numpy as np

from hepjax.physics.calorimeter import observables, response
from hepjax.physics.calorimeter.figures import (
    PROFILE_BINS,
    Pair,
    against_energy,
    distributions,
)
from hepjax.report import plots
from hepjax.report.document import Drawing
from hepjax.report.layout import Figure

CURVE_RANGE = (10.0, 500.0)
"""GeV; where the published sampling-fraction curve holds."""
CLIC = ("clic-25", "clic-51", "unknown")
"""Calorimeters beside which that curve is drawn: CLIC, and boxes that nobody described."""


def energy_response(pair: Pair) -> Iterator[Drawing]:
    """Sampling fraction against energy, and the visible energy in each bin."""
    figure = against_energy(
        pair, {"": lambda s: s["sampling_fraction"]}, "visible / incident energy"
    )
    if pair.calorimeter.name in CLIC:
        _published_curve(figure, *pair.bins[0])
    yield Drawing(
        "sampling_fraction", "Sampling fraction against incident energy",
        "Mean visible over incident energy; the ratio should stay at 1 within its errors. The "
        "dashed curve, where there is one, is the published CLIC detector.",
        figure,
    )  # fmt: skip
    yield Drawing(
        "ecal_sum", "Visible energy",
        "Energy in all cells in bins of incident energy, the numbers of showers in brackets; p is "
        "the probability of such a difference by chance (Kolmogorov-Smirnov and χ² tests).",
        distributions(pair, "ecal_sum", "visible energy [GeV]"),
    )  # fmt: skip


def energy_resolution(pair: Pair) -> Drawing:
    """Relative spread of the visible over the incident energy against energy, with its fit."""
    low, high = pair.bins[0]
    edges = np.linspace(low, max(high, low + 1), PROFILE_BINS + 1)
    drawn, words = [], []
    for sample, label in zip((pair.reference, pair.generated), pair.labels, strict=True):
        fraction, energy = (np.asarray(sample[k], float) for k in ("sampling_fraction", "energy"))
        fit = response.fitted(fraction, energy)
        if fit is None:
            spread = np.full(PROFILE_BINS, np.nan)
            drawn.append(plots.from_values(edges, spread, spread))
            continue
        words.append(f"{label}: a {100 * fit.stochastic:.0f} %, c {100 * fit.constant:.1f} %")
        expected = fit.at(energy)
        away = fraction / np.where(expected > 0, expected, np.inf) - 1
        index = np.clip(np.digitize(energy, edges) - 1, 0, PROFILE_BINS - 1)
        count = np.bincount(index, minlength=PROFILE_BINS).astype(float)
        count[count < 5] = np.nan
        variance = np.bincount(index, away**2, PROFILE_BINS) / count
        drawn.append(plots.from_values(edges, np.sqrt(variance), variance / (2 * count)))
    panel = plots.Panel("", "incident energy [GeV]", drawn[0], drawn[1], "\n".join(words))
    return Drawing(
        "energy_resolution", "Energy resolution",
        "Spread of the visible energy about its fitted mean, over that mean, and the stochastic "
        "term a / √E (E in GeV) and the constant term c that were fitted to it, in quadrature.",
        pair.overlay([panel], "relative spread", columns=1),
    )  # fmt: skip


def _published_curve(figure: Figure, low: float, high: float) -> None:
    x = np.linspace(max(low, CURVE_RANGE[0]), max(min(high, CURVE_RANGE[1]), low), 60)
    curve = np.asarray(observables.published_sampling_fraction(x))
    axis = figure.axes[0]
    axis.plot(x, curve, "--", color="0.25", lw=1.4, label="published CLIC electron curve")
    bottom, top = axis.get_ylim()
    axis.set_ylim(min(bottom, 0.97 * curve.min()), max(top, 1.03 * curve.max()))
    axis.legend(loc="best", frameon=False)
