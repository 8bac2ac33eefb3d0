"""The page of a study: the contour with its band, points by their reason, and the Sobol scan."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from hepjax import MissingExtraError
from hepjax.formats import atomic
from hepjax.report import page
from hepjax.studies.active import loop, result, toys
from hepjax.studies.active.loop import ActiveStudy
from hepjax.studies.active.result import Arm
from hepjax.studies.study import Trial

GRID = 81
"""Lines of a map."""
MOST_POINTS = 60
"""Rows of the table."""
MARKERS = {"initial": "s", "filling": "o", "beside": "o", "asked": "^"}


def write(study: ActiveStudy, trials: Sequence[Trial]) -> dict[str, Any]:
    """Write ``scores.json`` and, with the extra ``plot``, the page into ``report/``; the scores.

    Raises:
      TrainingError: too few simulations have a value.
    """
    arms = result.arms(study, trials)
    scores = result.summary(study, trials, arms)
    verdict = scores.pop("verdict")
    try:
        from hepjax.report import document

        report = document.Report(
            f"Contour of {study.value} = {study.threshold:g}",
            f"{len(trials)} simulations of {study.simulator}", verdict, scores,
            _sections(study, trials, arms, scores, verdict),
        )  # fmt: skip
        about = {"study": study.folder.name, "simulator": study.simulator, "seed": study.seed}
        return document.write_report(report, study.folder / "report", provenance=about)
    except MissingExtraError:
        folder = atomic.make_folder(study.folder / "report")
        atomic.write_json(folder / "scores.json", scores | {"verdict": verdict})
        return scores | {"verdict": verdict}


def _sections(
    study: ActiveStudy,
    trials: Sequence[Trial],
    arms: Sequence[Arm],
    scores: dict[str, Any],
    verdict: str,
) -> Iterator[tuple[str, Any]]:
    from hepjax.report.document import Drawing

    yield "Result", [page.cards(_cards(scores)), page.verdict(verdict)]
    several = len(study.axes) > 2
    where = " Slices through the middle of the other parameters." if several else ""
    yield "Contour", lambda: [
        Drawing(
            "contour", "Where the threshold is crossed",
            "Line: the contour. Band: where the mean is within 1.96 standard deviations of it, so "
            "the side is not certain. Triangles were asked for, circles and squares are of the "
            "Sobol sequence, crosses failed. Dashed: the true contour, where it is known." + where,
            (_slices if several else _map if len(study.axes) == 2 else _line)(study, arms),
        )
    ]  # fmt: skip
    yield "Beside Sobol", lambda: [
        Drawing(
            "course", "Share of the box on the wrong side", "Lines: as the Gaussian process "
            "itself expects it, which is too small where its lengths are wrong. Dashed: the true "
            "share, where it is known.", _course(arms),
        )
    ]  # fmt: skip
    yield "Points", [_table(study, trials), *_failures(trials)]


def _cards(scores: dict[str, Any]) -> list[tuple[str, str, str]]:
    right = scores["unseen_right"]
    known = "wrong_share" if "wrong_share" in scores else "expected_wrong_share"
    return [
        ("wrong side", f"{100 * scores[known]:.2g} %",
         f"of the box; Sobol {100 * scores['sobol_' + known]:.2g} %"),
        ("unseen points right", "-" if right is None else f"{100 * right:.0f} %",
         f"of {scores['unseen']} Sobol points that the loop did not see"),
        ("spread of the pulls", f"{scores['pull_rms']:.2f}", "1 if the errors are right"),
        ("failed", f"{scores['failed']}", f"of {scores['simulations']} simulations"),
        ("simulated", f"{scores['seconds'] / 60:.3g} min", "all simulations together"),
    ]  # fmt: skip


def _grid(study: ActiveStudy, i: int, j: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares (GRID,) of a range, and places (GRID * GRID, d) of the slice of axes i and j."""
    u = np.linspace(0, 1, GRID)
    x = np.full((GRID * GRID, len(study.axes)), 0.5)
    x[:, i], x[:, j] = (part.ravel() for part in np.meshgrid(u, u))
    return u, x


def _values(study: ActiveStudy, k: int, shares: np.ndarray) -> np.ndarray:
    """Values of a parameter at shares of its range."""
    axis = study.axes[k]
    if axis.log:
        return np.asarray(axis.low * (axis.high / axis.low) ** shares)
    return np.asarray(axis.low + shares * (axis.high - axis.low))


def _drawn(plot: Any, study: ActiveStudy, arm: Arm, i: int, j: int, *, points: bool) -> None:
    """A map of two parameters into axes."""
    from hepjax.report import layout

    u, x = _grid(study, i, j)
    a, b = _values(study, i, u), _values(study, j, u)
    mean, spread = (part.reshape(GRID, GRID) for part in arm.at(x))
    band = np.abs(mean) - 1.96 * spread
    plot.contourf(a, b, np.where(mean > 0, 1.0, -1.0), levels=[0, 2], colors=["#eef2f6"])
    plot.contourf(a, b, band, levels=[-np.inf, 0], colors=[layout.FILL])
    if mean.min() < 0 < mean.max():
        plot.contour(a, b, mean, levels=[0], colors=[layout.EDGE], linewidths=2)
    if study.simulator in toys.TOYS:
        truth = np.asarray(toys.truth(toys.shares(study.axes, jnp.asarray(x)))) - study.threshold
        plot.contour(a, b, truth.reshape(GRID, GRID), levels=[0], colors=["0.2"],
                     linewidths=1.2, linestyles="dashed")  # fmt: skip
    for trial in arm.trials if points else []:
        place = [(trial.params or {}).get(study.axes[k].key, np.nan) for k in (i, j)]
        if trial.failed:
            plot.plot(*place, "x", color="0.3", ms=7)
        else:
            color = layout.LINE if trial.kind == "asked" else "0.35"
            marker = MARKERS.get(trial.kind, "o")
            plot.plot(*place, marker, color=color, ms=5, mec="white", mew=0.5)
    for k, name in ((i, "x"), (j, "y")):
        getattr(plot, f"set_{name}label")(study.axes[k].key)
        if study.axes[k].log:
            getattr(plot, f"set_{name}scale")("log")


def _map(study: ActiveStudy, arms: Sequence[Arm]) -> Any:
    from hepjax.report import layout

    figure, grid = layout.panel_grid(2, 2, [4.6])
    for arm, (plot,) in zip(arms, grid, strict=True):
        _drawn(plot, study, arm, 0, 1, points=True)
        plot.set_title(f"{arm.name}, {len(arm.trials)} points")
    layout.head(figure, f"{study.value} = {study.threshold:g}; grey where it is above")
    return figure


def _slices(study: ActiveStudy, arms: Sequence[Arm]) -> Any:
    from hepjax.report import layout

    pairs = list(itertools.combinations(range(len(study.axes)), 2))[:6]
    figure, grid = layout.panel_grid(len(pairs), 3, [3.2])
    for (i, j), (plot,) in zip(pairs, grid, strict=True):
        _drawn(plot, study, arms[0], i, j, points=False)
    layout.head(figure, f"{study.value} = {study.threshold:g}; grey where it is above")
    return figure


def _line(study: ActiveStudy, arms: Sequence[Arm]) -> Any:
    from hepjax.report import layout

    figure, grid = layout.panel_grid(2, 2, [3.6])
    u = np.linspace(0, 1, 201)
    x = _values(study, 0, u)
    for arm, (plot,) in zip(arms, grid, strict=True):
        mean, spread = arm.at(u[:, None])
        mean = mean + study.threshold
        plot.fill_between(x, mean - 1.96 * spread, mean + 1.96 * spread, color=layout.FILL)
        plot.plot(x, mean, color=layout.EDGE)
        plot.axhline(study.threshold, color="0.3", lw=1)
        for trial in loop.told(study, arm.trials)[1]:
            place = (trial.params or {})[study.axes[0].key]
            color = layout.LINE if trial.kind == "asked" else "0.35"
            plot.errorbar(place, trial.last["value"], trial.last["error"], fmt=".", color=color)
        plot.set_xlabel(study.axes[0].key)
        plot.set_title(f"{arm.name}, {len(arm.trials)} points")
    layout.head(figure, f"{study.value} = {study.threshold:g}")
    return figure


def _course(arms: Sequence[Arm]) -> Any:
    from hepjax.report import layout

    figure, ((plot,),) = layout.panel_grid(1, 1, [3.2])
    for arm, color in zip(arms, (layout.LINE, layout.EDGE), strict=True):
        plot.plot(arm.points, 100 * arm.expected, "o-", color=color, label=f"{arm.name}, expected")
        if arm.wrong is not None:
            plot.plot(arm.points, 100 * arm.wrong, "s--", color=color, label=f"{arm.name}, true")
    plot.set_yscale("log")
    plot.set_xlabel("simulations with a value")
    plot.set_ylabel("wrong side (% of the box)")
    plot.legend()
    layout.head(figure, "The loop and a Sobol scan at equal cost")
    return figure


def _table(study: ActiveStudy, trials: Sequence[Trial]) -> str:
    rows = [
        (
            f"{t.number:04d}", t.kind,
            *(f"{(t.params or {}).get(axis.key, float('nan')):.4g}" for axis in study.axes),
            "-" if t.failed or not t.last else f"{t.last['value']:.4g} ± {t.last['error']:.2g}",
        )
        for t in trials[-MOST_POINTS:]
    ]  # fmt: skip
    return page.table(("point", "why", *(axis.key for axis in study.axes), study.value), rows)


def _failures(trials: Sequence[Trial]) -> list[str]:
    rows = [(f"{t.number:04d}", reason) for t in trials if (reason := t.failed)]
    return [page.table(("failed point", "reason"), rows)] if rows else []
