"""The page of many loops on a toy beside Sobol scans: shares on the wrong side, and the points."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from hepjax import MissingExtraError
from hepjax.formats import atomic
from hepjax.report import page
from hepjax.studies.active import toys
from hepjax.studies.active.race import Race

LABELS = ("Sobol", "loop")


def fewer(race: Race) -> float:
    """How many times fewer simulations the loop needs for the final mean share of the Sobol scan.

    Between rounds by interpolation of the logarithm of the share; below 1 if it needs more, and 0
    if it does not reach that share.
    """
    sobol, ours = (np.log(np.maximum(part.mean(0), 1e-9)) for part in race.wrong)
    reached = np.flatnonzero(ours <= sobol[-1])
    if not len(reached):
        return 0.0
    k = int(reached[0])
    if k == 0:
        return float(race.points[-1] / race.points[0])
    part = (ours[k - 1] - sobol[-1]) / (ours[k - 1] - ours[k])
    needed = race.points[k - 1] + part * (race.points[k] - race.points[k - 1])
    return float(race.points[-1] / needed)


def summary(race: Race) -> dict[str, Any]:
    """The comparison in numbers; shares are of the box, at equal numbers of simulations."""
    scores: dict[str, Any] = {
        "toy": race.toy, "acquisition": race.acquisition, "seeds": race.wrong.shape[1],
        "points": race.points, "fewer": fewer(race),
    }  # fmt: skip
    for name, wrong, near in zip(("sobol", "loop"), race.wrong, race.wrong_near, strict=True):
        scores |= {
            f"{name}_wrong": wrong.mean(0), f"{name}_wrong_spread": wrong.std(0),
            f"{name}_wrong_worst": wrong.max(0), f"{name}_wrong_near": near.mean(0),
        }  # fmt: skip
    sobol, ours = race.wrong[0][:, -1], race.wrong[1][:, -1]
    better = int((ours < sobol).sum())
    times = f"the loop needs {scores['fewer']:.2g} times fewer simulations than Sobol for its share"
    verdict = (
        f"{race.toy}, {race.points[-1]} simulations, {len(ours)} seeds: "
        f"{100 * ours.mean():.2f} ± {100 * ours.std():.2f} % of the box on the wrong side "
        f"(worst {100 * ours.max():.2f} %), Sobol {100 * sobol.mean():.2f} ± "
        f"{100 * sobol.std():.2f} % (worst {100 * sobol.max():.2f} %); better in {better} seeds; "
        + (times if scores["fewer"] >= 1 else "the loop does not pay here")
    )
    return scores | {"verdict": verdict}


def write(race: Race, out: Path) -> dict[str, Any]:
    """Write ``scores.json`` and, with the extra ``plot``, the page into ``out``; the scores."""
    scores = summary(race)
    verdict = scores.pop("verdict")
    try:
        from hepjax.report import document

        report = document.Report(
            f"{race.toy}: a loop beside Sobol scans",
            f"{race.wrong.shape[1]} seeds, {race.points[-1]} simulations each", verdict, scores,
            _sections(race, scores, verdict),
        )  # fmt: skip
        return document.write_report(report, out, provenance={"acquisition": race.acquisition})
    except MissingExtraError:
        atomic.write_json(atomic.make_folder(out) / "scores.json", scores | {"verdict": verdict})
        return scores | {"verdict": verdict}


def _sections(race: Race, scores: dict[str, Any], verdict: str) -> Iterator[tuple[str, Any]]:
    from hepjax.report.document import Drawing

    ours, other = race.wrong[1][:, -1], race.wrong[0][:, -1]
    yield "Result", [
        page.cards([
            ("wrong side", f"{100 * ours.mean():.2f} %", f"Sobol {100 * other.mean():.2f} %"),
            ("worst seed", f"{100 * ours.max():.2f} %", f"Sobol {100 * other.max():.2f} %"),
            ("fewer simulations", f"{scores['fewer']:.2g} x", "for Sobol's final share"),
        ]),
        page.verdict(verdict),
    ]  # fmt: skip
    yield "Course", lambda: [
        Drawing(
            "course", "Share of the box on the wrong side", "Thick: mean over seeds; thin: each "
            "seed. Left over the whole box, right near the contour alone.", _course(race),
        ),
        page.table(
            ("simulations", *(f"{label}, {what}" for label in LABELS
                              for what in ("mean ± std", "worst"))),
            [(f"{n}", *_row(race, k)) for k, n in enumerate(race.points)],
        ),
    ]  # fmt: skip
    yield "Points", lambda: [
        Drawing(
            "points", "Where the first seed simulated", "Line: the true contour, with all other "
            "parameters in the middle of their ranges. Later points are darker.", _points(race),
        )
    ]  # fmt: skip


def _row(race: Race, k: int) -> Iterator[str]:
    for wrong in race.wrong:
        share = 100 * wrong[:, k]
        yield f"{share.mean():.2f} ± {share.std():.2f} %"
        yield f"{share.max():.2f} %"


def _course(race: Race) -> Any:
    from hepjax.report import layout

    figure, grid = layout.panel_grid(2, 2, [3.6])
    panels = ((race.wrong, "the whole box"), (race.wrong_near, "near the contour"))
    for (shares, what), (plot,) in zip(panels, grid, strict=True):
        for part, label, color in zip(shares, LABELS, (layout.EDGE, layout.LINE), strict=True):
            share = 100 * np.maximum(part, 1e-5)
            plot.plot(race.points, share.T, color=color, lw=0.7, alpha=0.35)
            plot.plot(race.points, share.mean(0), "o-", color=color, lw=2, label=label)
        plot.set_yscale("log")
        plot.set_xlabel("simulations")
        plot.set_ylabel("wrong side (%)")
        plot.set_title(what)
        plot.legend()
    layout.head(figure, f"{race.toy}, {race.acquisition}")
    return figure


def _points(race: Race) -> Any:
    from hepjax.report import layout

    figure, grid = layout.panel_grid(2, 2, [4.4])
    u = np.linspace(0, 1, 101)
    x = np.full((len(u) ** 2, race.tests.shape[1]), 0.5)
    x[:, 0], x[:, 1] = (part.ravel() for part in np.meshgrid(u, u))
    truth = np.asarray(toys.truth(jnp.asarray(x))).reshape(len(u), len(u))
    first, second = toys.AXES[:2]
    for asked, label, (plot,) in zip(race.asked, LABELS, grid, strict=True):
        at = [a.low + s * (a.high - a.low) for a, s in ((first, u), (second, u))]
        plot.contour(*at, truth, levels=[0], colors=["0.2"])
        px, py = (a.low + asked[0, :, k] * (a.high - a.low) for k, a in enumerate((first, second)))
        shade = np.linspace(0.25, 1, len(px))
        plot.scatter(px, py, c=shade, cmap="Blues", vmin=0, vmax=1, s=28, edgecolors="0.4", lw=0.4)
        plot.set_xlabel("m1 (GeV)")
        plot.set_ylabel("m2 / m1")
        plot.set_title(f"{label}, {len(px)} points")
    layout.head(figure, race.toy)
    return figure
