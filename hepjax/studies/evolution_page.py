"""What ``hepjax evolve`` writes: its trainings judged on showers of their own, as a page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hepjax.engine.bounds import require
from hepjax.report import page
from hepjax.report.inspection import Progress, no_progress
from hepjax.studies import regressor, rivals, supernet
from hepjax.studies.evolution import (
    SWEEP_MU,
    SWEEP_POWER,
    Asked,
    Trained,
    error_by_energy,
    estimated,
    sweep,
    test_error,
    trained,
)
from hepjax.studies.regressor import Images
from hepjax.studies.repeat import combined, in_words

COLOURS = ("#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Of the trainings behind the first two."""


def write(
    asked: Asked, training: Images, test: Images, out: Path, progress: Progress = no_progress
) -> dict[str, Any]:
    """Train, judge on the test showers, write the page and ``scores.json``; the scores.

    Figures, seconds, architecture and sweep are those of the first seed.

    Args:
      progress: shows how many trainings are done, then how far the drawing is.
    Raises:
      InputError: ``out`` cannot be written.
      MissingExtraError: without the extra ``plot``.
    """
    from hepjax.report import document

    require(asked.generations >= 1, "--generations", "at least 1", asked.generations)
    if asked.rivals:
        rivals.require()
    document.check_folder(out)
    by_seed: list[list[Trained]] = [[] for _ in range(asked.seeds)]
    with progress("evolve", asked.ways * asked.seeds, "trainings") as advance:
        for number, ways in enumerate(by_seed):
            for way in trained(asked._replace(seed=asked.seed + number), training):
                ways.append(way)
                advance(1)
    scores = _scores(asked, training, test, by_seed)
    if asked.sweep:
        with progress("sweep", 0, ""):
            rates = sweep(asked, training)
        scores["sweep"] = {"mu": SWEEP_MU, "power": SWEEP_POWER, "loss": rates.tolist()}
    told = ", ".join(f"{way.name} {_reached(scores, way.name)}" for way in by_seed[0])
    seeds = "" if asked.seeds == 1 else f" over {asked.seeds} seeds"
    verdict = f"mean relative error on {len(test.energy):,} test showers{seeds}: {told}"
    report = document.Report(
        "Genetic training", f"{len(training.energy):,} showers, {asked.generations:,} generations",
        verdict, scores, _sections(by_seed[0], test, scores),
    )  # fmt: skip
    return document.write_report(report, out, progress=progress)


def _scores(
    asked: Asked, training: Images, test: Images, by_seed: list[list[Trained]]
) -> dict[str, Any]:
    energy = np.asarray(test.energy) * regressor.ENERGY_UNIT
    scores: dict[str, Any] = {
        "events": len(training.energy), "test_events": len(energy), "mu": float(asked.rates.mu),
        "power": float(asked.rates.power), "generations": asked.generations, "seed": asked.seed,
    }  # fmt: skip
    for way in by_seed[0]:
        edges, error = error_by_energy(estimated(way, test), energy)
        scores[way.name] = {
            "test_error": test_error(way, test), "seconds": way.seconds, "steps": len(way.losses),
            "evaluations": len(way.losses) * way.evaluations,
            "error_by_energy": error.tolist(), "edges_gev": edges.tolist(),
        }  # fmt: skip
    if asked.seeds > 1:
        found = [{way.name: test_error(way, test) for way in ways} for ways in by_seed]
        scores["seeds"] = combined(found)
    named = [[way for way in ways if "architecture" in way.name] for ways in by_seed]
    if asked.architecture:
        told = [supernet.in_words(way.weights) for (way,) in named]
        scores["architecture"] = told[0] if asked.seeds == 1 else told
    return scores


def _reached(scores: dict[str, Any], name: str) -> str:
    """The test error, over several seeds with its spread."""
    if "seeds" in scores:
        return in_words(scores["seeds"][name])
    return f"{scores[name]['test_error']:.4f}"


def _sections(
    ways: list[Trained], test: Images, scores: dict[str, Any]
) -> Iterator[tuple[str, Any]]:  # fmt: skip
    from hepjax.report.document import Drawing

    energy = np.asarray(test.energy) * regressor.ENERGY_UNIT
    rows = [
        (way.name, f"{len(way.losses):,}", f"{len(way.losses) * way.evaluations:,}",
         f"{way.seconds:.2f}", _reached(scores, way.name))
        for way in ways
    ]  # fmt: skip
    header = ("training", "steps", "evaluations", "seconds", "test error")
    yield "Result", [page.table(header, rows), page.paragraph(
        "An evaluation is a forward pass over a batch of 128; an update by gradients counts three. "
        "Seconds are those of the steps on the devices here, without compilation.")]  # fmt: skip
    yield "Course", lambda: [Drawing(
        "losses", "Mean relative error of the batches", "Left at equal evaluations, right at equal "
        "seconds; smoothed over a fiftieth of the steps.", _losses(ways))]  # fmt: skip
    yield "Energies", lambda: [Drawing(
        "energies", "Estimated against true energy, and the error by energy", "On test showers. "
        "The line is truth.", _energies(ways, test, energy, scores))]  # fmt: skip
    if "seeds" in scores:
        count = len(scores["seeds"][ways[0].name]["values"])
        numbers = range(scores["seed"], scores["seed"] + count)
        columns = ("test error", "mean ± spread", "median", *(f"seed {n}" for n in numbers))
        yield "Seeds", [page.table(columns, [
            (name, in_words(row), f"{row['median']:.4f}", *(f"{x:.4f}" for x in row["values"]))
            for name, row in scores["seeds"].items()
        ])]  # fmt: skip
    if "architecture" in scores:
        found = scores["architecture"]
        told = found if isinstance(found, str) else "; ".join(found)
        yield "Architecture", [page.paragraph(f"Found: {told}.")]
    if "sweep" in scores:
        rates = [
            (f"{mu:g}", *(f"{x:.4f}" for x in row))
            for mu, row in zip(SWEEP_MU, scores["sweep"]["loss"], strict=True)
        ]
        columns = ("mu", *(f"power {power:g}" for power in SWEEP_POWER))
        yield "Rates", [page.table(columns, rates)]


def _losses(ways: list[Trained]) -> Any:
    from hepjax.report import layout

    figure, grid = layout.panel_grid(2, 2, [2.8])
    colours = (layout.LINE, layout.EDGE, *COLOURS)
    for way, colour in zip(ways, colours, strict=False):
        width = max(len(way.losses) // 50, 1)
        smooth = np.convolve(way.losses, np.ones(width) / width, "valid")
        share = (np.arange(len(smooth)) + width) / len(way.losses)
        scales = (share * len(way.losses) * way.evaluations, share * way.seconds)
        for x, (axis,) in zip(scales, grid, strict=True):
            axis.plot(x, smooth, color=colour, lw=1.6, label=way.name)
    for (axis,), label in zip(grid, ("evaluations of a batch", "seconds"), strict=True):
        axis.set_yscale("log")
        axis.set_xlabel(label)
        axis.legend(frameon=False)
    grid[0][0].set_ylabel("relative error")
    layout.head(figure, "genetic training beside RMSprop")
    return figure


def _energies(ways: list[Trained], test: Images, energy: np.ndarray, scores: dict[str, Any]) -> Any:
    from hepjax.report import layout

    figure, grid = layout.panel_grid(len(ways) + 1, min(len(ways) + 1, 4), [2.8])
    colours = (layout.LINE, layout.EDGE, *COLOURS)
    for way, colour, (axis,) in zip(ways, colours, grid[:-1], strict=False):
        axis.plot(energy, estimated(way, test), ".", ms=2, color=colour, alpha=0.5)
        axis.plot([0, energy.max()], [0, energy.max()], color="0.3", lw=1)
        axis.set_title(way.name)
        axis.set_xlabel("true energy (GeV)")
        axis.set_ylim(0, 1.15 * energy.max())
        (last,) = grid[-1]
        known = scores[way.name]
        last.stairs(
            known["error_by_energy"], known["edges_gev"], color=colour, lw=1.8, label=way.name
        )
    last.axhline(0.1, color="0.5", ls="--", lw=1)
    last.set_xlabel("true energy (GeV)")
    last.set_title("mean relative error")
    grid[0][0].set_ylabel("estimated (GeV)")
    last.set_ylim(bottom=0)
    last.legend(frameon=False, fontsize=10)
    layout.head(figure, f"{len(energy):,} test showers")
    return figure
