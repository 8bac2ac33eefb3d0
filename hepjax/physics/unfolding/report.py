"""The report on an unfolding: observables before and after, spreads, iterations against bias."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from hepjax.physics.unfolding.observables import label
from hepjax.physics.unfolding.scores import (
    bins_of,
    covariance,
    histograms,
    triangular_discriminator,
)
from hepjax.report import layout, page, plots
from hepjax.report.curves import Curves, validation
from hepjax.report.document import Drawing, Parts, Report

BINS = 20
TAIL = 0.002
"""Share of the events beyond the edges on either side, which count in the first and last bin."""


class Shown(NamedTuple):
    """Observables (n, names) of measured and simulated events, ``reco`` and ``gen``, with weights
    and flags as read; ``gen`` of the measured ones where their truth is known."""

    names: tuple[str, ...]
    measured: dict[str, np.ndarray]
    simulation: dict[str, np.ndarray]
    background: dict[str, np.ndarray] | None = None


@dataclass
class Weighed:
    """What the weights of all iterations say; filled piece by piece."""

    shown: Shown | None
    members: int
    iterations: int
    edges: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """By level, of each observable."""
    places: dict[str, list[np.ndarray]] = field(default_factory=dict)
    made: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """By level, of each observable (bins, members, iterations)."""
    before: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """(bins,) of the simulation as it was."""
    wanted: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """(bins,) measured events, and true ones where they are known."""
    sums: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """(3, members, iterations) sum, sum of squares, largest."""
    total: float = 0.0
    own: list[np.ndarray] = field(default_factory=list)
    areas: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 2)))

    @classmethod
    def start(cls, shown: Shown | None, members: int, iterations: int) -> "Weighed":
        """With the bins of all observables, and without events."""
        found = cls(shown, members, iterations, sums=np.zeros((3, members, iterations)))
        for level in ("gen", "reco") if shown is not None else ():
            assert shown is not None
            simulated, measured = shown.simulation, shown.measured
            known = level in measured
            inside = simulated[f"pass_{level}"]
            edges = []
            for k in range(len(shown.names)):
                values = simulated[level][inside, k]
                if known:
                    values = np.concatenate([values, measured[level][measured[f"pass_{level}"], k]])
                edges.append(_edges(values))
            found.edges[level] = edges
            found.places[level] = [
                bins_of(simulated[level][:, k], e) for k, e in enumerate(edges)
            ]  # fmt: skip
            form = (members, iterations)
            found.made[level] = [np.zeros((len(e) - 1, *form)) for e in edges]
            found.before[level] = [np.zeros(len(e) - 1) for e in edges]
            if known:
                found.wanted[level] = [
                    _histogram(measured, level, k, e) - (
                        _histogram(shown.background, level, k, e)
                        if shown.background is not None and level == "reco" else 0.0
                    )
                    for k, e in enumerate(edges)
                ]  # fmt: skip
        return found

    def add(self, part: slice, own: np.ndarray, weights: np.ndarray, inside: np.ndarray) -> None:
        """Count the simulated events ``part``.

        Args:
          own: (n,) weights before, in measured events. weights: (n, members, iterations) after.
          inside: (n,) which are in the phase space.
        """
        flat = weights.reshape(len(weights), -1)
        true = flat * inside[:, None]
        form = (self.members, self.iterations)
        self.sums[0] += true.sum(axis=0).reshape(form)
        self.sums[1] += (true.astype(float) ** 2).sum(axis=0).reshape(form)
        self.sums[2] = np.maximum(self.sums[2], true.max(axis=0).reshape(form))
        self.total += float((own * inside).sum())
        for level, places in self.places.items():
            assert self.shown is not None
            passed = self.shown.simulation[f"pass_{level}"][part]
            for k, place in enumerate(places):
                at, bins = place[part][passed], len(self.edges[level][k]) - 1
                self.made[level][k] += histograms(at, flat[passed], bins).reshape(-1, *form)
                self.before[level][k] += np.bincount(at, own[passed], bins)

    def histograms(self, bootstraps: int) -> Iterator[
        tuple[str, np.ndarray, np.ndarray, np.ndarray]
    ]:  # fmt: skip
        """Name, edges, nominal (bins,) and covariance (bins, bins) of each unfolded observable."""
        for k, name in enumerate(self.shown.names if self.shown is not None else ()):
            final = self.made["gen"][k][..., -1].T
            nominal, boots = self.split(final, bootstraps)
            yield name, self.edges["gen"][k], nominal.mean(axis=0), covariance(boots)

    def split(self, of_members: np.ndarray, bootstraps: int) -> tuple[np.ndarray, np.ndarray]:
        """Members (leading axis) that differ in their seed alone, and bootstraps."""
        first = max(self.members - bootstraps, 0)
        return of_members[: first or self.members], of_members[first:]

    def words(self) -> dict[str, Any]:
        """What ``weights.json`` says of the weights of each member."""
        return {
            "sum": self.sums[0, :, -1],
            "effective_sample_size": self.effective[:, -1],
            "largest_weight": self.sums[2, :, -1],
            "area_under_curve": self.areas[:, -1],
        }

    @property
    def effective(self) -> np.ndarray:
        """(members, iterations) effective sample sizes."""
        return self.sums[0] ** 2 / np.maximum(self.sums[1], 1e-300)


def _edges(values: np.ndarray) -> np.ndarray:
    low, high = np.quantile(values, [TAIL, 1 - TAIL])
    if high <= low:
        low, high = low - 0.5, high + 0.5
    if (values == np.round(values)).all():  # bins of whole numbers have as many of them each
        width = np.ceil((high - low + 1) / BINS)
        return np.floor(low) - 0.5 + width * np.arange(BINS + 1)
    return np.linspace(low, high, BINS + 1)


def _histogram(events: dict[str, np.ndarray], level: str, k: int, edges: np.ndarray) -> np.ndarray:
    passed = events[f"pass_{level}"]
    place = bins_of(events[level][passed, k], edges)
    return np.bincount(place, events["weight"][passed], len(edges) - 1)


def report(found: Weighed, bootstraps: int) -> Report:
    """The report on all iterations."""
    area, error = found.areas[:, :, 0].mean(axis=0), found.areas[:, :, 1].mean(axis=0)
    seeds = max(found.members - bootstraps, 0)
    scores: dict[str, Any] = {
        "iterations": found.iterations, "members": found.members, "bootstraps": bootstraps,
        "area_under_curve": area, "area_under_curve_error": error,
        "effective_sample_size": found.effective.mean(axis=0),
        "largest_weight": found.sums[2].max(axis=0),
        "mean_weight": (found.sums[0] / max(found.total, 1e-300)).mean(axis=0),
        "observables": {
            name: _scores(found, k, bootstraps)
            for k, name in enumerate(found.shown.names if found.shown is not None else ())
        },
    }  # fmt: skip
    apart = abs(area[-1] - 0.5) / error[-1]
    words = (
        f"After {found.iterations} iterations a classifier tells measured from reweighted "
        f"simulated events with an area under the curve of {area[-1]:.4f} ± {error[-1]:.4f} "
        f"({'within' if apart < 2 else f'{apart:.1f} errors from'} the 0.5 of equal ones), "
        f"{area[0]:.4f} before."
    )
    for name, s in scores["observables"].items():
        if s["to_truth"]:
            words += (
                f" {name}: distance to the truth {s['to_truth_before']:.3g} before, "
                f"{s['to_truth'][-1]:.3g} after (triangular discriminator x 1000)."
            )
    return Report(
        "Unfolding", f"{found.total:,.0f} events in the data, {found.members} members "
        f"({seeds} seeds, {bootstraps} bootstraps)", words, scores,
        _sections(found, scores, bootstraps),
        curves=(
            Curves("loss", (("train", "train", "loss"),)),
            validation("mean weight", ("mean_weight",)),
            validation("effective share of events", ("effective_share",)),
        ),
    )  # fmt: skip


def _scores(found: Weighed, k: int, bootstraps: int) -> dict[str, Any]:
    """Distances of one observable (triangular discriminators x 1000), moments and spreads."""
    made, edges = found.made["gen"][k], found.edges["gen"][k]
    nominal, boots = found.split(np.moveaxis(made, 1, 0), bootstraps)
    mean = nominal.mean(axis=0)
    at_reco = found.split(np.moveaxis(found.made["reco"][k], 1, 0), bootstraps)[0].mean(axis=0)
    truth = found.wanted.get("gen")
    final, size = mean[:, -1], np.maximum(mean[:, -1], 1e-300)

    def distances(of: np.ndarray, to: np.ndarray) -> list[float]:
        return [1000 * float(triangular_discriminator(x, to)) for x in of.T]

    return {
        "to_measured": distances(at_reco, found.wanted["reco"][k]),
        "to_measured_before": 1000 * float(
            triangular_discriminator(found.before["reco"][k], found.wanted["reco"][k])),
        "to_truth": distances(mean, truth[k]) if truth else [],
        "to_truth_before": 1000 * float(
            triangular_discriminator(found.before["gen"][k], truth[k])) if truth else None,
        "mean": [_moments(x, edges)[0] for x in mean.T],
        "width": [_moments(x, edges)[1] for x in mean.T],
        "truth": _moments(truth[k], edges) if truth else None,
        "spread_of_seeds": float(np.median(nominal[..., -1].std(axis=0) / size)),
        "spread_of_bootstraps": (
            float(np.median(boots[..., -1].std(axis=0) / size)) if bootstraps > 1 else None),
        "edges": edges, "unfolded": final,
    }  # fmt: skip


def _moments(histogram: np.ndarray, edges: np.ndarray) -> tuple[float, float]:
    """Mean and width from the middles of the bins."""
    middle = (edges[1:] + edges[:-1]) / 2
    mean = float(np.average(middle, weights=histogram))
    return mean, float(np.sqrt(np.average((middle - mean) ** 2, weights=histogram)))


def _sections(
    found: Weighed, scores: dict[str, Any], bootstraps: int
) -> Iterator[tuple[str, Parts]]:
    yield "Weights", lambda: [_table(found, scores), _course(found, scores)]
    if found.shown is None:
        return
    yield "Unfolded observables", lambda: [_observables(found, "gen", bootstraps)]
    yield "At detector level", lambda: [_observables(found, "reco", bootstraps)]
    yield "Spread and iterations", lambda: [_spreads(found, bootstraps), _bias(found, scores)]


def _table(found: Weighed, scores: dict[str, Any]) -> str:
    head = ("after iteration", "area under the curve", "effective events", "largest weight",
            "mean weight")  # fmt: skip
    rows = [
        (
            str(k + 1), f"{scores['area_under_curve'][k + 1]:.4f} ± "
            f"{scores['area_under_curve_error'][k + 1]:.4f}",
            f"{scores['effective_sample_size'][k]:,.0f}", f"{scores['largest_weight'][k]:.3g}",
            f"{scores['mean_weight'][k]:.4f}",
        )
        for k in range(found.iterations)
    ]  # fmt: skip
    return page.table(head, rows)


def _course(found: Weighed, scores: dict[str, Any]) -> Drawing:
    steps = np.arange(found.iterations + 1.0)
    area, error = scores["area_under_curve"], scores["area_under_curve_error"]
    figure, ((axis,), (other,)) = layout.panel_grid(2, 2, [2.6])
    axis.errorbar(steps, area, error, fmt="o-", color=plots.LINE, ms=4)
    axis.axhline(0.5, color="0.45", ls="--", lw=1.2)
    axis.set_ylabel("area under the curve")
    other.plot(steps[1:], scores["effective_sample_size"], "o-", color=plots.EDGE, ms=4)
    other.set_ylabel("effective events")
    other.set_ylim(bottom=0)
    for each in (axis, other):
        each.set_xlabel("iterations")
        each.set_xticks(steps)
    layout.head(figure, "measured against reweighted simulated events, held-out ones")
    return Drawing(
        "course", "When to stop",
        "Where the area under the curve is 0.5 within its error, further iterations fit noise. "
        "Weights that spread leave fewer effective events.", figure,
    )  # fmt: skip


def _observables(found: Weighed, level: str, bootstraps: int) -> Drawing:
    assert found.shown is not None
    names = found.shown.names
    columns = min(max(len(names), 2), 3)
    figure, grid = layout.panel_grid(len(names), columns, [2.4, 0.9])
    for k, (name, (axis, ratio)) in enumerate(zip(names, grid, strict=True)):
        edges, wanted = found.edges[level][k], found.wanted.get(level)
        nominal, boots = found.split(np.moveaxis(found.made[level][k][..., -1], 1, 0), bootstraps)
        after, before = nominal.mean(axis=0), found.before[level][k]
        spread = boots.std(axis=0) if bootstraps > 1 else nominal.std(axis=0)
        base = wanted[k] if wanted else after
        if wanted:
            axis.stairs(wanted[k], edges, fill=True, color=plots.FILL, label="wanted")
        axis.stairs(before, edges, color="0.45", ls="--", lw=1.4)
        axis.stairs(after, edges, color=plots.LINE, lw=1.8)
        middle = (edges[1:] + edges[:-1]) / 2
        axis.errorbar(middle, after, spread, fmt="none", ecolor=plots.LINE)
        axis.set_ylim(bottom=0)
        safe = np.where(base > 0, base, np.nan)
        ratio.axhline(1.0, color="0.35", lw=0.9)
        ratio.stairs(before / safe, edges, baseline=None, color="0.45", ls="--", lw=1.4)
        ratio.errorbar(middle, after / safe, spread / safe, fmt="o", ms=3, color=plots.LINE)
        ratio.set_ylim(0.6, 1.4)
        ratio.set_xlabel(label(name))
        if k % columns == 0:
            axis.set_ylabel("events")
            ratio.set_ylabel("ratio", loc="center")
    words = {"gen": "the truth of the measured events", "reco": "measured events"}[level]
    dashed = "dashed: simulation before; line: unfolded, with the spread of the "
    dashed += "bootstraps" if bootstraps > 1 else "members"
    filled = f"Filled: {words}; " if level in found.wanted else ""
    layout.head(figure, {"gen": "particle level", "reco": "detector level"}[level])
    return Drawing(f"observables_{level}", words.capitalize(), f"{filled}{dashed}.", figure)


def _spreads(found: Weighed, bootstraps: int) -> Drawing:
    assert found.shown is not None
    names = found.shown.names
    figure, grid = layout.panel_grid(len(names), min(max(len(names), 2), 3), [2.2])
    for k, (name, (axis,)) in enumerate(zip(names, grid, strict=True)):
        edges = found.edges["gen"][k]
        nominal, boots = found.split(np.moveaxis(found.made["gen"][k][..., -1], 1, 0), bootstraps)
        size = np.maximum(nominal.mean(axis=0), 1e-300)
        axis.stairs(nominal.std(axis=0) / size, edges, color=plots.EDGE, lw=1.6, label="seeds")
        if bootstraps > 1:
            axis.stairs(
                boots.std(axis=0) / size, edges, color=plots.LINE, lw=1.6, label="bootstraps"
            )
        axis.set_xlabel(label(name))
        axis.set_ylabel("relative spread")
        axis.set_ylim(bottom=0)
        axis.legend(frameon=False, fontsize=11)
    layout.head(figure, f"{found.members} members")
    return Drawing(
        "spreads", "Spread over members",
        "Members that differ in their seed alone show what training leaves to chance; bootstraps "
        "show that and the statistics of the measured events.", figure,
    )  # fmt: skip


def _bias(found: Weighed, scores: dict[str, Any]) -> Drawing:
    steps = np.arange(found.iterations + 1.0)
    panels = []
    for key, title in (("to_truth", "to the truth"), ("to_measured", "to the measured events")):
        lines = [
            (name, steps, np.array([s[f"{key}_before"], *s[key]]))
            for name, s in scores["observables"].items() if s[key]
        ]  # fmt: skip
        if lines:
            panels.append((f"distance {title}", lines[:4], "log"))
    figure = plots.lines(panels, "iterations", "triangular discriminator x 1000")
    return Drawing(
        "bias", "Iterations against bias",
        "Distance of histograms, averaged over the seeds. Bias of the simulation falls with each "
        "iteration, and the spread over members rises.", figure,
    )  # fmt: skip
