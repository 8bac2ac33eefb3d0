"""The figures of the MLPF report that are about whole events and jets."""

import numpy as np

from hepjax.formats.particleflow.columns import CLASSES
from hepjax.physics.particleflow import metrics
from hepjax.physics.particleflow.drawing import (
    COLOURS,
    FOUND,
    SHOWN,
    distributions,
    finish,
    points,
    symmetric_range,
)
from hepjax.report import layout
from hepjax.report.document import Drawing

JET_EDGES = np.array([3, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500.0])
"""GeV."""


def multiplicities(numbers: dict[int, dict[str, np.ndarray]], text: str) -> Drawing:
    """Found against true numbers of particles in each event.

    Args:
      numbers: by class and by ``COLOURS``, (events,).
    """
    figure, grid = layout.panel_grid(len(SHOWN), 3, [3.1])
    for label, (axis,) in zip(SHOWN, grid, strict=True):
        true = numbers[label]["truth"]
        for name in FOUND:
            axis.plot(true, numbers[label][name], "o", ms=3.5, alpha=0.6, color=COLOURS[name])
        ends = [true.min(), max(true.max(), true.min() + 1)]
        axis.plot(ends, ends, color=COLOURS["truth"], lw=1)
        axis.set(xlabel="true number", title=f"{CLASSES[label]}s")
        axis.set_ylabel("found number" if label == SHOWN[0] else "")
    finish(figure, text, COLOURS)
    return Drawing(
        "multiplicity", "Particles in an event",
        "One point an event; on the line the number is right.",
        figure,
    )  # fmt: skip


def missing(values: dict[str, np.ndarray], text: str) -> Drawing:
    """Missing transverse momentum, and its difference from the truth.

    Args:
      values: by ``COLOURS``, (events,) GeV.
    """
    figure, ((spectrum,), (difference,)) = layout.panel_grid(2, 2, [3.1])
    top = max(float(np.quantile(np.concatenate(list(values.values())), 0.995)), 1.0)
    distributions(spectrum, values, (0.0, top))
    spectrum.set(xlabel="missing pT [GeV]", ylabel="share of events", title="Missing pT")
    off = {name: values[name] - values["truth"] for name in FOUND}
    distributions(difference, off, symmetric_range(off.values()))
    difference.set(xlabel="missing pT, reco - gen [GeV]", title="Difference from the truth")
    finish(figure, text, COLOURS)
    return Drawing(
        "missing", "Missing transverse momentum",
        "Length of the sum of the transverse momenta of all particles of an event, pile-up "
        "included; the truth is the sum over the true particles of the elements.",
        figure,
    )  # fmt: skip


def jet_figures(
    pt: dict[str, np.ndarray], matched: dict[str, tuple[np.ndarray, np.ndarray]], events: int,
    text: str,
) -> Drawing:  # fmt: skip
    """Spectra of jets; response and resolution of those that match a true one.

    Args:
      pt: by ``COLOURS``, of all jets in GeV.
      matched: by ``FOUND`` the true pt and reco / gen, (jets,) each.
    """
    figure, ((spectrum,), (response,), (resolution,)) = layout.panel_grid(3, 3, [3.1])
    for name, values in pt.items():
        counts = np.histogram(values, JET_EDGES)[0]
        spectrum.stairs(counts / events, JET_EDGES, color=COLOURS[name], lw=1.6)
    spectrum.set(xscale="log", yscale="log", ylabel="jets / event", title="Spectrum")
    for name in FOUND:
        found = metrics.in_bins(*matched[name], JET_EDGES)
        points(response, JET_EDGES, found["median"], found["error"], name)
        points(resolution, JET_EDGES, found["iqr"] / found["median"], None, name)
    response.axhline(1, color=COLOURS["truth"], lw=1)
    response.set(xscale="log", title="Median reco / gen")
    resolution.set(xscale="log", title="IQR / 1.35 / median")
    resolution.set_ylim(bottom=0)
    for axis in (spectrum, response, resolution):
        axis.set_xlabel("pT [GeV]" if axis is spectrum else "true pT [GeV]")
    finish(figure, text, COLOURS)
    return Drawing(
        "jets", "Jets",
        "Anti-kt jets, R = 0.4, pT > 3 GeV, of all particles, each taken as massless; a found jet "
        "matches a true one within ΔR = 0.1.",
        figure,
    )  # fmt: skip
