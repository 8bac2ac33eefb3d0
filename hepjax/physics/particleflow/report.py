"""The report of MLPF beside rule-based particle flow: one page, figures, and ``scores.json``.

``scores.json`` holds plain numbers, null where there is none; momenta and energies in GeV:
  accuracy       share of the elements with the right class, by ``rule-based`` and ``MLPF``
  classes        by class: numbers of ``true`` particles, and by finder ``found``, ``efficiency``,
                 ``fake_rate`` (class none counts), ``fake_rate_of_particles``, binomial ``_error``s
  thresholded    the same of MLPF with the decision rule of the paper in place of argmax
  same_fakes     by class: ``threshold`` on its probability at which MLPF has the ``fake_rate`` of
                 rule-based particle flow, and the ``efficiency`` there
  confusion      by finder, numbers of elements by true class and found class
  resolution     by class and quantity (metrics.py) and finder: count, mean, std, median, iqr
  multiplicity   by class and finder: mean numbers, mean and std of (reco - gen) / gen, r
  missing_pt     mean by finder and ``truth``; by finder mean, std, median, iqr of reco - gen
  jets           by finder: numbers, share matched, median and iqr of the response; null without
                 fastjet
  events, elements, verdict, provenance
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from hepjax import MissingExtraError
from hepjax.physics.particleflow import event_figures, figures, jets, metrics, summary
from hepjax.physics.particleflow.drawing import FOUND, SHOWN
from hepjax.physics.particleflow.metrics import NAMES
from hepjax.report import curves, page
from hepjax.report.document import Parts, Report
from hepjax.report.inspection import Progress, no_progress

CURVES = (
    curves.LOSS,
    curves.Curves("accuracy", (("of elements", "validation", "accuracy"),)),
    curves.Curves(
        "neutral hadrons",
        (
            ("efficiency", "validation", "neutral_hadron_efficiency"),
            ("fake rate", "validation", "neutral_hadron_fake_rate"),
        ),
    ),
)
Response = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Sample:
    """The elements of some events one after another, padding left out."""

    events: int
    event: np.ndarray
    """(n,) event of each element, rising."""
    truth: np.ndarray
    """(n, 7), columns of ``formats.particleflow.columns.Particle``."""
    rule_based: np.ndarray
    """(n, 7), momenta and energies filled."""
    mlpf: np.ndarray
    """(n, 7), classes by argmax."""
    probability: np.ndarray
    """(n, 6) of each class, by MLPF."""

    @property
    def rows(self) -> figures.Rows:
        """The three tables by the names they have in figures."""
        return {"truth": self.truth, "rule-based": self.rule_based, "MLPF": self.mlpf}

    @property
    def text(self) -> str:
        """What the events are, for the head of a figure."""
        return f"{self.events:,} events, {len(self.event):,} elements"

    @cached_property
    def numbers(self) -> dict[int, dict[str, np.ndarray]]:
        """Particles of each class in each event, by class and name: (events,)."""
        return {
            label: {
                name: metrics.multiplicity(table, self.event, self.events, label)
                for name, table in self.rows.items()
            }
            for label in SHOWN
        }

    @cached_property
    def missing(self) -> dict[str, np.ndarray]:
        """Missing transverse momentum by name, (events,) GeV."""
        return {
            name: metrics.missing_pt(table, self.event, self.events)
            for name, table in self.rows.items()
        }


@dataclass(frozen=True, eq=False)
class JetSample:
    """Jets of a sample, clustered once for scores and figures."""

    scores: dict[str, Any]
    pt: dict[str, np.ndarray]
    matched: dict[str, Response]


def report(sample: Sample, progress: Progress = no_progress) -> Report:
    """Judge the candidates of some events, and cluster their jets where FastJet is installed."""
    clustered = cluster(sample, progress)
    scores = score(sample) | {"jets": None if clustered is None else clustered.scores}
    text = summary.verdict(scores)
    return Report(
        "MLPF beside rule-based particle flow", sample.text, text, scores,
        _sections(sample, clustered, scores, text), CURVES,
    )  # fmt: skip


def score(sample: Sample) -> dict[str, Any]:
    """Everything in ``scores.json`` but the jets and the words."""
    rows = sample.rows
    ids = {name: metrics.classes(table) for name, table in rows.items()}
    counts = {name: metrics.confusion(ids["truth"], ids[name]) for name in FOUND}
    by_rule = metrics.decide(sample.probability, metrics.THRESHOLDS)
    thresholded = metrics.confusion(ids["truth"], by_rule)
    labels = list(enumerate(NAMES))[1:]
    classes = {
        key: {name: metrics.class_scores(counts[name], k) for name in FOUND} for k, key in labels
    }
    return {
        "events": sample.events, "elements": len(sample.event),
        "accuracy": {name: float(np.trace(c) / max(c.sum(), 1)) for name, c in counts.items()},
        "classes": classes,
        "thresholded": {key: metrics.class_scores(thresholded, k) for k, key in labels},
        "same_fakes": {
            key: metrics.efficiency_at(
                ids["truth"] == k, sample.probability[:, k], classes[key]["rule-based"]["fake_rate"]
            )
            for k, key in labels
        },
        "confusion": counts,
        "resolution": {NAMES[k]: _resolutions(rows, k) for k in SHOWN},
        "multiplicity": {
            NAMES[k]: {
                name: metrics.multiplicity_scores(numbers["truth"], numbers[name])
                for name in FOUND
            }
            for k, numbers in sample.numbers.items()
        },
        "missing_pt": {"truth": float(sample.missing["truth"].mean())} | {
            name: {"found": float(sample.missing[name].mean())}
            | _unclipped(sample.missing[name] - sample.missing["truth"])
            for name in FOUND
        },
    }  # fmt: skip


def cluster(sample: Sample, progress: Progress = no_progress) -> JetSample | None:
    """The jets of the sample and how they compare; None without ``fastjet``."""
    found: dict[str, jets.Jets] = {}
    try:
        with progress("jets", 3, "samples") as advance:
            for name, table in sample.rows.items():
                found[name] = jets.anti_kt(table, sample.event, sample.events)
                advance(1)
    except MissingExtraError:
        return None
    compared = {name: jets.compare(found["truth"], found[name], sample.events) for name in FOUND}
    return JetSample(
        {name: scores for name, (scores, _, _) in compared.items()},
        {name: of.pt for name, of in found.items()},
        {name: (pt, response) for name, (_, pt, response) in compared.items()},
    )


def _resolutions(rows: figures.Rows, label: int) -> dict[str, Any]:
    """By quantity and finder, of the particles that all three give to the class."""
    both = metrics.common(rows["truth"], [rows[name] for name in FOUND], label)
    tables = {name: table[both] for name, table in rows.items()}
    return {
        quantity: {
            name: metrics.spread(metrics.deviation(tables["truth"], tables[name], quantity))
            for name in FOUND
        }
        for quantity in metrics.QUANTITIES
    }


def _unclipped(values: np.ndarray) -> dict[str, float]:
    low, median, high = np.percentile(values, (25, 50, 75))
    return {
        "mean": float(values.mean()), "std": float(values.std()),
        "median": float(median), "iqr": float((high - low) / metrics.TO_SIGMA),
    }  # fmt: skip


def _sections(
    sample: Sample, clustered: JetSample | None, scores: dict[str, Any], verdict: str
) -> Iterator[tuple[str, Parts]]:
    rows, text = sample.rows, sample.text
    yield "Summary", [summary.headline(scores, verdict)]
    yield (
        "Classes",
        lambda: [
            summary.class_table(scores),
            figures.confusions(scores["confusion"], text),
            figures.efficiencies(rows, text),
            summary.threshold_table(scores),
        ],
    )
    yield (
        "Momenta",
        lambda: [
            summary.resolution_table(scores),
            figures.resolutions(rows, text),
            figures.responses(rows, text),
            figures.spectra(rows, sample.events, text),
        ],
    )
    yield (
        "Events",
        lambda: [
            summary.event_tables(scores),
            event_figures.multiplicities(sample.numbers, text),
            event_figures.missing(sample.missing, text),
        ],
    )
    if clustered is None:
        yield "Jets", [page.paragraph("Left out: they need pip install 'hepjax[hep]' (fastjet).")]
    else:
        drawn = partial(
            event_figures.jet_figures, clustered.pt, clustered.matched, sample.events, text
        )
        yield "Jets", lambda: [summary.jet_table(scores["jets"]), drawn()]
