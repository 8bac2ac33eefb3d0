"""The validation report of the 3DGAN: one page, the figures, and ``scores.json``.

``scores.json`` holds plain numbers, null where there is none; lower is better unless said.
  moments_shapes_total          published optimisation metric: the sum of the next two
  moments_total, shapes_total   its terms, means over the energy bins
  sampling_fraction_mre         mean relative error of the sampling fraction, the published
  sampling_fraction_mre_error   criterion of the best epoch, and its statistical error
  families                      one number per family of quantities, see ``comparison.FAMILIES``
  noise_floor                   the same numbers between two halves of the reference: perfect
                                agreement at half the statistics
  similarity_reference,         mean cosine similarity of shower pairs in a bin; towards 1 when all
  similarity_generated          are alike
  bins                          per energy bin, the first is the whole sample: range, numbers of
                                showers, sampling fractions and their ratio, p-values of the
                                Kolmogorov test, scores; ``used`` false with too few showers
  events_reference, events_generated, energy_range, labels, verdict, provenance
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.physics.calorimeter import comparison, displays, figures, metrics
from hepjax.physics.calorimeter.summary import energy_table, summary, verdict
from hepjax.report import curves
from hepjax.report.document import Parts, Report

Showers = dict[str, np.ndarray]
"""``ecal`` (n, x, y, z) GeV and ``energy`` (n,) GeV."""
CURVES = (
    curves.validation(
        "physics scores", ("sampling_fraction_mre", "moments", "shapes"), scale="log"
    ),
    curves.validation("validation losses", ("gen_loss", "real_loss", "fake_loss"), scale="log"),
)


def report(
    reference: Showers, generated: Showers, *,
    labels: tuple[str, str] = ("Monte Carlo", "3DGAN"), discriminator: Showers | None = None,
) -> Report:  # fmt: skip
    """Compare generated showers with reference showers.

    Args:
      reference, generated: best at the same energies and after the same cell threshold.
      discriminator: its outputs between 0 and 1, ``reference`` (n,) and ``generated`` (m,).
    Raises:
      InputError: samples that are empty, not finite, of different grids or without energies.
    """
    _check(reference, generated, labels)
    bins = _bins(reference["energy"], generated["energy"])
    _require_overlap(bins, generated["energy"], labels)
    pair = figures.Pair(
        comparison.quantities(reference["ecal"], reference["energy"]),
        comparison.quantities(generated["ecal"], generated["energy"]),
        bins=bins,
        labels=labels,
    )
    scores = _scores(reference, generated, pair, discriminator)
    text = verdict(scores, labels)
    used = tuple((b["low"], b["high"]) for b in scores["bins"] if b["used"])
    pair = replace(pair, bins=used or pair.bins[:1])
    return Report(
        f"Shower validation: {labels[1]} against {labels[0]}", pair.text, text, scores,
        _sections(reference, generated, pair, discriminator, scores, text), CURVES, _best,
        "The dashed line is the best of the last ten epochs by the published criterion, the error "
        "of the sampling fraction.",
    )  # fmt: skip


def _best(records: list[curves.Record]) -> int:
    return metrics.select_epoch([r.get("sampling_fraction_mre") for r in records])


def _check(reference: Showers, generated: Showers, labels: tuple[str, str]) -> None:
    if len(reference["ecal"]) == 1:
        raise InputError(
            f"{labels[0]}: expected at least 2 showers, whose halves show the noise, found 1"
        )
    for sample, label in zip((reference, generated), labels, strict=True):
        shape, energies = sample["ecal"].shape, sample["energy"].shape
        if len(shape) != 4 or shape[0] == 0 or energies != shape[:1]:
            raise InputError(
                f"{label}: expected showers (n, x, y, z) and as many energies, "
                f"found {shape} and {energies}"
            )
        # The sum tells of any NaN or infinity without a copy of the sample.
        if not np.isfinite(sample["ecal"].sum(dtype=float)) or not np.all(sample["energy"] > 0):
            raise InputError(
                f"{label}: expected finite cells and positive energies, found others; "
                "inspect the file or train again"
            )
    grids = reference["ecal"].shape[1:], generated["ecal"].shape[1:]
    if grids[0] != grids[1]:
        raise InputError(
            f"{labels[1]}: expected the grid of {labels[0]} {grids[0]}, found {grids[1]}"
        )


def _require_overlap(bins: metrics.Bins, energy: np.ndarray, labels: tuple[str, str]) -> None:
    low, high = bins[0]  # the whole sample
    if not ((energy >= low) & (energy <= high)).any():
        raise InputError(
            f"{labels[1]}: expected showers between {low:g} and {high:g} GeV as in {labels[0]}, "
            f"found {energy.min():g} to {energy.max():g} GeV"
        )


def _bins(reference: np.ndarray, generated: np.ndarray) -> metrics.Bins:
    low = float(np.floor(reference.min()))
    high = max(float(np.ceil(reference.max())), low + 1.0)  # all showers of one energy
    return metrics.energy_bins(low, high, min(len(reference), len(generated)))


def _scores(
    reference: Showers, generated: Showers, pair: figures.Pair, discriminator: Showers | None
) -> dict[str, Any]:
    """Everything in ``scores.json`` that is a number."""
    scores = comparison.compare(pair.reference, pair.generated, pair.bins)
    half, other = comparison.halves(pair.reference)
    floor = comparison.compare(half, other, pair.bins)
    noise = floor["families"] | {k: floor[k] for k in floor if k.endswith("_total")}

    def similarity(sample: Showers, start: int = 0, step: int = 1) -> np.ndarray:
        part = slice(start, None, step)
        return comparison.similarity(sample["ecal"][part], sample["energy"][part], pair.bins)

    alike_r, alike_g = similarity(reference), similarity(generated)
    scores["families"]["diversity"] = metrics.mean_over_bins(np.abs(alike_r - alike_g))
    noise["diversity"] = metrics.mean_over_bins(
        np.abs(similarity(reference, 0, 2) - similarity(reference, 1, 2))
    )
    if discriminator is not None:
        scores["families"]["real_fake"] = metrics.real_fake_distance(
            np.ravel(discriminator["reference"]), np.ravel(discriminator["generated"])
        )
    return scores | {
        "noise_floor": noise,
        "similarity_reference": metrics.mean_over_bins(alike_r),
        "similarity_generated": metrics.mean_over_bins(alike_g),
        "events_reference": len(reference["ecal"]),
        "events_generated": len(generated["ecal"]),
        "energy_range": list(pair.bins[0]),
        "labels": list(pair.labels),
    }


def _sections(
    reference: Showers, generated: Showers, pair: figures.Pair, discriminator: Showers | None,
    scores: dict[str, Any], text: str,
) -> Iterator[tuple[str, Parts]]:  # fmt: skip
    """The page in its order; figures are drawn one by one when asked for."""
    means = (
        comparison.mean_projections(s["ecal"], s["energy"], pair.bins)
        for s in (reference, generated)
    )
    yield "Summary", [summary(scores, text)]
    yield "Energy", [*figures.energy_response(pair), energy_table(scores)]
    yield "Mean showers", [displays.projections(pair, *means)]
    yield "Single showers", [displays.single_showers(pair, reference["ecal"], generated["ecal"])]
    yield "Shapes", figures.shapes(pair)
    yield "Moments", figures.shower_moments(pair)
    yield "Longitudinal ratios", figures.longitudinal(pair)
    yield "Cells", figures.cells(pair)
    yield "Hottest cell", figures.hottest_cell(pair)
    yield "Correlations", [displays.correlations(pair)]
    if discriminator is not None:
        yield "Real or fake", [figures.real_or_fake(pair, discriminator)]
