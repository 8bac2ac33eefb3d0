"""The same training with several seeds, or on the parts of k-fold cross-validation."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hepjax import InputError, MissingExtraError
from hepjax import run as runs
from hepjax.engine import records
from hepjax.engine.settings import flatten
from hepjax.formats import atomic
from hepjax.report import page
from hepjax.studies import shared_files
from hepjax.studies.study import Study, Trial

Scores = dict[str, float]


def of_folds(cfg: Any, folds: int) -> list[dict[str, Any]]:
    """Parameters of trainings that are judged on other events each (k-fold cross-validation).

    A tagger tests on 1/k of the events and keeps its share of validation events; the others have
    no test part and validate on 1/k.

    Raises:
      InputError: a workload, or files, whose events cannot be divided anew.
    """
    data: Any = getattr(cfg, "data", None)
    if not hasattr(data, "rotate"):
        raise InputError(
            "--folds: expected a workload whose events can be divided anew (data.rotate), found "
            "one without; use --seeds"
        )
    for name in ("validation_files", "test_files"):
        if getattr(data, name, ()):
            raise InputError(f"data.{name}: expected none with --folds, found some")
    turns = [{"data.rotate": k / folds} for k in range(folds)]
    if not hasattr(data, "fractions"):
        return [turn | {"data.validation_fraction": 1 / folds} for turn in turns]
    judged = data.fractions[1] / sum(data.fractions)
    if judged + 1 / folds >= 1:
        raise InputError(
            f"--folds: expected more than {1 / (1 - judged):.3g} with data.fractions="
            f"{list(data.fractions)}, found {folds}"
        )
    shares = [1 - judged - 1 / folds, judged, 1 / folds]
    return [turn | {"data.fractions": shares} for turn in turns]


def evaluated(study: Study, trial: Trial, quiet: bool) -> Scores:
    """The scores of a finished training on its test or validation events, which are kept.

    Raises:
      InputError: the run cannot be opened.
    """
    path = study.run_of(trial.number) / "report" / "scores.json"
    known = shared_files.read(path)
    if known is None:
        try:
            known = runs.load(study.run_of(trial.number)).evaluate([], path.parent, quiet=quiet)
        except MissingExtraError:
            rows = records.read(study.run_of(trial.number) / "metrics.jsonl")
            judged = [r for r in rows if r.get("event") == "validation"]
            known = min(judged, key=lambda r: _order(r.get(study.metric)))
    return _numbers(known)


def _order(score: Any) -> float:
    return float(score) if isinstance(score, int | float) else math.inf


def _numbers(scores: dict[str, Any]) -> Scores:
    """The scores that are finite numbers, by their path."""
    own = {k: v for k, v in scores.items() if k not in ("provenance", "verdict", "time", "step")}
    return {
        key: float(value)
        for key, value in flatten(own).items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def combined(found: Sequence[Scores]) -> dict[str, dict[str, Any]]:
    """Mean, standard deviation, median and values of each score that all trainings have."""
    common = [name for name in found[0] if all(name in scores for scores in found)]
    rows = {}
    for name in common:
        values = np.array([scores[name] for scores in found])
        rows[name] = {
            "mean": float(values.mean()),
            "spread": float(values.std(ddof=1)) if len(values) > 1 else None,
            "median": float(np.median(values)),
            "values": values.tolist(),
        }
    return rows


def write(
    study: Study, trials: Sequence[Trial], found: Sequence[Scores], what: str
) -> dict[str, Any]:
    """Write the combined page and ``scores.json`` into ``report/``; the scores.

    Args:
      found: scores of the trials that finished, in their order.
      what: "seeds" or "folds".
    """
    failed = [f"{t.number}: {t.failed}" for t in trials if t.failed]
    best = combined([{study.metric: t.score} for t in trials if t.score is not None])[study.metric]
    verdict = f"{study.metric} {in_words(best)} over {len(found)} {what}"
    if failed:
        verdict += f"; {len(failed)} of {len(trials)} failed"
    scores = {
        "what": what, "count": len(found), "failed": failed,
        "validation": {study.metric: best}, "scores": combined(found), "verdict": verdict,
    }  # fmt: skip
    folder = study.folder / "report"
    try:
        from hepjax.report import document

        report = document.Report(
            f"{study.workload}: {len(trials)} {what}", f"{len(found)} finished", verdict,
            {k: v for k, v in scores.items() if k != "verdict"},
            _sections(study, trials, scores, what),
        )  # fmt: skip
        return document.write_report(report, folder, provenance={"study": study.folder.name})
    except MissingExtraError:
        atomic.make_folder(folder)
        atomic.write_json(folder / "scores.json", scores)
        return scores


def in_words(row: dict[str, Any]) -> str:
    """Mean and spread."""
    spread = row["spread"]
    return f"{row['mean']:.4g}" + ("" if spread is None else f" ± {spread:.2g}")


def _sections(
    study: Study, trials: Sequence[Trial], scores: dict[str, Any], what: str
) -> Iterator[tuple[str, Any]]:
    from hepjax.report.document import Drawing

    rows = [
        (name, in_words(row), f"{row['median']:.4g}", *(f"{v:.4g}" for v in row["values"]))
        for name, row in (scores["validation"] | scores["scores"]).items()
    ]
    numbers = [f"{t.number}" for t in trials if t.score is not None]
    header = ("score", "mean ± spread", "median", *(f"{what[:-1]} {n}" for n in numbers))
    yield "Scores", [page.verdict(scores["verdict"]), page.table(header, rows)]
    yield "Course", lambda: [
        Drawing(
            "course", f"Validation {study.metric}", "A line for each training, against the epoch; "
            "the spread between the lines is what another seed or other events change.",
            _course(study, trials),
        )
    ]  # fmt: skip
    if scores["failed"]:
        yield "Failed", [page.table(("training", ""), [(text, "") for text in scores["failed"]])]


def _course(study: Study, trials: Sequence[Trial]) -> Any:
    from hepjax.report import layout

    figure, ((axis,),) = layout.panel_grid(1, 1, [3.0])
    for trial in trials:
        if curve := trial.curve:
            axis.plot(range(1, len(curve) + 1), curve, lw=1.4, marker=".", color=layout.EDGE)
    axis.set_xlabel("epoch")
    axis.set_ylabel(study.metric)
    layout.head(figure, f"{len(trials)} trainings")
    return figure
