"""The figures of the 3DGAN report, each with a sentence on how to read it.

From per-event quantities (comparison.py) to figures (hepjax.report.plots); computes no score.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.physics.calorimeter import metrics, observables
from hepjax.physics.calorimeter.comparison import Sample, axes_of, select
from hepjax.report import plots
from hepjax.report.document import Drawing
from hepjax.report.layout import Figure

PROFILE_BINS = 15
"""Bins of incident energy in plots against energy."""
MOST_BINS = 60
Take = Callable[[Sample], np.ndarray]
"""One quantity of a sample, (n,)."""


@dataclass(frozen=True)
class Pair:
    """Both samples, the bins of incident energy to draw (the first is all), and their labels."""

    reference: Sample
    generated: Sample
    bins: metrics.Bins
    labels: tuple[str, str]
    calorimeter: Calorimeter

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes, the depth last."""
        return axes_of(self.reference)

    @property
    def text(self) -> str:
        """What the samples are, for the head of a figure."""
        low, high = self.bins[0]
        n, m = len(self.reference["energy"]), len(self.generated["energy"])
        return f"{n:,} {self.labels[0]} and {m:,} {self.labels[1]} showers, {low:g}-{high:g} GeV"

    def split(self) -> Iterator[tuple[str, Sample, Sample]]:
        """Title and both samples of each bin."""
        for k, span in enumerate(self.bins):
            r, g = (
                select(s, np.asarray(metrics.in_bins(s["energy"], (span,)))[0])
                for s in (self.reference, self.generated)
            )
            counts = f"({len(r['energy'])} / {len(g['energy'])})"
            yield f"{bin_title(k, span)} {counts}", r, g

    def by_bin(self, xlabel: str, make: Callable[[Sample], "plots.hist.Hist"]) -> list[plots.Panel]:
        """A panel per bin, with what ``make`` draws of a sample."""
        return [plots.Panel(title, xlabel, make(r), make(g)) for title, r, g in self.split()]

    def overlay(self, panels: Sequence[plots.Panel], ylabel: str, **options: Any) -> Figure:
        """The panels as one figure, see ``plots.overlay``."""
        return plots.overlay(panels, self.labels, ylabel, self.text, **options)


def bin_title(index: int, span: tuple[float, float]) -> str:
    """``all energies`` for the first bin, ``100 ± 5 GeV`` or ``1 to 3.16 GeV`` for the others."""
    low, high = span
    if index == 0:
        return "all energies"
    if high > 1.5 * low > 0:
        return f"{low:.3g} to {high:.3g} GeV"
    if high < 1.01 * low:
        return f"{(low + high) / 2:.4g} GeV"
    return f"{(low + high) / 2:g} ± {(high - low) / 2:g} GeV"


def p_value(p: float) -> str:
    """A probability as text."""
    return f"{p:.2f}" if p >= 0.01 else f"{p:.0e}"


def shapes(pair: Pair) -> Iterator[Drawing]:
    """Mean energy along each axis, in each bin."""
    words = {
        "x": "across the shower (x)", "y": "across the shower (y)", "z": "in depth (z)",
        "r": "away from the axis (r)", "alpha": "around the axis (alpha)",
    }  # fmt: skip
    for axis in reversed(pair.axes):
        name, xlabel = f"profile_{axis}", f"{bins_along(axis)} along {axis}"
        make = partial(_mean_profile, name=name, edges=_cells_along(pair, axis))
        yield Drawing(
            name, f"Mean energy {words[axis]}",
            "Energy summed over the other two axes, mean of the showers of a bin: linear scale "
            "above, logarithmic scale, which shows the tails, in the middle.",
            pair.overlay(
                pair.by_bin(xlabel, make), "mean energy [GeV]", scales=("linear", "log")
            ),
        )  # fmt: skip


def shower_moments(pair: Pair) -> Iterator[Drawing]:
    """Distributions of the first two moments, and their means against energy."""
    take = {
        f"M{axis}{order} [{unit}]": _column("moments", order - 1, k)
        for order, units in ((1, ("cells", "layers")), (2, ("cells²", "layers²")))
        for k, (axis, unit) in enumerate(zip(pair.axes, (units[0], *units), strict=True))
    }
    yield Drawing(
        "moments", "Moments of the showers",
        "First moments are the centre of a shower, second moments its squared width; all energies.",
        _all_energies(pair, take),
    )  # fmt: skip
    yield Drawing(
        "moments_energy", "Mean moments against incident energy",
        "The depth of the shower (Mz1) grows with the logarithm of the energy; zoomed scale.",
        against_energy(pair, take, "mean moment"),
    )  # fmt: skip


def longitudinal(pair: Pair) -> Iterator[Drawing]:
    """Shares of energy in three parts of the depth."""
    take = {f"R{k + 1}": _column("ratios", k) for k in range(3)}
    yield Drawing(
        "ratios", "Longitudinal ratios",
        f"Share of the visible energy in {_thirds(pair)}; all energies.",
        _all_energies(pair, take),
    )  # fmt: skip
    yield Drawing(
        "ratios_energy", "Longitudinal ratios against incident energy",
        "With energy the shower moves from the front (R1) to the back (R3).",
        against_energy(pair, take, "mean share"),
    )  # fmt: skip


def cells(pair: Pair) -> Iterator[Drawing]:
    """Hits, cell energies and occupancy, in each bin."""
    yield Drawing(
        "hits", "Hits",
        "Number of cells above the threshold in bins of incident energy.",
        distributions(pair, "hits", f"cells above {pair.calorimeter.hit * 1e3:g} MeV"),
    )  # fmt: skip
    drawn = filled(pair.reference["cell_spectrum"], pair.generated["cell_spectrum"])
    edges = np.linspace(*observables.SPECTRUM_RANGE, observables.SPECTRUM_BINS + 1)
    edges = edges[drawn.start : drawn.stop + 1]
    spectra = pair.by_bin(
        "log10(cell energy / GeV)", lambda s: plots.mean_of(s["cell_spectrum"][:, drawn], edges)
    )
    yield Drawing(
        "cell_spectrum", "Cell energies",
        "Mean number of cells per shower by the logarithm of their energy, without empty cells.",
        pair.overlay(spectra, "cells per shower", scales=("log",)),
    )  # fmt: skip
    yield Drawing(
        "sparsity", "Occupancy against threshold",
        "Mean share of cells above a threshold; band and dotted lines show one standard deviation "
        "of the showers.",
        plots.bands(
            {title: (r["sparsity"], g["sparsity"]) for title, r, g in pair.split()},
            np.array(observables.SPARSITY_EXPONENTS), pair.labels, "log10(threshold / GeV)",
            "share of cells", pair.text,
        ),
    )  # fmt: skip


def hottest_cell(pair: Pair) -> Iterator[Drawing]:
    """Position of the cell with most energy."""

    def position(sample: Sample, k: int) -> "plots.hist.Hist":
        return plots.distribution(sample["max_position"][:, k], _cells_along(pair, pair.axes[k]))

    panels = [
        plots.Panel(axis, bins_along(axis), position(pair.reference, k),
                    position(pair.generated, k))
        for k, axis in enumerate(pair.axes)
    ]  # fmt: skip
    yield Drawing(
        "max_position", "Position of the hottest cell",
        "Index of the cell with most energy along each axis; all energies.",
        pair.overlay(panels, "share of showers", scales=("linear", "log")),
    )  # fmt: skip
    yield Drawing(
        "max_position_z", "Layer of the hottest cell",
        "The shower maximum moves deeper with energy.",
        pair.overlay(pair.by_bin("layer", lambda s: position(s, 2)), "share of showers"),
    )  # fmt: skip


def real_or_fake(pair: Pair, outputs: dict[str, np.ndarray]) -> Iterator[Drawing]:
    """What the discriminator says to both samples, and the energies that it regresses."""
    edges = np.linspace(0, 1.3, 21)
    r, g = np.ravel(outputs["reference"]), np.ravel(outputs["generated"])
    panel = _distribution("", "discriminator output", r, g, edges)
    yield Drawing(
        "real_fake", "Real or fake",
        "Output of the discriminator: 1 is real, 0 is generated. The closer the two, the better "
        "the generator fools this discriminator.",
        pair.overlay([panel], "share of showers", columns=1),
    )  # fmt: skip
    if "reference_energy" not in outputs:
        return
    r, g = (np.ravel(outputs[f"{s}_energy"]) for s in ("reference", "generated"))
    off_r, off_g = (
        (s["energy"] - e) / s["energy"]
        for s, e in ((pair.reference, r), (pair.generated, g))
    )  # fmt: skip
    edges = np.linspace(-0.4, 0.4, 51)
    panels = [
        _distribution("", "regressed energy [GeV]", r, g),
        _distribution("", "(incident - regressed) / incident", off_r, off_g, edges),
    ]
    yield Drawing(
        "auxiliary", "Energy that the discriminator regresses",
        "The auxiliary output against the incident energy; both samples should look alike to it.",
        pair.overlay(panels, "share of showers", columns=2),
    )  # fmt: skip


def measured_angles(pair: Pair) -> Iterator[Drawing]:
    """The angle that the analysis measures, and its deviation from the true one."""
    r, g = pair.reference, pair.generated
    edges = np.linspace(0.75, 2.5, 51)
    panels = [
        _distribution("", "measured angle [rad]", r["measured_angle"], g["measured_angle"], edges),
        _distribution(
            "", "(true - measured) / true", angle_error(r), angle_error(g), np.linspace(-1, 1, 51)
        ),
    ]  # fmt: skip
    yield Drawing(
        "measured_angle", "Measured angle",
        "Polar angle of the shower axis from the centres of its layers, and its relative error.",
        pair.overlay(panels, "share of showers"),
    )  # fmt: skip
    angle = np.linspace(min(r["theta"].min(), g["theta"].min()), r["theta"].max(), PROFILE_BINS + 1)
    take = {"": _column("measured_angle")}
    yield Drawing(
        "measured_angle_theta", "Measured against true angle",
        "Mean measured angle in bins of the true one; the ratio should stay at 1.",
        pair.overlay(
            [plots.Panel("", "true angle [rad]", *(
                plots.profile(s["theta"], take[""](s), angle) for s in (r, g)
            ))],
            "mean measured angle [rad]", scales=("zoom",), columns=1,
        ),
    )  # fmt: skip


def angle_error(sample: Sample) -> np.ndarray:
    """(true - measured) / true polar angle, (n,)."""
    return (sample["theta"] - sample["measured_angle"]) / sample["theta"]


def concentration(pair: Pair) -> Drawing:
    """Shares of the hottest cell and outside the core."""
    take = {"hottest cell": _column("peak_share"), "outside the core": _column("tail_share")}
    return Drawing(
        "concentration", "Core and tail",
        "Share of the visible energy in the hottest cell, and outside the core: the middle fifth "
        "of a box along x and y, the inner half of the rings of a cylinder.",
        _all_energies(pair, take),
    )  # fmt: skip


def bins_along(axis: str) -> str:
    """What the bins along an axis are called."""
    return {"z": "layer", "r": "ring", "alpha": "sector"}.get(axis, "cell")


def _thirds(pair: Pair) -> str:
    """``layers 0-7 (R1), 8-15 (R2) and 16 on (R3)``."""
    (a, b), (c, d), (e, _) = pair.calorimeter.thirds
    return f"layers {a}-{b - 1} (R1), {c}-{d - 1} (R2) and {e} on (R3)"


def _column(name: str, *index: int) -> Take:
    key: Any = (slice(None), *index)
    return lambda sample: sample[name][key]


def _mean_profile(sample: Sample, name: str, edges: np.ndarray) -> "plots.hist.Hist":
    return plots.mean_of(sample[name], edges)


def _cells_along(pair: Pair, axis: str) -> np.ndarray:
    """Edges of bins of one cell."""
    return np.arange(pair.reference[f"profile_{axis}"].shape[1] + 1) - 0.5


def distributions(pair: Pair, name: str, xlabel: str) -> Figure:
    """One panel per bin of energy with the distribution of a quantity and p-values."""
    panels = [_distribution(title, xlabel, r[name], g[name]) for title, r, g in pair.split()]
    return pair.overlay(panels, "share of showers")


def _all_energies(pair: Pair, take: dict[str, Take]) -> Figure:
    """One panel per quantity with its distribution at all energies and p-values."""
    r, g = pair.reference, pair.generated
    panels = [_distribution("", name, f(r), f(g)) for name, f in take.items()]
    return pair.overlay(panels, "share of showers")


def _distribution(
    title: str, xlabel: str, r: np.ndarray, g: np.ndarray, edges: np.ndarray | None = None
) -> plots.Panel:
    edges = edges_of(r, g) if edges is None else edges
    drawn = plots.distribution(r, edges), plots.distribution(g, edges)
    return plots.Panel(title, xlabel, *drawn, _tests(r, g, edges))


def against_energy(pair: Pair, take: dict[str, Take], ylabel: str) -> Figure:
    """One panel per quantity with its mean in bins of incident energy."""
    low, high = pair.bins[0]
    edges = np.linspace(low, max(high, low + 1), PROFILE_BINS + 1)
    panels = [
        plots.Panel(
            name, "incident energy [GeV]",
            *(plots.profile(s["energy"], f(s), edges) for s in (pair.reference, pair.generated)),
        )
        for name, f in take.items()
    ]  # fmt: skip
    return pair.overlay(panels, ylabel, scales=("zoom",), columns=min(len(panels), 3))


def edges_of(reference: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """Bins that hold both samples but for a few outliers.

    Their width suits the spread and the number of events of the narrower sample, unless that takes
    more than ``MOST_BINS``; whole numbers get bins of whole width.
    """
    spans = [np.quantile(values, [0.002, 0.998]) for values in (reference, generated)]
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.5
    low, high = low - margin, high + margin
    count = float(np.clip(2.2 * min(len(reference), len(generated)) ** (1 / 3), 6, 50))
    width = max(min(np.ptp(span) for span in spans) / count, (high - low) / MOST_BINS)
    if np.issubdtype(reference.dtype, np.integer):
        step = int(np.ceil(width))
        return np.arange(np.floor(low), high + step, step) - 0.5
    return np.linspace(low, high, int(np.ceil((high - low) / width)) + 1)


def _tests(reference: np.ndarray, generated: np.ndarray, edges: np.ndarray) -> str:
    chi = metrics.chi_squared(*(np.histogram(v, edges)[0] for v in (reference, generated)))
    p_values = {"KS": metrics.kolmogorov(reference, generated), "χ²": chi}
    return ", ".join(f"p({name}) = {p_value(p)}" for name, p in p_values.items() if np.isfinite(p))


def filled(*counts: np.ndarray) -> slice:
    """The part of the spectrum with at least one cell in 100 showers of some sample."""
    filled = np.flatnonzero(np.max([c.mean(0) for c in counts], axis=0) > 0.01)
    if not filled.size:
        return slice(0, observables.SPECTRUM_BINS)
    return slice(max(filled[0] - 2, 0), min(filled[-1] + 3, observables.SPECTRUM_BINS))
