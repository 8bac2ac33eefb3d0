"""All plots of a comparison, one by one: each quantity in each bin of incident energy, and again
in each bin of energy and angle; scored, tested, and ready to be drawn by other processes.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from hepjax.physics.calorimeter import displays, figures, metrics, observables, significance
from hepjax.physics.calorimeter.comparison import Sample, halves, select
from hepjax.physics.calorimeter.figures import Pair
from hepjax.physics.calorimeter.layers import Axes, counts
from hepjax.report import plots, single
from hepjax.report.gallery import Plot

RESAMPLES = 50
"""Of the bootstrap of a score."""
LOG = ("cell energies", "hottest x", "hottest y", "hottest z", "hottest r", "hottest alpha")
"""Plots with a logarithmic scale; profiles have one of each."""
UNITS = {
    "ecal_sum": "visible energy [GeV]", "sampling_fraction": "visible / incident energy",
    "hits": "cells above the threshold", "peak_share": "share of the hottest cell",
    "tail_share": "share outside the core", "measured angle": "measured angle [rad]",
    "occupancy": "share of cells with energy", "angle error": "true - measured angle [rad]",
}  # fmt: skip
BY_ANGLE = ("ecal_sum", "hits", "Mx1", "My1", "My2", "Mz1", "R1", "measured angle", "angle error")
"""Scalars that are drawn in bins of energy and angle too (published)."""


class Bin(NamedTuple):
    """A range of incident energy, and of the polar angle where it is given."""

    energy: int
    """Index among the bins of energy; 0 is the whole sample."""
    span: tuple[float, float]
    angle: tuple[float, float] | None = None

    @property
    def text(self) -> str:
        """In words."""
        words = figures.bin_title(self.energy, self.span)
        if self.angle is None:
            return words
        return f"{words}, {np.degrees(sum(self.angle) / 2):.0f}°"

    @property
    def name(self) -> str:
        """As a part of a file name."""
        words = "all" if self.energy == 0 else f"e{self.energy}"
        return words if self.angle is None else f"{words}_a{np.degrees(sum(self.angle) / 2):.0f}"

    def inside(self, energy: np.ndarray, theta: np.ndarray | None) -> np.ndarray:
        """(n,) bool."""
        chosen = (energy >= self.span[0]) & (energy <= self.span[1])
        if self.angle is None or theta is None:
            return chosen
        return chosen & (theta >= self.angle[0]) & (theta <= self.angle[1])


def bins_of(energy: metrics.Bins, angle: metrics.Bins) -> list[Bin]:
    """All bins: of energy, then of energy and angle."""
    alone = [Bin(k, span) for k, span in enumerate(energy)]
    return alone + [bin._replace(angle=span) for bin in alone for span in angle]


def plots_of(
    pair: Pair, bins: list[Bin], means: list[tuple[np.ndarray, ...]], axes: Axes
) -> list[Plot]:
    """Every plot with score, error, noise floor, and p-values adjusted for their number.

    Args:
      means: of reference and generated the mean pictures of all ``bins``, see ``samples.Reduced``.
      axes: of the high-level features, whose histograms by layer come last.
    """
    found: list[Plot] = []
    for number, bin in enumerate(bins):
        r, g = (
            select(s, bin.inside(s["energy"], s.get("theta")))
            for s in (pair.reference, pair.generated)
        )
        if min(len(r["energy"]), len(g["energy"])) < metrics.MIN_EVENTS:
            continue
        found += _of_bin(pair, bin, r, g)
        pictures = [tuple(plane[number] for plane in planes) for planes in means]
        found += _pictures(pair, bin, pictures[0], pictures[1])
    found += _of_layers(pair, axes)
    adjusted = metrics.holm(np.array([p for plot in found for _, p in plot.p_values]))
    done, start = [], 0
    for plot in found:
        own = adjusted[start : start + len(plot.p_values)]
        start += len(plot.p_values)
        known = own[np.isfinite(own)]
        done.append(replace(plot, adjusted=float(known.min()) if len(known) else np.nan))
    return done


def _of_bin(pair: Pair, bin: Bin, r: Sample, g: Sample) -> Iterator[Plot]:
    floor = halves(r)
    for name, take in significance.scalars(r).items():
        if bin.angle is None or name in BY_ANGLE:
            yield _scalar(pair, bin, name, *(take(s) for s in (r, g, *floor)))
    for axis in reversed(pair.axes):
        key = f"profile_{axis}"
        edges = np.arange(r[key].shape[1] + 1) - 0.5
        p = metrics.same_means(r[key], g[key])
        rows = [s[key] for s in (r, g, *floor)]
        for scale in ("linear", "log") if bin.angle is None else ("log",):
            xlabel = f"{figures.bins_along(axis)} along {axis}"
            yield _curve(pair, bin, f"profile {axis} ({scale})", rows, edges, xlabel,
                         "mean energy [GeV]", scale, (("Hotelling", p),))  # fmt: skip
    if bin.angle is None:
        drawn = figures.filled(r["cell_spectrum"], g["cell_spectrum"])
        edges = np.linspace(*observables.SPECTRUM_RANGE, observables.SPECTRUM_BINS + 1)
        rows = [s["cell_spectrum"][:, drawn] for s in (r, g, *floor)]
        yield _curve(pair, bin, "cell energies", rows, edges[drawn.start : drawn.stop + 1],
                     "log10(cell energy / GeV)", "cells per shower", "log", ())  # fmt: skip
        exponents = np.array(observables.SPARSITY_EXPONENTS)
        rows = [s["sparsity"] for s in (r, g, *floor)]
        yield _curve(pair, bin, "sparsity", rows, np.append(exponents, 1) - 0.5,
                     "log10(threshold / GeV)", "share of cells", "linear", ())  # fmt: skip
        yield _correlation(pair, bin, r, g, floor)


def _scalar(
    pair: Pair, bin: Bin, name: str, r: np.ndarray, g: np.ndarray, one: np.ndarray,
    other: np.ndarray,
) -> Plot:  # fmt: skip
    edges = figures.edges_of(r, g)
    both = (("KS", significance.ks(r, g)), ("χ²", significance.chi_squared(r, g)))
    tests = tuple((test, p) for test, p in both if np.isfinite(p))
    histograms = [np.histogram(v, edges)[0] for v in (r, g, one, other)]
    note = ", ".join(f"p({test}) = {figures.p_value(p)}" for test, p in tests)
    panel = plots.Panel("", UNITS.get(name, name), plots.distribution(r, edges),
                        plots.distribution(g, edges), note)  # fmt: skip
    scale = "log" if name in LOG else "linear"
    return _plot(pair, bin, name.replace("_", " "), _family(name), panel, "share of showers", scale,
                 metrics.separation(*histograms[:2]), _count_error(*histograms[:2]),
                 metrics.separation(*histograms[2:]), tests)  # fmt: skip


def _family(name: str) -> str:
    """Of a scalar: what it is listed under."""
    if name[0] == "M" and name[-1].isdigit():
        return "moments"
    if name in ("R1", "R2", "R3"):
        return "longitudinal ratios"
    if name.startswith("hottest"):
        return "hottest cell"
    families = {
        "ecal_sum": "visible energy", "peak_share": "core and tail", "tail_share": "core and tail",
        "measured angle": "angle", "angle error": "angle",
    }  # fmt: skip
    return families.get(name, name.replace("_", " "))


def _curve(
    pair: Pair, bin: Bin, name: str, rows: list[np.ndarray], edges: np.ndarray, xlabel: str,
    ylabel: str, scale: str, tests: tuple[tuple[str, float], ...],
) -> Plot:  # fmt: skip
    """A mean curve; ``rows`` of reference, generated and the two halves."""
    tests = tuple((test, p) for test, p in tests if np.isfinite(p))
    note = ", ".join(f"p({test}) = {figures.p_value(p)}" for test, p in tests)
    drawn = [plots.mean_of(v, edges) for v in rows[:2]]
    panel = plots.Panel("", xlabel, drawn[0], drawn[1], note)
    mean = [v.mean(0, dtype=float) for v in rows]
    family = "profiles" if name.startswith("profile") else name
    return _plot(pair, bin, name, family, panel, ylabel, scale,
                 metrics.separation(mean[0], mean[1]), _mean_error(rows[0], rows[1]),
                 metrics.separation(mean[2], mean[3]), tests)  # fmt: skip


def _plot(
    pair: Pair, bin: Bin, title: str, family: str, panel: plots.Panel, ylabel: str, scale: str,
    score: float, error: float, floor: float, tests: tuple[tuple[str, float], ...],
) -> Plot:  # fmt: skip
    text = f"{title}, {bin.text}"
    draw = partial(single.histograms, panel, pair.labels, ylabel, text, scale)
    return Plot(_name(title, bin), title, family, bin.text, draw, score, error, floor, tests)


def _name(title: str, bin: Bin) -> str:
    plain = "".join(c if c.isalnum() else "_" for c in title.lower()).strip("_")
    return f"{plain}_{bin.name}"


def _pictures(
    pair: Pair, bin: Bin, reference: tuple[np.ndarray, ...], generated: tuple[np.ndarray, ...]
) -> Iterator[Plot]:
    a, b, z = pair.axes
    for axes, r, g in zip(((a, b), (a, z), (b, z)), reference, generated, strict=True):
        title = f"mean shower {axes[0]} {axes[1]}"
        draw = partial(single.pictures, r.astype(np.float32), g.astype(np.float32), pair.labels,
                       axes, "mean energy [GeV]", f"{title}, {bin.text}")  # fmt: skip
        yield Plot(_name(title, bin), title, "mean showers", bin.text, draw,
                   metrics.separation(r.ravel(), g.ravel()))  # fmt: skip


def _correlation(pair: Pair, bin: Bin, r: Sample, g: Sample, floor: tuple[Sample, Sample]) -> Plot:
    # NumPy: each bin has its own number of showers, for which XLA would compile anew.
    matrices = [_correlations(s["correlated"]) for s in (r, g, *floor)]
    title = "correlations, difference"
    draw = partial(single.matrix, matrices[1] - matrices[0], displays.names(pair),
                   f"{pair.labels[1]} - {pair.labels[0]}", f"{title}, {bin.text}")  # fmt: skip
    return Plot(_name(title, bin), title, "correlations", bin.text, draw,
                metrics.correlation_distance(matrices[0], matrices[1]), np.nan,
                metrics.correlation_distance(matrices[2], matrices[3]))  # fmt: skip


def _correlations(columns: np.ndarray) -> np.ndarray:
    """Pearson's; 0 with a column that is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.corrcoef(np.asarray(columns, float), rowvar=False))


def _of_layers(pair: Pair, axes: Axes) -> Iterator[Plot]:
    """Histograms of the high-level features of each layer, at all energies."""
    sides = (pair.reference, pair.generated, *halves(pair.reference))
    histograms = [counts(s["layer_bins"]) for s in sides]
    whole = Bin(0, pair.bins[0])
    for k, axis in enumerate(axes):
        if axis.layer is None:
            continue
        r, g, one, other = (h[k, : axis.bins] for h in histograms)
        edges = np.linspace(axis.low, axis.high, axis.bins + 1)
        drawn = [
            plots.from_values(edges, c / n, c / n**2)
            for c, n in ((r, len(pair.reference["energy"])), (g, len(pair.generated["energy"])))
        ]
        p = metrics.chi_squared(r, g)
        tests = (("χ²", p),) if np.isfinite(p) else ()
        xlabel = {"layer": "log10(energy / MeV)", "sparsity": "share of empty cells"}
        group = {"layer": "energy"}.get(axis.group, axis.group.replace("_", " "))
        note = f"p(χ²) = {figures.p_value(p)}" if tests else ""
        panel = plots.Panel("", xlabel.get(axis.group, f"{group} [mm]"), drawn[0], drawn[1], note)
        title = f"{group}, layer {axis.layer}"
        yield _plot(pair, whole, title, f"layers: {group}", panel, "share of showers", "log",
                    metrics.separation(r, g), _count_error(r, g), metrics.separation(one, other),
                    tests)  # fmt: skip


def _count_error(reference: np.ndarray, generated: np.ndarray) -> float:
    """Spread of the separation power over histograms drawn with these counts (bootstrap)."""
    rng = np.random.default_rng(0)
    if not reference.sum() or not generated.sum():
        return float("nan")
    drawn = [rng.multinomial(c.sum(), c / c.sum(), RESAMPLES) for c in (reference, generated)]
    return _spread(*drawn)


def _mean_error(reference: np.ndarray, generated: np.ndarray) -> float:
    """The same for mean curves of showers (n, k) and (m, k), which are drawn again."""
    rng = np.random.default_rng(0)
    means = []
    for rows in (reference, generated):
        weight = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), RESAMPLES)
        means.append(weight @ np.asarray(rows, float))
    return _spread(*means)


def _spread(reference: np.ndarray, generated: np.ndarray) -> float:
    powers = [metrics.separation(r, g) for r, g in zip(reference, generated, strict=True)]
    return float(np.std(powers, ddof=1))
