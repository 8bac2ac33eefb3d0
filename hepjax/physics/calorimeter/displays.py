"""Pictures of the 3DGAN report: mean and single showers, correlations, the course of training."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from hepjax.physics.calorimeter import metrics, observables
from hepjax.physics.calorimeter.figures import Pair, bin_title
from hepjax.report import maps, plots
from hepjax.report.document import Drawing

HISTORY_SCORES = ("sampling_fraction_mre", "moments", "shapes")
HISTORY_LOSSES = ("gen_loss", "real_loss", "fake_loss")


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
        maps.pictures(
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
        [np.asarray(observables.projections(showers[i][None])[1])[0] for i in events]
        for showers, events in ((reference, picks), (generated, partners))
    ]
    yield Drawing(
        "single_showers",
        "Single showers",
        "One shower each at about the same incident energy, seen from the side. Generated showers "
        "should fluctuate like real ones and be as ragged.",
        maps.pictures(
            rows, list(pair.labels), [f"{energy[i]:.0f} GeV" for i in picks], [("x", "z")] * count,
            "energy [GeV]", pair.text,
        ),
    )  # fmt: skip


def correlations(pair: Pair) -> Iterator[Drawing]:
    """Correlation matrices and their difference."""
    r, g = (
        np.asarray(observables.correlation_matrix(s["correlated"]))
        for s in (pair.reference, pair.generated)
    )
    yield Drawing(
        "correlations", "Correlations",
        "Correlation of shower quantities in percent; the right-hand matrix is the difference and "
        "should be pale.",
        maps.matrices(
            [r, g, g - r], [*pair.labels, "difference"], observables.CORRELATED, pair.text
        ),
    )  # fmt: skip


def training(records: list[dict[str, Any]]) -> Iterator[Drawing]:
    """Scores and losses after each epoch, from the validation records of a run."""
    epochs = np.array([record["epoch"] for record in records], float)
    groups = (("physics scores", HISTORY_SCORES), ("validation losses", HISTORY_LOSSES))
    panels = []
    for title, names in groups:
        present = [name for name in names if any(r.get(name) is not None for r in records)]
        curves = [
            (n, epochs, np.array([r.get(n, np.nan) for r in records], float)) for n in present
        ]
        if curves:
            panels.append((title, curves, "log"))
    chosen = epochs[metrics.select_epoch([r.get(HISTORY_SCORES[0]) for r in records])]
    yield Drawing(
        "training", "Scores and losses after each epoch",
        "On the validation showers. The dashed line is the best of the last ten epochs by the "
        "published criterion, the error of the sampling fraction.",
        plots.lines(panels, "epoch", f"{len(records)} epochs, best {chosen:g}", marked=chosen),
    )  # fmt: skip
