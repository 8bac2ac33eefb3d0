"""The figures of the 3DGAN report, each with a sentence on how to read it.

From per-event quantities (comparison.py) to figures (hepjax.report.plots); computes no score.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepjax.gan3d import metrics, physics
from hepjax.gan3d.comparison import AXES, Sample, select
from hepjax.report import plots

PROFILE_BINS = 15
"""Bins of incident energy in plots against energy."""
MAX_FIT_ENERGY = (10.0, 500.0)
"""GeV; where the published sampling-fraction curve holds."""


@dataclass(frozen=True)
class Drawing:
    """A figure, its file name, and the words under it."""

    name: str
    title: str
    how_to_read: str
    figure: Any


@dataclass(frozen=True)
class Pair:
    """Both samples, the bins of incident energy to draw (the first is all), and their labels."""

    reference: Sample
    generated: Sample
    bins: metrics.Bins
    labels: tuple[str, str]

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


def bin_title(index: int, span: tuple[float, float]) -> str:
    """``all energies`` for the first bin, ``100 +- 5 GeV`` for the others."""
    if index == 0:
        return "all energies"
    return f"{(span[0] + span[1]) / 2:g} ± {(span[1] - span[0]) / 2:g} GeV"


def energy_response(pair: Pair) -> Iterator[Drawing]:
    """Sampling fraction against energy, and the visible energy in each bin."""
    low, high = pair.bins[0]
    edges = np.linspace(low, max(high, low + 1), PROFILE_BINS + 1)
    panel = plots.Panel(
        "sampling fraction",
        *(
            plots.profile(s["energy"], s["sampling_fraction"], edges)
            for s in (pair.reference, pair.generated)
        ),
    )
    figure = plots.overlay(
        [panel], pair.labels, "incident energy [GeV]", "visible / incident energy", pair.text,
        columns=1,
    )  # fmt: skip
    x = np.linspace(max(low, MAX_FIT_ENERGY[0]), max(min(high, MAX_FIT_ENERGY[1]), low), 60)
    figure.axes[0].plot(
        x, physics.published_sampling_fraction(x), "--", color="0.25", lw=1.4,
        label="published CLIC electron curve",
    )  # fmt: skip
    figure.axes[0].legend(loc="lower right", frameon=False)
    yield Drawing(
        "sampling_fraction",
        "Sampling fraction against incident energy",
        "Mean visible over incident energy; the ratio should stay at 1 within its errors. The dashed "
        "curve is the published CLIC detector, which a sample of another detector need not follow.",
        figure,
    )
    yield _distributions(
        pair, "ecal_sum", "Visible energy", "visible energy [GeV]",
        "Distribution of the energy in all cells, in bins of incident energy with the numbers of "
        "showers in brackets. KS and χ² are p-values: below 0.05 the two differ.",
    )  # fmt: skip


def shapes(pair: Pair) -> Iterator[Drawing]:
    """Mean energy along each axis, in each bin."""
    words = {"x": "across the shower (x)", "y": "across the shower (y)", "z": "in depth (z)"}
    for axis in reversed(AXES):
        name = f"profile_{axis}"
        edges = np.arange(pair.reference[name].shape[1] + 1) - 0.5
        panels = [
            plots.Panel(title, plots.mean_of(r[name], edges), plots.mean_of(g[name], edges))
            for title, r, g in pair.split()
        ]
        figure = plots.overlay(
            panels, pair.labels, f"{'layer' if axis == 'z' else 'cell'} along {axis}",
            "mean energy [GeV]", pair.text, scales=("linear", "log"),
        )  # fmt: skip
        yield Drawing(
            name,
            f"Mean energy {words[axis]}",
            "Energy summed over the other two axes, mean of the showers of a bin; above on a linear, "
            "below on a logarithmic scale, which shows the tails.",
            figure,
        )


def shower_moments(pair: Pair) -> Iterator[Drawing]:
    """Distributions of the first two moments, and their means against energy."""
    names = [(f"{axis}{order + 1}", order, k) for order in range(2) for k, axis in enumerate(AXES)]
    panels = []
    for name, order, k in names:
        r, g = (s["moments"][:, order, k] for s in (pair.reference, pair.generated))
        edges = _edges(r, g, 40)
        panels.append(
            plots.Panel(
                f"M{name}",
                plots.distribution(r, edges),
                plots.distribution(g, edges),
                _tests(r, g, edges),
            )
        )
    yield Drawing(
        "moments",
        "Moments of the showers",
        "First moments are the centre of the shower in cells (z: layers), second moments its squared "
        "width; all energies.",
        plots.overlay(panels, pair.labels, "cells or cells²", "share of showers", pair.text),
    )
    yield _against_energy(
        pair, "moments_energy", "Mean moments against incident energy", "mean, cells or cells²",
        [(f"M{name}", lambda s, order=order, k=k: s["moments"][:, order, k]) for name, order, k in names],
        "Mean of each moment in bins of incident energy: the depth of the shower (Mz1) grows with "
        "the logarithm of the energy.",
    )  # fmt: skip


def longitudinal(pair: Pair) -> Iterator[Drawing]:
    """Shares of energy in three parts of the depth."""
    names = [f"R{k + 1}" for k in range(3)]
    edges = np.linspace(0, 1, 41)
    panels = []
    for k, name in enumerate(names):
        r, g = (s["ratios"][:, k] for s in (pair.reference, pair.generated))
        panels.append(
            plots.Panel(
                name,
                plots.distribution(r, edges),
                plots.distribution(g, edges),
                _tests(r, g, edges),
            )
        )
    yield Drawing(
        "ratios",
        "Longitudinal ratios",
        "Share of the visible energy in layers 0-7 (R1), 8-15 (R2) and from 16 on (R3); all energies.",
        plots.overlay(
            panels, pair.labels, "share of visible energy", "share of showers", pair.text
        ),
    )
    yield _against_energy(
        pair, "ratios_energy", "Longitudinal ratios against incident energy", "mean share",
        [(name, lambda s, k=k: s["ratios"][:, k]) for k, name in enumerate(names)],
        "With energy the shower moves from the front (R1) to the back (R3).",
    )  # fmt: skip


def cells(pair: Pair) -> Iterator[Drawing]:
    """Hits, cell energies and occupancy, in each bin."""
    yield _distributions(
        pair, "hits", "Hits", f"cells above {physics.HIT_THRESHOLD * 1e3:g} MeV",
        "Number of cells above the threshold, in bins of incident energy.",
    )  # fmt: skip
    edges = np.linspace(*physics.SPECTRUM_RANGE, physics.SPECTRUM_BINS + 1)
    drawn = _occupied([pair.reference["cell_spectrum"], pair.generated["cell_spectrum"]])
    panels = [
        plots.Panel(
            title,
            *(
                plots.mean_of(s["cell_spectrum"][:, drawn], edges[drawn.start : drawn.stop + 1])
                for s in (r, g)
            ),
        )
        for title, r, g in pair.split()
    ]
    yield Drawing(
        "cell_spectrum",
        "Cell energies",
        "Mean number of cells per shower by the logarithm of their energy; empty cells do not show. "
        "Networks usually miss the softest cells first.",
        plots.overlay(
            panels, pair.labels, "log10(cell energy / GeV)", "cells per shower", pair.text,
            scales=("log",),
        ),
    )  # fmt: skip
    titles, curves = zip(
        *((t, (r["sparsity"], g["sparsity"])) for t, r, g in pair.split()), strict=True
    )
    yield Drawing(
        "sparsity",
        "Occupancy against threshold",
        "Mean share of cells above a threshold; bands show one standard deviation of the showers.",
        plots.bands(
            titles, np.array(physics.SPARSITY_EXPONENTS), curves, pair.labels,
            "log10(threshold / GeV)", "share of cells", pair.text,
        ),
    )  # fmt: skip


def hottest_cell(pair: Pair) -> Iterator[Drawing]:
    """Position of the cell with most energy."""

    def panel(title: str, r: Sample, g: Sample, k: int) -> plots.Panel:
        edges = np.arange(r[f"profile_{AXES[k]}"].shape[1] + 1) - 0.5
        values = r["max_position"][:, k], g["max_position"][:, k]
        return plots.Panel(title, *(plots.distribution(v, edges) for v in values))

    panels = [panel(axis, pair.reference, pair.generated, k) for k, axis in enumerate(AXES)]
    yield Drawing(
        "max_position",
        "Position of the hottest cell",
        "Index of the cell with most energy along each axis; all energies.",
        plots.overlay(
            panels, pair.labels, "cell (z: layer)", "share of showers", pair.text,
            scales=("linear", "log"),
        ),
    )  # fmt: skip
    yield Drawing(
        "max_position_z",
        "Layer of the hottest cell",
        "The shower maximum moves deeper with energy.",
        plots.overlay(
            [panel(title, r, g, 2) for title, r, g in pair.split()], pair.labels, "layer",
            "share of showers", pair.text,
        ),
    )  # fmt: skip


def correlations(pair: Pair) -> Iterator[Drawing]:
    """Correlation matrices and their difference."""
    r, g = (
        np.asarray(physics.correlation_matrix(s["correlated"]))
        for s in (pair.reference, pair.generated)
    )
    yield Drawing(
        "correlations",
        "Correlations",
        "Correlation of shower quantities in percent; the right-hand matrix is the difference and "
        "should be pale.",
        plots.matrices(
            [r, g, g - r], [*pair.labels, "difference"], physics.CORRELATED, pair.text
        ),
    )  # fmt: skip


def real_or_fake(pair: Pair, outputs: dict[str, np.ndarray]) -> Iterator[Drawing]:
    """What the discriminator says to both samples."""
    edges = np.linspace(0, 1.3, 21)
    r, g = (np.ravel(outputs[name]) for name in ("reference", "generated"))
    panel = plots.Panel(
        "discriminator",
        plots.distribution(r, edges),
        plots.distribution(g, edges),
        _tests(r, g, edges),
    )
    yield Drawing(
        "real_fake",
        "Real or fake",
        "Output of the discriminator: 1 is real, 0 is generated. The closer the two, the better the "
        "generator fools this discriminator.",
        plots.overlay(
            [panel], pair.labels, "discriminator output", "share of showers", pair.text, columns=1
        ),
    )


def projections(
    pair: Pair, reference: tuple[np.ndarray, ...], generated: tuple[np.ndarray, ...]
) -> Iterator[Drawing]:
    """Mean showers of each bin seen along the three axes."""
    planes = ("xy", "xz", "yz")
    columns = [(plane, k, side) for k, plane in enumerate(planes) for side in range(2)]
    rows = [
        [(reference, generated)[side][k][b] for _, k, side in columns]
        for b in range(len(pair.bins))
    ]  # fmt: skip
    yield Drawing(
        "projections",
        "Mean showers",
        "Mean energy summed along one axis, side by side; a row per bin of incident energy, one "
        "colour scale for all.",
        plots.pictures(
            rows, [bin_title(k, span) for k, span in enumerate(pair.bins)],
            [f"{plane}: {pair.labels[side]}" for plane, _, side in columns],
            [(plane[0], plane[1]) for plane, _, _ in columns], "mean energy [GeV]", pair.text,
        ),
    )  # fmt: skip


def single_showers(
    pair: Pair, reference: np.ndarray, generated: np.ndarray, count: int = 6
) -> Iterator[Drawing]:
    """A few showers of both samples at the same energies, seen from the side."""
    energy = pair.reference["energy"]
    picks = np.argsort(energy)[np.linspace(0, len(energy) - 1, count).astype(int)]
    partners = [int(np.abs(pair.generated["energy"] - energy[i]).argmin()) for i in picks]
    rows = [
        [np.asarray(physics.projections(showers[i][None])[1])[0] for i in events]
        for showers, events in ((reference, picks), (generated, partners))
    ]
    yield Drawing(
        "single_showers",
        "Single showers",
        "One shower each at about the same incident energy, seen from the side. Generated showers "
        "should fluctuate like real ones and be as ragged.",
        plots.pictures(
            rows, list(pair.labels), [f"{energy[i]:.0f} GeV" for i in picks], [("x", "z")] * count,
            "energy [GeV]", pair.text,
        ),
    )  # fmt: skip


def training(
    epochs: np.ndarray, scores: dict[str, np.ndarray], losses: dict[str, np.ndarray],
    chosen: float | None, text: str,
) -> Iterator[Drawing]:  # fmt: skip
    """Scores and losses after each epoch."""
    panels = [
        (title, [(name, epochs, values) for name, values in group.items()], "log")
        for title, group in (("physics scores", scores), ("validation losses", losses))
        if group
    ]
    yield Drawing(
        "training",
        "Scores and losses after each epoch",
        "On the validation showers. The dashed line is the best of the last ten epochs by the "
        "published criterion, the error of the sampling fraction.",
        plots.lines(panels, "epoch", text, marked=chosen),
    )


def _distributions(pair: Pair, name: str, title: str, xlabel: str, how_to_read: str) -> Drawing:
    """One panel per bin with the distribution of a quantity and p-values."""
    panels = []
    for label, r, g in pair.split():
        edges = _edges(r[name], g[name], 30)
        panels.append(
            plots.Panel(
                label, plots.distribution(r[name], edges), plots.distribution(g[name], edges),
                _tests(r[name], g[name], edges),
            )
        )  # fmt: skip
    figure = plots.overlay(panels, pair.labels, xlabel, "share of showers", pair.text)
    return Drawing(name, title, how_to_read, figure)


def _against_energy(
    pair: Pair, name: str, title: str, ylabel: str,
    columns: list[tuple[str, Callable[[Sample], np.ndarray]]], how_to_read: str,
) -> Drawing:  # fmt: skip
    """One panel per quantity with its mean in bins of incident energy."""
    low, high = pair.bins[0]
    edges = np.linspace(low, max(high, low + 1), PROFILE_BINS + 1)
    panels = [
        plots.Panel(
            label,
            *(plots.profile(s["energy"], take(s), edges) for s in (pair.reference, pair.generated)),
        )
        for label, take in columns
    ]
    figure = plots.overlay(panels, pair.labels, "incident energy [GeV]", ylabel, pair.text)
    return Drawing(name, title, how_to_read, figure)


def _edges(reference: np.ndarray, generated: np.ndarray, count: int) -> np.ndarray:
    """Bins that hold both samples but for a few outliers; whole numbers get whole bins."""
    both = np.concatenate([reference, generated])
    low, high = np.quantile(both, [0.002, 0.998])
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.5
    low, high = max(low - margin, min(both.min(), 0.0)), high + margin
    if np.issubdtype(both.dtype, np.integer):
        step = max(int(np.ceil((high - low) / count)), 1)
        return np.arange(np.floor(low), high + step, step) - 0.5
    return np.linspace(low, high, count + 1)


def _tests(reference: np.ndarray, generated: np.ndarray, edges: np.ndarray) -> str:
    counts = (np.histogram(values, edges)[0] for values in (reference, generated))
    chi = metrics.chi_squared(*counts)
    text = f"KS {metrics.kolmogorov(reference, generated):.2g}"
    return text if np.isnan(chi) else f"{text}, χ² {chi:.2g}"


def _occupied(counts: list[np.ndarray]) -> slice:
    """The part of the spectrum with at least one cell in 100 showers in either sample."""
    filled = np.flatnonzero(np.max([c.mean(0) for c in counts], axis=0) > 0.01)
    if not filled.size:
        return slice(0, physics.SPECTRUM_BINS)
    return slice(max(filled[0] - 2, 0), min(filled[-1] + 3, physics.SPECTRUM_BINS))
