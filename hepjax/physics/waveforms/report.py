"""The report on anomalous pulses: efficiencies at fixed background, beside baseline and ceiling."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.formats.waveforms.layout import ANOMALIES, KINDS
from hepjax.physics.waveforms import principal, scores
from hepjax.physics.waveforms.ceiling import log_ratio
from hepjax.physics.waveforms.judged import Judged
from hepjax.physics.waveforms.noise import chi2
from hepjax.report import layout, page, plots
from hepjax.report.curves import LOSS, validation
from hepjax.report.document import Drawing, Parts, Report

BACKGROUNDS = (1e-2, 1e-3, 1e-4)
FEWEST_ABOVE = 5
"""Normal pulses above a threshold at least, or else it is not stated."""
AREA_BINS = 8
FEWEST_NORMAL = 200
RATIO_NORMAL = 6000
"""Normal pulses that set the threshold of the likelihood ratio of the waveform."""
OF_MULTI = ("likelihood_ratio", "ceiling")
"""Scores that know of a second scatter alone."""
SCORES = {
    "combined": "autoencoder: all below, combined",
    "chi2": "autoencoder: chi2, both tails",
    "coarse": "autoencoder: chi2 of sums of 8 samples",
    "spike": "autoencoder: largest sum of 4 samples",
    "bump": "autoencoder: largest sum of 96 samples",
    "kl": "autoencoder: KL",
    "chi2_raw": "autoencoder: chi2, upper tail, not calibrated in the area",
    "pca_chi2": "PCA: chi2",
    "pca_squared": "PCA: squared error",
    "likelihood_ratio": "likelihood ratio of the waveform, all parameters known",
    "ceiling": "likelihood ratio of the electrons (exact ceiling)",
}


@dataclass(frozen=True)
class Split:
    """Normal pulses: those that calibrate scores, and those that set thresholds."""

    calibrate: np.ndarray
    cut: np.ndarray


def report(
    judged: Judged, excess: float, noise: float, components: int,
    passed: dict[str, Any] | None = None,
) -> Report:  # fmt: skip
    """The report on pulses, of which kind 0 are normal.

    Args:
      excess, noise: of the variance, see ``noise.variance``.
      components: of the linear baseline, as many as the network has latents.
      passed: coverage and drift of a single pass.
    Raises:
      InputError: too few normal pulses.
    """
    normal = judged.of("normal")
    if len(normal) < FEWEST_NORMAL:
        raise InputError(
            f"normal pulses: expected at least {FEWEST_NORMAL} to set thresholds with, found "
            f"{len(normal)}; give more with --data"
        )
    split = Split(normal[::2], normal[1::2])
    values = all_scores(judged, split, excess, noise, components)
    found = efficiencies(judged, split, values)
    by_area = chi2_by_area(judged, split.cut)
    numbers: dict[str, Any] = {
        "pulses": len(judged.kind), "normal": len(normal),
        "kinds": {name: len(judged.of(name)) for name in judged.kinds},
        "efficiency": found, "chi2_by_area": by_area,
        "correlation_with_log_area": {
            name: float(np.corrcoef(v[split.cut], np.log(judged.area[split.cut]))[0, 1])
            for name, v in values.items() if name not in OF_MULTI
        },
    }  # fmt: skip
    if passed is not None:
        numbers["pass"] = passed
    return Report(
        "Anomalous waveforms",
        f"{len(judged.kind):,} pulses, {len(normal):,} of them normal",
        _verdict(judged, found, by_area), numbers,
        _sections(judged, split, values, numbers),
        curves=(LOSS, validation("chi2 a sample", ("chi2",)), validation("KL [nats]", ("kl",))),
    )  # fmt: skip


def all_scores(
    judged: Judged, split: Split, excess: float, noise: float, components: int
) -> dict[str, np.ndarray]:
    """Every score (n,) of every pulse; more is more anomalous."""
    area, calibrate = judged.area, split.calibrate
    known = scores.backgrounds({name: v[calibrate] for name, v in judged.found.items()})
    p_values = scores.p_values(known, judged.found)
    linear = principal.fit(judged.waveform[calibrate], area[calibrate], components)
    expected = principal.expected(linear, judged.waveform, area)
    values = {
        "combined": scores.combined(known, judged.found),
        **{name: -np.log(p) for name, p in p_values.items()}, "chi2_raw": judged.found["chi2"],
        "pca_chi2": chi2(judged.waveform, expected, excess, noise) / judged.waveform.shape[1],
        "pca_squared": (((judged.waveform - expected) / area[:, None]) ** 2).sum(1),
    }  # fmt: skip
    multi = judged.of("multi")
    if judged.truth is not None and len(multi):
        rows = np.concatenate([split.cut[:RATIO_NORMAL], multi])
        values["likelihood_ratio"] = np.full(len(area), np.nan)
        truth = {name: column[rows] for name, column in judged.truth.items()}
        values["likelihood_ratio"][rows] = log_ratio(judged.waveform[rows], truth)
        values["ceiling"] = np.asarray(judged.truth["ratio"])
    return values


def efficiencies(
    judged: Judged, split: Split, values: dict[str, np.ndarray]
) -> dict[str, dict[str, dict[str, tuple[float, float]]]]:
    """By score, background and anomaly: efficiency and its binomial error."""
    found: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
    for name, score in values.items():
        normal = score[split.cut]
        normal = normal[np.isfinite(normal)]
        kinds = ["multi"] if name in OF_MULTI else judged.kinds
        found[name] = {}
        for background in BACKGROUNDS:
            if background * len(normal) < FEWEST_ABOVE:
                continue
            cut = scores.threshold(normal, background)
            found[name][f"{background:g}"] = {
                kind: scores.efficiency(score[judged.of(kind)], cut) for kind in kinds
            }
    return found


def chi2_by_area(judged: Judged, rows: np.ndarray) -> list[dict[str, float]]:
    """Mean chi2 a sample of normal pulses with its error, in bins of area of as many pulses."""
    order = rows[np.argsort(judged.area[rows])]
    return [
        {
            "area_low": float(judged.area[part].min()), "area_high": float(judged.area[part].max()),
            "chi2": float(judged.found["chi2"][part].mean()),
            "error": float(judged.found["chi2"][part].std() / len(part) ** 0.5),
        }
        for part in np.array_split(order, AREA_BINS)
    ]  # fmt: skip


def _verdict(judged: Judged, found: dict[str, Any], by_area: list[dict[str, float]]) -> str:
    low, high = min(b["chi2"] for b in by_area), max(b["chi2"] for b in by_area)
    words = f"chi2 a sample of normal pulses is {low:.3f} to {high:.3f} over the bins of area."
    stated = [b for b in ("0.001", "0.01") if b in found["combined"]]
    if not judged.kinds or not stated:
        return words
    shares = ", ".join(f"{k} {found['combined'][stated[0]][k][0]:.2f}" for k in judged.kinds)
    return f"Found at a background of {stated[0]}: {shares} (all scores combined). {words}"


def _sections(
    judged: Judged, split: Split, values: dict[str, np.ndarray], numbers: dict[str, Any]
) -> Iterator[tuple[str, Parts]]:
    if judged.kinds:
        yield "Efficiencies", list(_tables(judged, numbers))
        rows = [(name, f"{ANOMALIES[name]}; {len(judged.of(name)):,} pulses")
                for name in judged.kinds]  # fmt: skip
        yield "Anomalies", [page.table(("", ""), rows)]
        yield "Efficiency against background", lambda: [_curves(judged, split, values)]
    yield "Normal pulses", lambda: [_by_area(numbers["chi2_by_area"])]
    yield "Pulses", lambda: [_pulses(judged)]
    if "pass" in numbers:
        yield "The pass", _passed(numbers["pass"])


def _tables(judged: Judged, numbers: dict[str, Any]) -> Iterator[str]:
    correlations = numbers["correlation_with_log_area"]
    for background in (f"{b:g}" for b in BACKGROUNDS):
        rows = []
        for name, words in SCORES.items():
            found = numbers["efficiency"].get(name, {}).get(background)
            if found is None:
                continue
            cells = [f"{found[k][0]:.3f} ± {found[k][1]:.3f}" if k in found else ""
                     for k in judged.kinds]  # fmt: skip
            related = f"{correlations[name]:+.2f}" if name in correlations else ""
            rows.append((words, *cells, related))
        if rows:
            head = f"efficiency at a background of {background}"
            yield page.table((head, *judged.kinds, "correlation with log area"), rows)
    yield page.paragraph(
        "Thresholds and errors: half of the normal pulses calibrate scores and fit the PCA, the "
        "other half sets thresholds. Both likelihood ratios know the true width, charge and "
        "separation of each pulse. The ceiling also sees each electron arrive: no score of the "
        "waveform can find more."
    )


def _curves(judged: Judged, split: Split, values: dict[str, np.ndarray]) -> Drawing:
    axis = np.geomspace(max(1e-4, FEWEST_ABOVE / len(split.cut)), 1, 40)
    panels = []
    for kind in judged.kinds:
        curves = []
        for name in ("combined", "chi2", "kl", "pca_chi2"):
            cuts = [scores.threshold(values[name][split.cut], b) for b in axis]
            share = [float((values[name][judged.of(kind)] > cut).mean()) for cut in cuts]
            curves.append((name, np.log10(axis), np.array(share)))
        panels.append((kind, curves, "linear"))
    figure = plots.lines(panels, "log10 of the background", f"{len(split.cut):,} normal pulses")
    return Drawing(
        "efficiency", "Efficiency against background",
        "Each panel is a kind of anomaly. A score that finds nothing lies on the background.",
        figure,
    )  # fmt: skip


def _by_area(bins: list[dict[str, float]]) -> Drawing:
    figure, grid = layout.panel_grid(1, 1, [2.6])
    axis = grid[0][0]
    low, high = (np.array([b[k] for b in bins]) for k in ("area_low", "area_high"))
    value, error = (np.array([b[k] for b in bins]) for k in ("chi2", "error"))
    plots.points(axis, low, high, value, error, color=plots.EDGE, fmt="o", ms=4)
    axis.axhline(1.0, color="0.4", ls="--", lw=1)
    axis.set_xscale("log")
    axis.set_xlabel("area [photoelectrons]")
    axis.set_ylabel("chi2 a sample")
    layout.head(figure, "normal pulses")
    return Drawing(
        "chi2", "chi2 of normal pulses by area",
        "1 where the network knows the pulse and the variance is right; above where it does not.",
        figure,
    )  # fmt: skip


def _pulses(judged: Judged) -> Drawing:
    figure, grid = layout.panel_grid(len(judged.examples), 3, [2.2])
    for row, expected, (axis,) in zip(judged.examples, judged.expected, grid, strict=True):
        axis.plot(judged.waveform[row], color=plots.EDGE, lw=0.8)
        axis.plot(expected, color=plots.LINE, lw=1.5)
        axis.set_title(KINDS[judged.kind[row]])
        axis.set_xlabel("sample")
        axis.set_ylabel("photoelectrons")
    layout.head(figure, "one pulse of each kind, and what the network makes of it")
    return Drawing("pulses", "Pulses", "Blue: measured. Orange: reconstructed.", figure)


def _passed(found: dict[str, Any]) -> Iterator[Drawing | str]:
    rows = [
        ("shards read whole", f"{found['shards_read']:,} of {found['shards']:,}"),
        ("shards that failed", f"{found['shards_failed']:,}"),
        ("pulses read", f"{found['pulses_read']:,} of {found['pulses']:,}"),
        ("pulses lost", f"{found['pulses_lost']:,}"),
        ("pulses held out", f"{found['pulses_held_out']:,}"),
        ("bytes read", f"{found['bytes_read']:,} of {found['bytes']:,}"),
    ]
    rows += [(f"chi2 that {float(share):g} exceed", f"{value:.4g}")
             for share, value in found["quantiles"].items()]  # fmt: skip
    yield page.table(("coverage and running quantiles", ""), rows)
    known = [p for p in found["drift"] if p["pulses"]]
    if known:
        at = np.array([p["period"] for p in known], float)
        off = np.array([p["deviation"] for p in known])
        figure = plots.lines(
            [("median", [("deviation [errors]", at, off)], "linear")], "period", "held-out pulses"
        )
        yield Drawing(
            "drift", "Drift of the median",
            "Median chi2 of the held-out pulses of each period of data taking against that of all, "
            "in errors. Beyond 5 the detector, or its calibration, changed.", figure,
        )  # fmt: skip
