"""Pictures of the 3DGAN report: mean and single showers, and correlations."""

import numpy as np

from hepjax.physics.calorimeter import observables
from hepjax.physics.calorimeter.figures import Pair, bin_title
from hepjax.report import maps
from hepjax.report.document import Drawing


def projections(
    pair: Pair, reference: tuple[np.ndarray, ...], generated: tuple[np.ndarray, ...]
) -> Drawing:
    """Mean showers of each bin seen along the three axes."""
    planes = ("xy", "xz", "yz")
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
            [f"{plane}: {pair.labels[side]}" for plane, _, side in columns],
            [(plane[0], plane[1]) for plane, _, _ in columns], "mean energy [GeV]", pair.text,
        ),
    )  # fmt: skip


def single_showers(
    pair: Pair, reference: np.ndarray, generated: np.ndarray, count: int = 6
) -> Drawing:
    """A few showers of both samples at the same energies, seen from the side."""
    energy = pair.reference["energy"]
    picks = np.argsort(energy)[np.linspace(0, len(energy) - 1, count).astype(int)]
    partners = [int(np.abs(pair.generated["energy"] - energy[i]).argmin()) for i in picks]
    rows = [
        [np.asarray(observables.projections(showers[i][None])[1])[0] for i in events]
        for showers, events in ((reference, picks), (generated, partners))
    ]
    return Drawing(
        "single_showers",
        "Single showers",
        "One shower each at about the same incident energy, seen from the side. Generated showers "
        "should fluctuate like real ones and be as ragged.",
        maps.pictures(
            rows, list(pair.labels), [f"{energy[i]:.0f} GeV" for i in picks], [("x", "z")] * count,
            "energy [GeV]", pair.text,
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
        maps.matrices(
            [r, g, g - r], [*pair.labels, "difference"], observables.CORRELATED, pair.text
        ),
    )  # fmt: skip
