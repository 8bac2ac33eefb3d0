"""The page of a search: the best trial, how it was found, what mattered, and what failed."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hepjax.formats import atomic
from hepjax.report import page
from hepjax.studies import samplers, space
from hepjax.studies.study import Study, Trial

MOST_TRIALS = 50
"""Rows of the table of trials."""
FEWEST_FOR_IMPORTANCE = 8
"""Complete trials from which the importance of settings is estimated."""


def write(study: Study, trials: Sequence[Trial]) -> dict[str, Any]:
    """Write ``scores.json`` and, with the extra ``plot``, the page into ``report/``; the scores."""
    scores = summary(study, trials)
    verdict = scores.pop("verdict")
    from hepjax import MissingExtraError

    try:
        from hepjax.report import document

        report = document.Report(
            f"Search over {study.workload}", f"{len(trials)} trials, {study.metric}", verdict,
            scores, _sections(study, trials, scores),
        )  # fmt: skip
        provenance = {"study": study.folder.name, "sampler": study.sampler, "pruner": study.pruner}
        return document.write_report(report, study.folder / "report", provenance=provenance)
    except MissingExtraError:
        folder = atomic.make_folder(study.folder / "report")
        atomic.write_json(folder / "scores.json", scores | {"verdict": verdict})
        return scores | {"verdict": verdict}


def summary(study: Study, trials: Sequence[Trial]) -> dict[str, Any]:
    """What a search found, in numbers."""
    best = min(
        (t for t in trials if t.score is not None), key=lambda t: (t.score, t.number), default=None
    )
    failed = [t for t in trials if t.failed]
    complete = sum(t.last.get("status") == "complete" for t in trials)
    hours = accelerator_seconds(trials) / 3600
    found: dict[str, Any] = {
        "trials": len(trials), "complete": complete, "failed": len(failed),
        "stopped": sum(t.last.get("status") == "stopped" for t in trials),
        "accelerator_hours": hours, "metric": study.metric,
    }  # fmt: skip
    if best is None:
        return found | {"verdict": f"none of {len(trials)} trials finished"}
    told = ", ".join(f"{key}={_short(value)}" for key, value in (best.params or {}).items())
    verdict = (
        f"best {study.metric} {best.score:.6g} in trial {best.number} ({told}); {complete} of "
        f"{len(trials)} trials complete, {found['stopped']} stopped early, {len(failed)} failed; "
        f"{hours:.3g} accelerator-hours"
    )
    return found | {
        "best_score": best.score, "best_trial": best.number, "best_params": best.params,
        "importance": importance(study, trials), "verdict": verdict,
    }  # fmt: skip


def accelerator_seconds(trials: Sequence[Trial]) -> float:
    """Seconds of all stages times the devices that they had."""
    return sum(r.get("seconds", 0.0) * r.get("devices", 1) for t in trials for r in t.results)


def importance(study: Study, trials: Sequence[Trial]) -> dict[str, float]:
    """Share of each setting in what makes trials good (PED-ANOVA, Watanabe et al., IJCAI 2023).

    Empty without Optuna, and with fewer than ``FEWEST_FOR_IMPORTANCE`` complete trials.
    """
    axes = space.from_json(study.space)
    complete = [t for t in trials if t.last.get("status") == "complete" and t.score is not None]
    varied = [a for a in axes if len({str((t.params or {}).get(a.key)) for t in complete}) > 1]
    if len(complete) < FEWEST_FOR_IMPORTANCE or not varied:
        return {}
    try:
        import warnings

        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    except ImportError:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the evaluator is new
        made = samplers.as_optuna(axes, complete)
        found = get_param_importances(made, evaluator=PedAnovaImportanceEvaluator())
    return {key: float(value) for key, value in found.items()}


def progress(trials: Sequence[Trial]) -> list[tuple[float, float, float]]:
    """(seconds since the first stage began, accelerator-seconds, best score) as stages ended.

    Clocks of several machines may differ, so the first column is as good as they are.
    """
    ended = sorted(
        (r["time"], r["seconds"] * r.get("devices", 1), r.get("score"), r["seconds"])
        for t in trials
        for r in t.results
        if "time" in r
    )
    rows: list[tuple[float, float, float]] = []
    if not ended:
        return rows
    began = min(time - seconds for time, _, _, seconds in ended)
    spent, best = 0.0, math.inf
    for time, cost, score, _ in ended:
        spent += cost
        best = min(best, math.inf if score is None else score)
        if best < math.inf:
            rows.append((time - began, spent, best))
    return rows


def _sections(
    study: Study, trials: Sequence[Trial], scores: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    from hepjax.report.document import Drawing

    yield "Result", [page.cards(_cards(scores)), page.verdict(_best(scores))]
    yield "Course", lambda: [
        Drawing(
            "course", "Best score so far", "Each step down is a better trial. Left against wall "
            "time, right against accelerator-hours, which all workers share.",
            _course(study, trials),
        )
    ]  # fmt: skip
    if axes := space.from_json(study.space):
        yield "Settings", _settings(study, trials, axes, scores)
    yield "Trials", [_table(study, trials), *_failures(trials)]


def _settings(
    study: Study, trials: Sequence[Trial], axes: space.Space, scores: dict[str, Any]
) -> Iterator[Any]:
    from hepjax.report.document import Drawing

    yield Drawing(
        "parallel", "Parallel coordinates", "A line is a trial, the best in orange and the "
        "worse the paler; each axis is a setting over its range.", _parallel(study, trials, axes),
    )  # fmt: skip
    if found := scores.get("importance"):
        rows = [(key, f"{100 * share:.0f} %") for key, share in found.items()]
        yield page.table(("setting", "importance (PED-ANOVA)"), rows)
    else:
        yield page.paragraph(
            f"The importance of settings is estimated from {FEWEST_FOR_IMPORTANCE} complete "
            "trials on, with the extra studies."
        )


def _cards(scores: dict[str, Any]) -> list[tuple[str, str, str]]:
    best = scores.get("best_score")
    return [
        (f"best {scores['metric']}", "-" if best is None else f"{best:.5g}",
         f"trial {scores.get('best_trial', '-')}"),
        ("complete", f"{scores['complete']}", f"of {scores['trials']} trials"),
        ("stopped early", f"{scores['stopped']}", "to spend less on bad settings"),
        ("failed", f"{scores['failed']}", "with reasons below"),
        ("accelerator-hours", f"{scores['accelerator_hours']:.3g}", "devices times hours"),
    ]  # fmt: skip


def _best(scores: dict[str, Any]) -> str:
    params = scores.get("best_params") or {}
    return "best settings: " + ", ".join(f"{k}={_short(v)}" for k, v in params.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(study: Study, trials: Sequence[Trial]) -> str:
    keys = sorted({key for t in trials for key in t.params or {}})
    order = sorted(trials, key=lambda t: (math.inf if t.score is None else t.score, t.number))
    rows = [
        (
            f"{t.number:04d}", "-" if t.score is None else f"{t.score:.5g}",
            str(t.last.get("status", "unfinished")), f"{len(t.curve)}",
            *(_short((t.params or {}).get(key)) for key in keys),
        )
        for t in order[:MOST_TRIALS]
    ]  # fmt: skip
    return page.table(("trial", study.metric, "state", "epochs", *keys), rows)


def _failures(trials: Sequence[Trial]) -> list[str]:
    rows = [(f"{t.number:04d}", reason) for t in trials if (reason := t.failed)]
    return [page.table(("failed trial", "reason"), rows)] if rows else []


def _course(study: Study, trials: Sequence[Trial]) -> Any:
    from hepjax.report import layout

    rows = np.array(progress(trials)).reshape(-1, 3)
    figure, grid = layout.panel_grid(2, 2, [2.6])
    panels = (("wall time (min)", rows[:, 0] / 60), ("accelerator-hours", rows[:, 1] / 3600))
    for (label, x), (axis,) in zip(panels, grid, strict=True):
        axis.step(x, rows[:, 2], where="post", color=layout.EDGE, lw=1.8)
        axis.plot(x, rows[:, 2], ".", color=layout.EDGE)
        axis.set_xlabel(label)
        axis.set_ylabel(f"best {study.metric}")
        axis.margins(x=0.03, y=0.15)
    layout.head(figure, f"{len(trials)} trials")
    return figure


def _parallel(study: Study, trials: Sequence[Trial], axes: space.Space) -> Any:
    from hepjax.report import layout

    figure, ((axis,),) = layout.panel_grid(1, 1, [3.6])
    scored = [t for t in trials if t.score is not None and t.params is not None]
    scored.sort(key=lambda t: -(t.score or 0.0))
    x = np.arange(len(axes))
    for rank, trial in enumerate(scored):
        params = trial.params or {}
        y = [a.share(params[a.key]) if a.key in params else np.nan for a in axes]
        best = rank == len(scored) - 1
        quality = (rank + 1) / len(scored)
        axis.plot(
            x, y, marker="o", ms=4, lw=2.4 if best else 1.2, alpha=0.15 + 0.85 * quality**2,
            color=layout.LINE if best else layout.EDGE, zorder=3 if best else 2,
        )  # fmt: skip
    for k, a in enumerate(axes):
        ends = (a.choice[0], a.choice[-1]) if a.choice else (a.low, a.high)
        for place, value in zip((-0.05, 1.05), ends, strict=True):
            va = "top" if place < 0 else "bottom"
            axis.text(k, place, _short(value), ha="center", va=va, fontsize=10)
    axis.set_xticks(x, [a.key + (" (log)" if a.log else "") for a in axes])
    axis.set_yticks([])
    axis.set_ylim(-0.18, 1.18)
    axis.margins(x=0.08)
    layout.head(figure, f"{len(scored)} trials with a score")
    return figure
