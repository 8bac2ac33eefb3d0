"""The validation report of the 3DGAN: one page, the figures, and ``scores.json``.

``scores.json`` holds plain numbers, null where there is none; lower is better unless said.
  moments_shapes_total          published optimisation metric: the sum of the next two
  moments_total, shapes_total   its terms, means over the energy bins
  sampling_fraction_mre         mean relative error of the sampling fraction, the published
  sampling_fraction_mre_error   criterion of the best epoch, and its statistical error
  families                      one number per family of quantities, see ``comparison.FAMILIES``
  noise_floor                   the same numbers between two halves of the reference: perfect
                                agreement at half the statistics
  separation                    of the high-level features of the CaloChallenge, mean over layers
  noise_floor_separation        the same between two halves of the reference
  errors                        statistical errors of the above by the bootstrap
  tests                         statistical tests, with p-values adjusted for their number
  field                         classifiers, FPD, KPD, precision, recall, ..., if asked for
  similarity_reference,         mean cosine similarity of shower pairs in a bin; towards 1 when all
  similarity_generated          are alike
  bins                          per energy bin, the first is the whole sample: range, numbers of
                                showers, sampling fractions and their ratio, p-values of the
                                Kolmogorov test, scores; ``used`` false with too few showers
  plots                         with all plots one by one: score, error, p-values of each
  events_reference, events_generated, energy_range, calorimeter, labels, verdict, provenance
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.physics.calorimeter import (
    comparison,
    displays,
    field,
    figures,
    gallery,
    layers,
    likeness,
    metrics,
    response_figures,
    samples,
    significance,
)
from hepjax.physics.calorimeter.samples import Reduced, Showers
from hepjax.physics.calorimeter.summary import (
    energy_table,
    separation_table,
    summary,
    tests_table,
    verdict,
    worst_plots,
)
from hepjax.report import curves
from hepjax.report.document import Parts, Report
from hepjax.report.gallery import Plot
from hepjax.report.inspection import Progress, no_progress

CURVES = (
    curves.validation(
        "physics scores", ("sampling_fraction_mre", "moments", "shapes"), scale="log"
    ),
    curves.validation("validation losses", ("gen_loss", "real_loss", "fake_loss"), scale="log"),
)
Outputs = dict[str, np.ndarray]


def report(
    reference: dict[str, np.ndarray], generated: dict[str, np.ndarray], *,
    labels: tuple[str, str] = ("Monte Carlo", "3DGAN"), discriminator: Outputs | None = None,
    calorimeter: Calorimeter | None = None, more: field.Settings | None = None,
    gallery_workers: int = 0, progress: Progress = no_progress,
) -> Report:  # fmt: skip
    """Compare generated showers with reference showers, both in memory; see ``report_on``.

    Args:
      reference, generated: ``ecal`` (n, ``*calorimeter.shape``) GeV, ``energy`` (n,) GeV, and with
        variable angle ``theta`` (n,) rad.
      calorimeter: by default what is known of a detector whose showers have this shape.
    """
    for sample, label in ((reference, labels[0]), (generated, labels[1])):
        shape, energies = sample["ecal"].shape, sample["energy"].shape
        if len(shape) < 2 or shape[0] == 0 or energies != shape[:1]:
            raise InputError(
                f"{label}: expected showers (n, x, y, z) or (n, voxels) and as many energies, "
                f"found {shape} and {energies}"
            )
    if calorimeter is None and reference["ecal"].ndim != 4:
        calorimeter = comparison.described(reference["ecal"].shape[1:])
    pair = [
        samples.of_arrays(s["ecal"], s["energy"], s.get("theta")) for s in (reference, generated)
    ]
    return report_on(
        pair[0], pair[1], labels=labels, discriminator=discriminator, calorimeter=calorimeter,
        more=more, gallery_workers=gallery_workers, progress=progress,
    )  # fmt: skip


def report_on(
    reference: Showers, generated: Showers, *, labels: tuple[str, str],
    names: tuple[str, str] | None = None, discriminator: Outputs | None = None,
    calorimeter: Calorimeter | None = None, more: field.Settings | None = None,
    gallery_workers: int = 0, progress: Progress = no_progress,
) -> Report:  # fmt: skip
    """Compare generated showers with reference showers that pass once.

    Args:
      reference, generated: best at the same energies and angles, after the same cell threshold.
      names: of the samples in errors, such as their files; by default the labels.
      discriminator: its outputs between 0 and 1, ``reference`` (n,) and ``generated`` (m,); and
        the energies that it regresses, GeV, ``reference_energy`` and ``generated_energy``.
      more: the metrics of the field too, with these settings.
      gallery_workers: with all plots one by one, drawn by as many processes; 0 for none.
    Raises:
      InputError: samples that are empty, not finite, of different grids or without energies.
    """
    calorimeter = calorimeter or comparison.described(reference.shape)
    names = names or labels
    _check(reference, generated, names)
    if reference.shape != calorimeter.shape:
        raise InputError(
            f"{names[0]}: expected showers of {calorimeter.name} {calorimeter.shape}, "
            f"found {reference.shape}"
        )
    bins = metrics.bins_of(reference.energy, min(len(reference), len(generated)))
    _require_overlap(bins, generated.energy, names)
    picks = displays.picks(reference.energy, generated.energy)
    angles = metrics.angle_bins(reference.theta) if gallery_workers else ()
    drawn = gallery.bins_of(bins, angles)
    reduced = [
        _reduced(sample, calorimeter, bins, drawn, chosen, label, more, progress)
        for sample, chosen, label in zip((reference, generated), picks, labels, strict=True)
    ]
    one, other, axes = comparison.with_layers(reduced[0].sample, reduced[1].sample, calorimeter)
    pair = figures.Pair(one, other, bins, labels, calorimeter)
    scores = _scores(pair, axes, reduced, discriminator)
    if more is not None:
        with progress("classifiers and distances", more.steps, "steps") as advance:
            scores["field"] = field.scores(
                _field_sample(reduced[0]), _field_sample(reduced[1]), calorimeter, more, advance
            )
    text = verdict(scores, labels)
    used = tuple((b["low"], b["high"]) for b in scores["bins"] if b["used"])
    every = []
    if gallery_workers:
        every = gallery.plots_of(pair, drawn, [r.projections for r in reduced], axes)
        scores["plots"] = [_record(plot) for plot in sorted(every, key=lambda p: -p.excess)]
    pair = replace(pair, bins=used or pair.bins[:1])
    return Report(
        f"Shower validation: {labels[1]} against {labels[0]}", pair.text, text, scores,
        _sections(reduced, pair, reference.energy[picks[0]], discriminator, scores, text),
        CURVES, _best,
        "The dashed line is the best of the last ten epochs by the published criterion, the error "
        "of the sampling fraction.",
        every, max(gallery_workers, 1),
    )  # fmt: skip


def _record(plot: Plot) -> dict[str, Any]:
    """What scores.json says of a plot."""
    return {
        "name": plot.name, "family": plot.family, "bin": plot.where, "score": plot.score,
        "error": plot.error, "halves": plot.floor, "p": dict(plot.p_values),
        "adjusted": plot.adjusted,
    }  # fmt: skip


def _best(records: list[curves.Record]) -> int:
    return metrics.select_epoch([r.get("sampling_fraction_mre") for r in records])


def _check(reference: Showers, generated: Showers, labels: tuple[str, str]) -> None:
    require_two(reference, generated, labels)
    if reference.shape != generated.shape:
        raise InputError(
            f"{labels[1]}: expected the grid of {labels[0]} {reference.shape}, "
            f"found {generated.shape}"
        )
    for sample, label in zip((reference, generated), labels, strict=True):
        if not np.all(sample.energy > 0):
            raise InputError(
                f"{label}: expected finite cells and positive energies, found others; "
                "inspect the file or train again"
            )
    if (reference.theta is None) != (generated.theta is None):
        raise InputError(
            f"{labels[generated.theta is None]}: expected polar angles as in the other sample, "
            "found none"
        )


def require_two(reference: Showers, generated: Showers, names: tuple[str, str]) -> None:
    """Refuse a sample of one shower: it has no spread, and no halves that show the noise.

    Raises:
      InputError: it is named.
    """
    for sample, name in zip((reference, generated), names, strict=True):
        if len(sample) < 2:
            raise InputError(
                f"{name}: expected at least 2 showers to compare, found {len(sample)}; "
                "simulate or generate more"
            )


def _require_overlap(bins: metrics.Bins, energy: np.ndarray, labels: tuple[str, str]) -> None:
    low, high = bins[0]  # the whole sample
    if not ((energy >= low) & (energy <= high)).any():
        raise InputError(
            f"{labels[1]}: expected showers between {low:g} and {high:g} GeV as in {labels[0]}, "
            f"found {energy.min():g} to {energy.max():g} GeV"
        )


def _reduced(
    showers: Showers, calorimeter: Calorimeter, bins: metrics.Bins, drawn: list[gallery.Bin],
    picks: np.ndarray, label: str, more: field.Settings | None, progress: Progress,
) -> Reduced:  # fmt: skip
    with progress(label, len(showers), "showers") as advance:
        reduced = samples.reduce(
            showers, calorimeter,
            np.stack([bin.inside(showers.energy, showers.theta) for bin in drawn]), picks,
            similar=samples.similar_showers(showers.energy, bins),
            keep=0 if more is None else more.most_cells(calorimeter.voxels), advance=advance,
        )  # fmt: skip
    # The sum tells of any NaN or infinity.
    if not np.isfinite(reduced.sample["ecal_sum"].sum(dtype=float)):
        raise InputError(
            f"{label}: expected finite cells and positive energies, found others; "
            "inspect the file or train again"
        )
    return reduced


def _field_sample(reduced: Reduced) -> field.Sample:
    assert reduced.cells is not None
    return field.Sample(reduced.sample["features"], reduced.cells, reduced.sample["energy"])


def _scores(
    pair: figures.Pair, axes: layers.Axes, reduced: list[Reduced], discriminator: Outputs | None
) -> dict[str, Any]:
    """Everything in ``scores.json`` that is a number, the metrics of the field aside."""
    r, g, bins = pair.reference, pair.generated, pair.bins
    scores = comparison.compare(r, g, bins, axes)
    floor = comparison.totals(*comparison.halves(r), bins, axes)
    noise = floor["families"] | {k: floor[k] for k in floor if k.endswith("_total")}
    of_all, first, second = reduced[0].alike
    scores["families"]["diversity"] = metrics.mean_over_bins(np.abs(of_all - reduced[1].alike[0]))
    noise["diversity"] = metrics.mean_over_bins(np.abs(first - second))
    scores["families"] |= _likeness([r.pictures for r in reduced])
    halves = [[p[k::2] for p in reduced[0].pictures] for k in (0, 1)]
    noise |= _likeness(halves)
    if discriminator is not None:
        scores["families"] |= _judged(discriminator)
    tests = significance.tests(r, g, bins)
    for test in tests["smallest"]:
        test["bin"] = figures.bin_title(test["energy_bin"], bins[test["energy_bin"]])
    return scores | {
        "noise_floor": noise,
        "noise_floor_separation": floor["separation"],
        "errors": comparison.errors(r, g, bins, axes),
        "tests": tests,
        "similarity_reference": metrics.mean_over_bins(of_all),
        "similarity_generated": metrics.mean_over_bins(reduced[1].alike[0]),
        "events_reference": len(r["energy"]),
        "events_generated": len(g["energy"]),
        "energy_range": list(bins[0]),
        "calorimeter": pair.calorimeter.name,
        "labels": list(pair.labels),
    }


def _likeness(pictures: list[list[np.ndarray]]) -> dict[str, float]:
    """Scores of how alike the showers of a bin are, means over the bins.

    Args:
      pictures: of reference and generated, see ``Reduced``.
    """
    similar, distance = [], []
    for r, g in zip(*pictures, strict=True):
        if min(len(r), len(g)) < metrics.MIN_EVENTS // 2:
            continue
        span = float(r.mean(0).max()) or 1.0
        one, other = (likeness.structural_similarity(p, span).mean() for p in (r, g))
        similar.append(abs(one - other))
        distance.append(likeness.gromov_wasserstein(r, g))
    return {
        "ssim": metrics.mean_over_bins(similar),
        "gromov_wasserstein": metrics.mean_over_bins(distance),
    }


def _judged(outputs: Outputs) -> dict[str, float]:
    """Scores of what the discriminator says to both samples."""
    scores = {
        "real_fake": metrics.real_fake_distance(
            np.ravel(outputs["reference"]), np.ravel(outputs["generated"])
        )
    }
    if "reference_energy" in outputs:
        regressed = (np.ravel(outputs[f"{s}_energy"]) for s in ("reference", "generated"))
        scores["auxiliary"] = metrics.wasserstein(*regressed)
    return scores


def _sections(
    reduced: list[Reduced], pair: figures.Pair, energy: np.ndarray, discriminator: Outputs | None,
    scores: dict[str, Any], text: str,
) -> Iterator[tuple[str, Parts]]:  # fmt: skip
    """The page in its order; figures are drawn one by one when asked for."""
    kept = np.array([b["used"] for b in scores["bins"]])
    kept[0] |= not kept.any()
    means = (tuple(plane[: len(kept)][kept] for plane in r.projections) for r in reduced)
    yield "Summary", [summary(scores, text)]
    if "plots" in scores:
        yield "All plots", [worst_plots(scores)]
    if "field" in scores:
        yield "Metrics of the field", [field.table(scores["field"])]
    yield "Energy", lambda: [
        *response_figures.energy_response(pair), response_figures.energy_resolution(pair),
        energy_table(scores),
    ]  # fmt: skip
    yield "Mean showers", lambda: [displays.projections(pair, *means)]
    yield (
        "Single showers",
        lambda: [displays.single_showers(pair, energy, *(r.picked for r in reduced))],
    )
    yield "Shapes", figures.shapes(pair)
    yield "Moments", figures.shower_moments(pair)
    yield "Diversity", lambda: [displays.diversity(pair, [r.pictures for r in reduced])]
    yield "Longitudinal ratios", figures.longitudinal(pair)
    yield "Cells", figures.cells(pair)
    yield "Hottest cell", figures.hottest_cell(pair)
    yield "Core and tail", [figures.concentration(pair)]
    if "measured_angle" in pair.reference:
        yield "Angle", figures.measured_angles(pair)
    yield "Layers", [separation_table(scores)]
    yield "Correlations", [displays.correlations(pair)]
    yield "Tests", [tests_table(scores)]
    if discriminator is not None:
        yield "Real or fake", figures.real_or_fake(pair, discriminator)
