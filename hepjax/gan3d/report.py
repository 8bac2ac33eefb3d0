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

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hepjax.errors import InputError
from hepjax.gan3d import comparison, figures, metrics
from hepjax.gan3d.comparison import FAMILIES, Sample
from hepjax.report import page, plots
from hepjax.report.scores import plain, write_scores

Showers = dict[str, np.ndarray]

SIGNIFICANT = 2.0
"""A score above this many times the noise floor counts as a real difference."""
HISTORY_SCORES = ("sampling_fraction_mre", "moments", "shapes")
HISTORY_LOSSES = ("gen_loss", "real_loss", "fake_loss")


def build_report(
    reference: Showers, generated: Showers, out: Path, *,
    labels: tuple[str, str] = ("Monte Carlo", "3DGAN"), run_config: str | None = None,
    provenance: dict[str, Any] | None = None, discriminator: Showers | None = None,
    history: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write ``index.html``, ``scores.json`` and ``figures/*.png`` into ``out``; return the scores.

    Args:
      reference, generated: ``ecal`` (n, x, y, z) GeV and ``energy`` (n,) GeV, best at the same
        energies and after the same cell threshold.
      out: folder; its files are put there once all are written.
      run_config: the configuration of the run as text, shown on the page.
      provenance: what made the samples; shown and kept in the scores.
      discriminator: its outputs between 0 and 1, ``reference`` (n,) and ``generated`` (m,).
      history: records of the run; those with ``event`` "validation" are drawn by epoch.
    Raises:
      InputError: an empty sample, different grids, energies that do not match the showers.
    """
    _check(reference, generated, labels)
    samples = tuple(comparison.quantities(s["ecal"], s["energy"]) for s in (reference, generated))
    low, high = np.floor(samples[0]["energy"].min()), np.ceil(samples[0]["energy"].max())
    bins = metrics.energy_bins(low, high, min(len(s["energy"]) for s in samples))
    scores = _scores(reference, generated, samples, bins, discriminator)
    scores |= {"energy_range": [low, high], "labels": list(labels)}
    scores |= {"verdict": verdict(scores, labels), "provenance": provenance or {}}

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
        building = Path(folder) / "report"
        (building / "figures").mkdir(parents=True)
        sections = _sections(
            building / "figures", reference, generated, samples, scores, discriminator, history
        )
        sections += [_about(run_config, scores)]
        subtitle = f"{labels[1]} against {labels[0]}: {len(samples[1]['energy']):,} and "
        subtitle += f"{len(samples[0]['energy']):,} showers, {low:g}-{high:g} GeV"
        page.write_page(building / "index.html", page.page("Shower validation", subtitle, sections))
        write_scores(building / "scores.json", scores)
        _publish(building, out)
    return plain(scores)


def verdict(scores: dict[str, Any], labels: tuple[str, str]) -> str:
    """What the scores say, in three sentences made of their numbers."""
    mre, error = scores["sampling_fraction_mre"], scores["sampling_fraction_mre_error"]
    used = [b for b in scores["bins"][1:] if b["used"]]
    text = f"The sampling fraction of {labels[1]} is off by {mre:.1%} ± {error:.1%} on average"
    if used:
        far = max(used, key=lambda b: abs(b["sampling_fraction_ratio"] - 1))
        centre, ratio = (far["low"] + far["high"]) / 2, far["sampling_fraction_ratio"]
        text += f" (furthest at {centre:g} GeV: {ratio:.3f} of {labels[0]}"
        text += f" ± {far['sampling_fraction_ratio_error']:.3f})"
    floor = scores["noise_floor"]
    excess = {n: s / floor[n] for n, s in scores["families"].items() if _finite(s, floor.get(n))}
    close = [name for name, times in excess.items() if times <= SIGNIFICANT]
    text += (
        f". Moments and shapes differ by {scores['moments_shapes_total']:.3g} in total; two halves "
        f"of {labels[0]} differ by {floor['moments_shapes_total']:.3g}. "
        f"{len(close)} of {len(excess)} families agree within {SIGNIFICANT:g} times that noise"
    )
    worst = sorted(set(excess) - set(close), key=lambda name: -excess[name])[:3]
    if worst:
        text += "; furthest beyond it: "
        text += ", ".join(f"{n.replace('_', ' ')} ({excess[n]:.3g} times)" for n in worst)
    return text + "."


def _check(reference: Showers, generated: Showers, labels: tuple[str, str]) -> None:
    for sample, label in zip((reference, generated), labels, strict=True):
        shape, energies = sample["ecal"].shape, sample["energy"].shape
        if len(shape) != 4 or shape[0] == 0 or energies != shape[:1]:
            raise InputError(
                f"{label}: expected showers (n, x, y, z) and as many energies, "
                f"found {shape} and {energies}"
            )
    grids = reference["ecal"].shape[1:], generated["ecal"].shape[1:]
    if grids[0] != grids[1]:
        raise InputError(
            f"{labels[1]}: expected the grid of {labels[0]} {grids[0]}, found {grids[1]}"
        )


def _scores(
    reference: Showers, generated: Showers, samples: tuple[Sample, ...], bins: metrics.Bins,
    discriminator: Showers | None,
) -> dict[str, Any]:  # fmt: skip
    scores = comparison.compare(*samples, bins)
    floor = comparison.compare(*comparison.halves(samples[0]), bins)
    noise = floor["families"] | {
        name: floor[name] for name in ("moments_shapes_total", "moments_total", "shapes_total")
    }
    similar = [comparison.similarity(s["ecal"], s["energy"], bins) for s in (reference, generated)]
    part = [
        comparison.similarity(reference["ecal"][k::2], reference["energy"][k::2], bins)
        for k in range(2)
    ]
    scores["families"]["diversity"] = metrics.mean_over_bins(np.abs(similar[0] - similar[1]))
    noise["diversity"] = metrics.mean_over_bins(np.abs(part[0] - part[1]))
    if discriminator is not None:
        scores["families"]["real_fake"] = metrics.real_fake_distance(
            np.ravel(discriminator["reference"]), np.ravel(discriminator["generated"])
        )
    return scores | {
        "noise_floor": noise,
        "similarity_reference": metrics.mean_over_bins(similar[0]),
        "similarity_generated": metrics.mean_over_bins(similar[1]),
        "events_reference": len(reference["ecal"]),
        "events_generated": len(generated["ecal"]),
    }


def _sections(
    folder: Path, reference: Showers, generated: Showers, samples: tuple[Sample, ...],
    scores: dict[str, Any], discriminator: Showers | None, history: list[dict[str, Any]] | None,
) -> list[page.Section]:  # fmt: skip
    labels = scores["labels"][0], scores["labels"][1]
    used = tuple((b["low"], b["high"]) for b in scores["bins"] if b["used"])
    pair = figures.Pair(
        *samples, used or ((scores["bins"][0]["low"], scores["bins"][0]["high"]),), labels
    )

    def drawn(drawings: Iterator[figures.Drawing]) -> str:
        pieces = []
        for drawing in drawings:
            picture = plots.png(drawing.figure)
            (folder / f"{drawing.name}.png").write_bytes(picture)
            pieces.append(page.figure(picture, drawing.title, drawing.how_to_read))
        return "".join(pieces)

    with plots.style():
        means = [
            comparison.mean_projections(s["ecal"], s["energy"], pair.bins)
            for s in (reference, generated)
        ]
        displays = drawn(figures.projections(pair, *means))
        displays += drawn(figures.single_showers(pair, reference["ecal"], generated["ecal"]))
        sections = [
            page.Section("Summary", _summary(scores)),
            page.Section("Energy", drawn(figures.energy_response(pair)) + _energy_table(scores)),
            page.Section("Showers", displays),
            page.Section("Shapes", drawn(figures.shapes(pair))),
            page.Section("Moments", drawn(figures.shower_moments(pair))),
            page.Section("Longitudinal ratios", drawn(figures.longitudinal(pair))),
            page.Section("Cells", drawn(figures.cells(pair))),
            page.Section("Hottest cell", drawn(figures.hottest_cell(pair))),
            page.Section("Correlations", drawn(figures.correlations(pair))),
        ]
        if discriminator is not None:
            body = drawn(figures.real_or_fake(pair, discriminator))
            sections.append(page.Section("Real or fake", body))
        training = _training(history or [])
        if training is not None:
            sections.append(page.Section("Training", drawn(training)))
    return sections


def _summary(scores: dict[str, Any]) -> str:
    floor = scores["noise_floor"]
    headline = [
        (
            "Sampling fraction",
            f"{_percent(scores['sampling_fraction_mre'])} ± {_percent(scores['sampling_fraction_mre_error'])}",
            "published mean relative error over energy bins",
        ),
        (
            "Moments",
            f"{scores['moments_total']:.3g}",
            f"published term; two halves of the reference: {floor['moments_total']:.2g}",
        ),
        (
            "Shapes",
            f"{scores['shapes_total']:.3g}",
            f"published term; two halves of the reference: {floor['shapes_total']:.2g}",
        ),
        (
            "Moments + shapes",
            f"{scores['moments_shapes_total']:.3g}",
            f"published total; two halves of the reference: {floor['moments_shapes_total']:.2g}",
        ),
    ]
    rows = []
    for name, meaning in FAMILIES.items():
        if name not in scores["families"]:
            continue
        score, noise = scores["families"][name], floor.get(name, np.nan)
        known = _finite(score, noise)
        word = ("agrees" if score <= SIGNIFICANT * noise else "differs") if known else "-"
        times = f"{score / noise:.2g}" if known else "-"
        rows.append((meaning, f"{score:.3g}", f"{noise:.2g}" if known else "-", times, word))
    header = ("Family: what its score is (0 is perfect)", "score", "noise floor", "ratio", "")
    explanation = (
        "The noise floor is the same score between two halves of the reference: what perfect "
        f"agreement gives at half the statistics. A family agrees if its score is within "
        f"{SIGNIFICANT:g} times the floor. Scores are means over bins of incident energy."
    )
    return (
        page.cards(headline) + page.verdict(scores["verdict"])
        + page.table(header, rows) + page.paragraph(explanation)
    )  # fmt: skip


def _energy_table(scores: dict[str, Any]) -> str:
    reference, generated = scores["labels"]
    header = (
        "incident energy", f"{reference} showers", f"{generated} showers",
        f"{reference} [%]", f"{generated} [%]", "ratio", "KS visible energy", "KS hits",
    )  # fmt: skip
    rows = []
    for k, b in enumerate(scores["bins"]):
        row = [
            figures.bin_title(k, (b["low"], b["high"])),
            *(f"{b[f'events_{s}']:,}" for s in ("reference", "generated")),
        ]
        if b["used"]:
            for name in ("reference", "generated"):
                value, error = (100 * b[f"sampling_fraction_{name}{end}"] for end in ("", "_error"))
                row.append(f"{value:.3f} ± {error:.3f}")
            row.append(
                f"{b['sampling_fraction_ratio']:.3f} ± {b['sampling_fraction_ratio_error']:.3f}"
            )
            row += [f"{b['ks_ecal_sum']:.2g}", f"{b['ks_hits']:.2g}"]
        else:
            row += ["too few", "-", "-", "-", "-"]
        rows.append(row)
    return page.paragraph("Sampling fraction in bins of incident energy:") + page.table(
        header, rows
    )


def _training(history: list[dict[str, Any]]) -> Iterator[figures.Drawing] | None:
    records = [r for r in history if r.get("event") == "validation"]
    if not records:
        return None

    def series(names: tuple[str, ...]) -> dict[str, np.ndarray]:
        present = [name for name in names if any(r.get(name) is not None for r in records)]
        return {n: np.array([r.get(n, np.nan) for r in records], float) for n in present}

    epochs = np.array([r["epoch"] for r in records], float)
    criterion = [r.get(HISTORY_SCORES[0]) for r in records]
    chosen = epochs[metrics.select_epoch(criterion)]
    text = f"{len(records)} epochs, best {chosen:g}"
    return figures.training(epochs, series(HISTORY_SCORES), series(HISTORY_LOSSES), chosen, text)


def _about(run_config: str | None, scores: dict[str, Any]) -> page.Section:
    rows = [(key, str(value)) for key, value in scores["provenance"].items()]
    body = page.table(("provenance", ""), rows) if rows else ""
    if run_config:
        body += page.paragraph("Configuration of the run:") + page.code(run_config)
    body += page.paragraph("Scores as numbers: scores.json; figures: figures/*.png.")
    return page.Section("Configuration", body)


def _publish(building: Path, out: Path) -> None:
    """Move the finished files into place one by one; whatever else is in ``out`` stays."""
    (out / "figures").mkdir(parents=True, exist_ok=True)
    for path in sorted(building.rglob("*.*"), reverse=True):
        os.replace(path, out / path.relative_to(building))


def _finite(score: float, noise: float | None) -> bool:
    return noise is not None and bool(np.isfinite(score) and np.isfinite(noise) and noise > 0)


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %" if abs(value) < 0.1 else f"{100 * value:.1f} %"
