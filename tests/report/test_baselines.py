"""Figures of each report page beside stored ones; whoever changes one on purpose runs

    pytest -n 0 tests/report/test_baselines.py --mpl-generate-path=tests/report/baseline

and looks at the result.
"""

from functools import cache

import numpy as np
import pytest

pytest.importorskip("mplhep")
pytest.importorskip("sklearn")

import mplhep
from helpers.samples import candidates, showers, tagged
from matplotlib.legend import Legend
from matplotlib.text import Text

from hepjax.physics.calorimeter.report import report as calorimeter
from hepjax.physics.jets.report import report as jets
from hepjax.physics.particleflow.report import report as particleflow
from hepjax.report import layout
from hepjax.report.curves import LOSS, training_curve, validation
from hepjax.report.document import Drawing

# Text is hidden, and legends, which are as wide as it: every freetype draws text differently.
# Lines 10 % away give a difference of 5 or more.
compared = pytest.mark.mpl_image_compare(
    tolerance=2, style=[mplhep.style.ATLAS, layout.RC], savefig_kwargs={"dpi": 40}, remove_text=True
)
FIGURES = {
    "calorimeter": ("sampling_fraction", "profile_z", "sparsity", "projections", "correlations"),
    "jets": ("roc", "scores", "pt", "images"),
    "particleflow": ("confusion", "efficiency", "resolution", "spectra", "multiplicity"),
}


REPORTS = {
    "calorimeter": lambda: calorimeter(showers(0), showers(1, scale=1.2)),
    "jets": lambda: jets(tagged()),
    "particleflow": lambda: particleflow(candidates()),
}


@cache
def drawn(page):
    """All figures of a page by name."""
    with layout.style():
        sections = (parts for _, parts in REPORTS[page]().sections)
        parts = [part for made in sections for part in (made() if callable(made) else made)]
    return {part.name: part.figure for part in parts if isinstance(part, Drawing)}


def without_text(figure):
    for artist in [*figure.findobj(Text), *figure.findobj(Legend)]:
        artist.set_visible(False)
    return figure


@pytest.mark.parametrize(("page", "name"), [(p, n) for p, names in FIGURES.items() for n in names])
@compared
def test_figure(page, name):
    return without_text(drawn(page)[name])


@compared
def test_training_curve():
    history = [{"event": "train", "epoch": k / 4, "loss": 2 / k} for k in range(1, 17)]
    history += [
        {"event": "validation", "epoch": k, "loss": 0.6 / k, "auc": 1 - 0.2 / k}
        for k in np.arange(1.0, 5.0)
    ]
    panels = (LOSS, validation("AUC", ("auc",)))
    with layout.style():
        return without_text(training_curve(panels, history, best=lambda records: 2))
