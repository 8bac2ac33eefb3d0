"""What ``hepjax evolve`` does: genetic training beside RMSprop, judged on showers of their own."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.engine.bounds import require
from hepjax.formats.showers.reader import open_showers, with_cells
from hepjax.report import page
from hepjax.report.inspection import Progress, no_progress
from hepjax.studies import genetic, regressor, rivals, supernet
from hepjax.studies.genetic import Rates
from hepjax.studies.regressor import Images

FORWARDS_OF_AN_UPDATE = 3
"""Evaluations that an update by gradients counts: a forward pass, and twice its work backwards."""
TEST_SHARE = 0.2
BINS = 8
"""Of energy, for the error by energy."""
COLOURS = ("#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Of the trainings behind the first two."""
SWEEP_MU, SWEEP_POWER = (0.01, 0.05, 0.2, 1.0), (0.02, 0.1, 0.5)
regressor_loss = partial(regressor.relative_error, apply=regressor.regress)
supernet_loss = partial(regressor.relative_error, apply=supernet.regress)


class Asked(NamedTuple):
    """What a study of genetic training is asked for."""

    generations: int = 3000
    events: int = 5000
    rates: Rates = Rates()
    seed: int = 0
    architecture: bool = False
    sweep: bool = False
    rivals: bool = False


class Trained(NamedTuple):
    """One way of training: its course and what it reached."""

    name: str
    weights: Any
    losses: np.ndarray
    """(steps,) of the batch of each generation or update."""
    evaluations: int
    """Of a batch, in each step."""
    seconds: float
    """Of all steps, without compilation."""


def read(paths: list[Path], events: int) -> tuple[Images, Images]:
    """Training and test images of these files.

    Raises:
      InputError: unreadable, showers that are not 25 x 25 x 25 cells, or too few.
    """
    source = open_showers(paths, sparse=True)
    if source.grid != (regressor.SIDE,) * 3 or source.energy is None:
        raise InputError(
            f"{paths[0]}: expected showers of 25 x 25 x 25 cells with incident energies, found "
            f"{' x '.join(map(str, source.grid))} cells"
        )
    judged = int(events * TEST_SHARE)
    if len(source) < events + judged:
        raise InputError(
            f"{paths[0]}: expected {events + judged} showers, found {len(source)}; give --events"
        )
    found = source[np.arange(events + judged)]
    images = regressor.project(with_cells(found, source.grid)["ecal"], found["energy"])
    training, test = (
        Images(*(x[rows] for x in images)) for rows in (slice(events), slice(events, None))
    )
    return training, test


def trained(asked: Asked, images: Images) -> Iterator[Trained]:
    """Genetic training, RMSprop and what else is asked for, from the same random parents, at equal
    evaluations; each when it is done."""
    key = jax.random.key(asked.seed)
    parents = jax.vmap(regressor.uniform)(jax.random.split(key, genetic.PARENTS))
    run = jax.random.fold_in(key, 1)
    yield _evolved("genetic", asked, parents, images, run, regressor_loss, genetic.mutated)
    per_generation = genetic.CHILDREN + 1
    updates = asked.generations * per_generation // FORWARDS_OF_AN_UPDATE
    start, _ = genetic.best_of(parents, jax.vmap(lambda p: regressor_loss(p, images))(parents))
    descend = partial(genetic.rmsprop, start, images, run, loss=regressor_loss, updates=updates)
    weights, losses, seconds = _timed(descend)
    yield Trained("RMSprop", weights, losses, FORWARDS_OF_AN_UPDATE, seconds)
    if asked.architecture:
        keys = jax.random.split(jax.random.fold_in(key, 2), genetic.PARENTS)
        nets = jax.vmap(supernet.uniform)(keys)
        name = "genetic, architecture too"
        yield _evolved(name, asked, nets, images, run, supernet_loss, supernet.mutated)
    for name, rival in rivals.RIVALS.items() if asked.rivals else ():
        steps = max(asked.generations * per_generation // rival.population, 1)
        go = partial(rivals.evolve, name, start, images, run, loss=regressor_loss, steps=steps)
        weights, losses, seconds = _timed(go)
        yield Trained(name, weights, losses, rival.population, seconds)


def _evolved(
    name: str, asked: Asked, parents: Any, images: Images, key: jax.Array, loss: genetic.Loss,
    mutate: Any,
) -> Trained:  # fmt: skip
    go = partial(
        genetic.evolve, parents, images, key, asked.rates, loss=loss, mutate=mutate,
        generations=asked.generations,
    )  # fmt: skip
    elite, losses, seconds = _timed(go)
    return Trained(name, elite, losses, genetic.CHILDREN + 1, seconds)


def _timed(run: Any) -> tuple[Any, np.ndarray, float]:
    """What a compiled training gives, and the seconds of its second run."""
    jax.block_until_ready(run())
    began = time.monotonic()
    weights, losses = jax.block_until_ready(run())
    return weights, np.asarray(losses), time.monotonic() - began


def sweep(asked: Asked, images: Images) -> np.ndarray:
    """(mu, power) loss of the elite on all training events, each pair of rates one member of a
    ``vmap``."""
    key = jax.random.key(asked.seed)
    parents = jax.vmap(regressor.uniform)(jax.random.split(key, genetic.PARENTS))
    grid = jnp.array([(mu, power) for mu in SWEEP_MU for power in SWEEP_POWER])

    def reached(pair: jax.Array) -> jax.Array:
        elite, _ = genetic.evolve(
            parents, images, jax.random.fold_in(key, 1), Rates(pair[0], pair[1]),
            loss=regressor_loss, generations=asked.generations,
        )  # fmt: skip
        return regressor_loss(elite, images)

    found = np.asarray(jax.lax.map(reached, grid))
    return found.reshape(len(SWEEP_MU), len(SWEEP_POWER))


def estimated(way: Trained, images: Images) -> np.ndarray:
    """Energies (n,) in GeV."""
    apply = supernet.regress if "architecture" in way.name else regressor.regress
    return np.asarray(apply(way.weights, images.image)) * regressor.ENERGY_UNIT


def error_by_energy(found: np.ndarray, energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges (BINS + 1,) in GeV and the mean relative error in each bin."""
    edges = np.linspace(energy.min(), energy.max(), BINS + 1)
    index = np.clip(np.digitize(energy, edges) - 1, 0, BINS - 1)
    error = np.abs(found - energy) / energy
    count = np.maximum(np.bincount(index, minlength=BINS), 1)
    return edges, np.bincount(index, error, BINS) / count


def write(
    asked: Asked, training: Images, test: Images, out: Path, progress: Progress = no_progress
) -> dict[str, Any]:
    """Train, judge on the test showers, write the page and ``scores.json``; the scores.

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
    kinds = 2 + asked.architecture + len(rivals.RIVALS) * asked.rivals
    with progress("evolve", kinds, "trainings") as advance:
        ways = []
        for way in trained(asked, training):
            ways.append(way)
            advance(1)
    energy = np.asarray(test.energy) * regressor.ENERGY_UNIT
    scores: dict[str, Any] = {
        "events": len(training.energy), "test_events": len(energy), "mu": float(asked.rates.mu),
        "power": float(asked.rates.power), "generations": asked.generations, "seed": asked.seed,
    }  # fmt: skip
    for way in ways:
        edges, error = error_by_energy(estimated(way, test), energy)
        scores[way.name] = {
            "test_error": float(np.mean(np.abs(estimated(way, test) - energy) / energy)),
            "seconds": way.seconds, "steps": len(way.losses),
            "evaluations": len(way.losses) * way.evaluations,
            "error_by_energy": error.tolist(), "edges_gev": edges.tolist(),
        }  # fmt: skip
    if asked.architecture:
        (found,) = (way for way in ways if "architecture" in way.name)
        scores["architecture"] = supernet.in_words(found.weights)
    if asked.sweep:
        with progress("sweep", 0, ""):
            rates = sweep(asked, training)
        scores["sweep"] = {
            "mu": SWEEP_MU,
            "power": SWEEP_POWER,
            "loss": rates.tolist(),
        }
    told = ", ".join(f"{way.name} {scores[way.name]['test_error']:.4f}" for way in ways)
    verdict = f"mean relative error on {len(energy):,} test showers: {told}"
    report = document.Report(
        "Genetic training", f"{len(training.energy):,} showers, {asked.generations:,} generations",
        verdict, scores, _sections(ways, test, energy, scores),
    )  # fmt: skip
    return document.write_report(report, out, progress=progress)


def _sections(
    ways: list[Trained], test: Images, energy: np.ndarray, scores: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    from hepjax.report.document import Drawing

    rows = [
        (way.name, f"{len(way.losses):,}", f"{len(way.losses) * way.evaluations:,}",
         f"{way.seconds:.2f}", f"{scores[way.name]['test_error']:.4f}")
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
    if "architecture" in scores:
        yield "Architecture", [page.paragraph(f"Found: {scores['architecture']}.")]
    if "sweep" in scores:
        found = [
            (f"{mu:g}", *(f"{x:.4f}" for x in row))
            for mu, row in zip(SWEEP_MU, scores["sweep"]["loss"], strict=True)
        ]
        columns = ("mu", *(f"power {power:g}" for power in SWEEP_POWER))
        yield "Rates", [page.table(columns, found)]


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
