"""Pictures of the 3DGAN report: mean and single showers, and correlations."""

import numpy as np

from hepjax.physics.calorimeter import likeness, observables
from hepjax.physics.calorimeter.figures import Pair, bin_title, edges_of
from hepjax.report import maps, plots
from hepjax.report.document import Drawing


def projections(
    pair: Pair, reference: tuple[np.ndarray, ...], generated: tuple[np.ndarray, ...]
) -> Drawing:
    """Mean showers of each bin seen along the three axes."""
    a, b, z = pair.axes
    planes = ((a, b), (a, z), (b, z))
    columns = [(plane, k, side) for k, plane in enumerate(planes) for side in range(2)]
    rows = [
        [(reference, generated)[side][k][b] for _, k, side in columns]
        for b in range(len(pair.bins))
    ]  # fmt: skip
    return Drawing(
        "projections",
        "Mean showers",
        "Mean energy summed along one axis, side by side; a row per bin of incident energy, one "
        "colour scale for all.",
        maps.pictures(
            rows, [bin_title(k, span) for k, span in enumerate(pair.bins)],
            [f"{plane[0]} {plane[1]}: {pair.labels[side]}" for plane, _, side in columns],
            [plane for plane, _, _ in columns], "mean energy [GeV]", pair.text,
        ),
    )  # fmt: skip


PICTURES = 6
"""Single showers of each sample."""


def picks(reference: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the showers to show, from low to high energy, and of their partners.

    Args:
      reference, generated: (n,), (m,) incident energies.
    """
    ours = np.argsort(reference)[np.linspace(0, len(reference) - 1, PICTURES).astype(int)]
    return ours, np.array([int(np.abs(generated - reference[i]).argmin()) for i in ours])


def single_showers(
    pair: Pair, energy: np.ndarray, reference: np.ndarray, generated: np.ndarray
) -> Drawing:
    """A few showers of both samples at the same energies, seen from the side.

    Args:
      energy: (k,) incident energies.
      reference, generated: (k, a, b, layers) showers on the grid.
    """
    rows = [list(shower.sum(2)) for shower in (reference, generated)]
    return Drawing(
        "single_showers",
        "Single showers",
        "One shower each at about the same incident energy, seen from the side. Generated showers "
        "should fluctuate like real ones and be as ragged.",
        maps.pictures(
            rows, list(pair.labels), [f"{e:.3g} GeV" for e in energy],
            [(pair.axes[0], pair.axes[2])] * len(energy), "energy [GeV]", pair.text,
        ),
    )  # fmt: skip


def correlations(pair: Pair) -> Drawing:
    """Correlation matrices and their difference."""
    r, g = (
        np.asarray(observables.correlation_matrix(s["correlated"]))
        for s in (pair.reference, pair.generated)
    )
    return Drawing(
        "correlations", "Correlations",
        "Correlation of shower quantities in percent; the right-hand matrix is the difference and "
        "should be pale.",
        maps.matrices([r, g, g - r], [*pair.labels, "difference"], names(pair), pair.text),
    )  # fmt: skip


def names(pair: Pair) -> list[str]:
    """Columns of the correlation matrix, with the axes of this calorimeter."""
    a, b, _ = pair.axes
    said = {"x": a, "y": b}
    named = [
        f"M{said.get(n[1], n[1])}{n[2]}" if n.startswith("M") else n for n in observables.CORRELATED
    ]
    return named + ["|θ-π/2|"] * (pair.reference["correlated"].shape[1] - len(named))


def diversity(pair: Pair, pictures: list[list[np.ndarray]]) -> Drawing:
    """How alike single showers of a bin of energy are.

    Args:
      pictures: of reference and generated, see ``samples.Reduced``.
    """
    similar: tuple[list[np.ndarray], ...] = ([], [])
    apart: tuple[list[np.ndarray], ...] = ([], [])
    for bin_pictures in zip(*pictures, strict=True):
        if min(map(len, bin_pictures)) < 2:
            continue
        span = float(bin_pictures[0].mean(0).max()) or 1.0
        mean = likeness.pair_distances(bin_pictures[0]).mean() or 1.0
        for k, shown in enumerate(bin_pictures):
            similar[k].append(likeness.structural_similarity(shown, span))
            apart[k].append(likeness.pair_distances(shown) / mean)
    panels = []
    for xlabel, values in (
        ("structural similarity (SSIM) of two showers", similar),
        ("distance of two showers / mean of the reference", apart),
    ):
        r, g = (np.concatenate(v) if v else np.zeros(0) for v in values)
        if len(r) == 0:
            r = g = np.zeros(1)
        edges = edges_of(r, g)
        shares = (plots.distribution(v, edges) for v in (r, g))
        panels.append(plots.Panel("", xlabel, *shares))
    return Drawing(
        "diversity", "How alike showers are",
        "Pairs of showers of about one energy, by their pictures in the plane of the last two "
        "axes. Generated showers that are too much alike lie to the right on the left and to the "
        "left on the right.",
        pair.overlay(panels, "share of pairs", columns=2),
    )  # fmt: skip
