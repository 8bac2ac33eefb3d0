"""The metrics that the field quotes for a shower generator, on two samples; slow, so on demand.

Classifier tests on cells, on cells normalised by layer and on high-level features; FPD and KPD;
precision, recall, density and coverage. Beside each stands the same number between two halves of
the reference: what a perfect generator would get at half the statistics.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.physics.calorimeter import classifier, distances, features
from hepjax.report import page

CELL_BYTES = 2**31
"""Of cells of a sample that are kept."""
TESTS = ("low", "low_normalised", "high", "high_boosted")
NAMES = {
    "low": "Classifier on cells",
    "low_normalised": "Classifier on cells, normalised by layer",
    "high": "Classifier on high-level features",
    "high_boosted": "Boosted trees on high-level features, energies over the incident one",
}


class Sample(NamedTuple):
    """What the metrics see: features of all showers, and the cells of the first ones."""

    features: np.ndarray
    """(n, features), see features.py."""
    cells: np.ndarray
    """(m, cells) GeV."""
    energy: np.ndarray
    """(n,) incident energies, GeV."""


@dataclass(frozen=True)
class Settings:
    """How much work the metrics are."""

    network: classifier.Settings = classifier.SMALL
    tests: tuple[str, ...] = TESTS
    """Which classifiers are trained."""
    seeds: int = 3
    events: int = 4_000
    """Showers whose cells the classifiers see."""
    manifold_events: int = 2_000
    """Showers of precision, recall, density and coverage."""
    fpd_events: tuple[int, int] | None = None
    """Published draws of FPD; None: a quarter to a half of the sample."""
    fpd_draws: int = 5
    kpd_events: int = 2_000
    name: str = "small"

    @property
    def steps(self) -> int:
        """Of work, for the progress."""
        return 2 * (len(self.tests) + 3)

    def most_cells(self, voxels: int) -> int:
        """Showers whose cells are kept; bounded by memory."""
        return int(min(max(self.events, self.manifold_events), CELL_BYTES // (4 * voxels)))


SMALL = Settings()
PUBLISHED = Settings(
    network=classifier.PUBLISHED,
    seeds=5,
    events=100_000,
    manifold_events=10_000,
    fpd_events=distances.FPD_EVENTS,
    fpd_draws=distances.FPD_DRAWS,
    kpd_events=distances.KPD_EVENTS,
    name="published",
)


SETTINGS = {"small": SMALL, "published": PUBLISHED}
"""By what ``--metrics`` asks for."""


def scores(
    reference: Sample, generated: Sample, calorimeter: Calorimeter, settings: Settings,
    advance: Callable[[int], object] = lambda n: None,
) -> dict[str, Any]:  # fmt: skip
    """All metrics: ``generated`` against ``reference``, and under ``halves`` two halves of it.

    Returns:
      by metric ``value`` and ``error``, and ``halves``, the same between the halves; for
      classifiers ``jsd`` too. Errors of classifiers are over seeds.
    """
    one, other = _halves(reference)
    found = _against(reference, generated, calorimeter, settings, advance)
    floor = _against(one, other, calorimeter, settings, advance)
    return {
        "settings": settings.name,
        "seeds": settings.seeds,
        **{name: value | {"halves": floor[name]} for name, value in found.items()},
    }


def _against(
    reference: Sample, generated: Sample, calorimeter: Calorimeter, settings: Settings,
    advance: Callable[[int], object],
) -> dict[str, dict[str, float]]:  # fmt: skip
    found: dict[str, dict[str, float]] = {}
    for name in settings.tests:
        classify: classifier.Classify = partial(classifier.network, settings=settings.network)
        if name.startswith("low"):
            normalised = name.endswith("normalised")
            inputs = [
                features.low_level(cells, energy, calorimeter, normalised=normalised)
                for cells, energy in (_cells(s, settings.events) for s in (reference, generated))
            ]
        else:
            inputs = [reference.features, generated.features]
        if name.endswith("boosted"):
            classify = classifier.boosted
            inputs = [features.relative_energies(x, calorimeter) for x in inputs]
        auc, error, jsd, jsd_error = classifier.over_seeds(
            classify, inputs[0], inputs[1], settings.seeds
        )
        found[name] = {"value": auc, "error": error, "jsd": jsd, "jsd_error": jsd_error}
        advance(1)
    scaled = distances.scaled(reference.features.astype(float), generated.features.astype(float))
    events = settings.fpd_events or distances.few_events(*scaled)
    found["fpd"] = distances.fpd(*scaled, events=events, draws=settings.fpd_draws)._asdict()
    advance(1)
    count = (
        settings.kpd_events if settings.fpd_events else min(settings.kpd_events, *map(len, scaled))
    )
    found["kpd"] = distances.kpd(*scaled, events=count)._asdict()
    advance(1)
    found |= _manifold(reference, generated, settings)
    advance(1)
    return found


def _cells(sample: Sample, events: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells and incident energies of the first showers."""
    cells = sample.cells[:events]
    return cells, sample.energy[: len(cells)]


def _manifold(
    reference: Sample, generated: Sample, settings: Settings
) -> dict[str, dict[str, float]]:
    """Precision, recall, density, coverage with errors: the spread over four parts, over 2."""
    most = settings.manifold_events
    logs = [distances.log_cells(s.cells[:most]) for s in (reference, generated)]
    whole = distances.prdc(logs[0], logs[1])
    parts = [distances.prdc(logs[0][k::4], logs[1][k::4]) for k in range(4)]
    error = np.std(parts, axis=0, ddof=1) / 2
    return {
        name: {"value": value, "error": float(e)}
        for (name, value), e in zip(whole._asdict().items(), error, strict=True)
    }


def _halves(sample: Sample) -> tuple[Sample, Sample]:
    """Every other shower."""
    first, second = (Sample(*(part[k::2] for part in sample)) for k in (0, 1))
    return first, second


def table(found: dict[str, Any]) -> str:
    """The metrics as HTML."""
    header = ("Metric", "generated", "two halves of the reference", "perfect", "JSD")
    rows = []
    for name, value in found.items():
        if not isinstance(value, dict):
            continue
        scale = 1e3 if name in ("fpd", "kpd") else 1.0
        jsd = f"{value['jsd']:.3f} ± {value['jsd_error']:.3f}" if "jsd" in value else "-"
        perfect = "0.5" if "jsd" in value else "0" if scale > 1 else "as the halves"
        rows.append((
            NAMES.get(name, name.upper() + " x 1000" if scale > 1 else name.capitalize()),
            *(
                f"{scale * v['value']:.3f} ± {scale * v['error']:.3f}"
                for v in (value, value["halves"])
            ),
            perfect, jsd,
        ))  # fmt: skip
    words = (
        f"Settings: {found['settings']}. Classifiers give the area under the ROC curve, mean and "
        f"standard deviation over {found['seeds']} seeds. JSD is the Jensen-Shannon divergence in "
        "units of ln 2. Precision and recall are shares of showers near the other sample; a "
        "generator without diversity loses recall and coverage."
    )
    return page.table(header, rows) + page.paragraph(words)
