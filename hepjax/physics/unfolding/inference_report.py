"""The report on density ratios: calibration, closure, expectation, expected curves, coverage."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.physics.unfolding import inference
from hepjax.physics.unfolding.inference import Events, Mixture, Variations
from hepjax.physics.unfolding.observables import label
from hepjax.physics.unfolding.scores import bins_of, triangular_discriminator
from hepjax.report import layout, page, plots
from hepjax.report.curves import Curves
from hepjax.report.document import Drawing, Parts, Report

LEVELS = 0.683, 0.954
NEYMAN_POINTS = 6
MOST_REFERENCE = 20_000
"""Reference events of expected curves."""


class Judged(NamedTuple):
    """Ratios of held-out events, and what is inferred with them.

    ``tasks`` and ``parts`` have ``label``, ``sample`` and ``sign`` as those of the workload.
    """

    observables: tuple[str, ...]
    tasks: tuple[Any, ...]
    parts: tuple[Any, ...]
    ratios: dict[str, np.ndarray]
    """By sample (n, members, tasks)."""
    samples: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
    """By sample x (n, observables), weights and signs (n,)."""
    coefficients: np.ndarray
    yields: np.ndarray
    yield_ratios: np.ndarray
    varied: tuple[str, ...]
    strengths: tuple[float, float]
    points: int
    truth: float
    toys: int
    seed: int

    @property
    def mixture(self) -> Mixture:
        """Of all parts."""
        return Mixture(jnp.asarray(self.coefficients), jnp.asarray(self.yields))

    @property
    def grid(self) -> np.ndarray:
        """(points,) signal strengths."""
        return np.linspace(*self.strengths, self.points)

    def weight(self, part: Any) -> np.ndarray:
        """(n,) of the events of a part in its sample, 0 of the other sign."""
        _, weight, sign = self.samples[part.sample]
        return weight * (sign == part.sign)

    def of_parts(self, sample: str) -> np.ndarray:
        """(n, parts) mean log ratios of a sample."""
        return self.ratios[sample].mean(axis=1)[:, : len(self.parts)]


def report(judged: Judged) -> Report:
    """The report on the ratios of a run."""
    ratios = {task.label: _of_task(judged, k) for k, task in enumerate(judged.tasks)}
    strength = _strength(judged)
    scores = {
        "ratios": ratios,
        "strength": strength,
        "members": judged.ratios["reference"].shape[1],
    }
    worst = max(ratios.values(), key=lambda r: abs(r["expectation"] - 1))
    words = (
        f"Expected signal strength {judged.truth:g} {strength['low'] - judged.truth:+.3f} "
        f"{strength['high'] - judged.truth:+.3f}; spread over members {strength['spread']:.3f}. "
        f"The expectation of the ratios is 1 within {abs(worst['expectation'] - 1):.4f}."
    )
    if judged.toys:
        shares = ", ".join(f"{100 * c:.1f} ± {100 * e:.1f} %" for c, e in strength["coverage"])
        words += (
            f" {judged.toys} toys: mean {strength['toys_mean']:.3f} ± "
            f"{strength['toys_mean_error']:.3f}, coverage {shares}."
        )
    return Report(
        "Inference from density ratios",
        f"{len(judged.tasks)} ratios, {scores['members']} members", words, scores,
        _sections(judged, scores),
        curves=(Curves("loss", (("train", "train", "loss"), ("held out", "validation", "loss"))),),
    )  # fmt: skip


def _of_task(judged: Judged, k: int) -> dict[str, Any]:
    """Calibration, closure and expectation of one ratio."""
    task = judged.tasks[k]
    one, zero = judged.weight(task.one), judged.weight(task.zero)
    log_one, log_zero = (judged.ratios[t.sample].mean(axis=1)[:, k] for t in (task.one, task.zero))
    joined = np.concatenate([log_one, log_zero])
    curve = inference.calibration(
        joined, np.append(one, np.zeros_like(zero)), np.append(np.zeros_like(one), zero)
    )
    mean, error = inference.expectation(log_zero[zero > 0], zero[zero > 0])
    closure = {}
    for d, name in enumerate(judged.observables):
        a, b = judged.samples[task.one.sample][0][:, d], judged.samples[task.zero.sample][0][:, d]
        edges = np.quantile(a[one > 0], np.linspace(0, 1, 21))
        wanted, before, after = (
            np.bincount(bins_of(x, edges), w, 20)
            for x, w in ((a, one), (b, zero), (b, zero * np.exp(log_zero)))
        )
        closure[name] = {
            "before": 1000 * float(triangular_discriminator(before, wanted)),
            "after": 1000 * float(triangular_discriminator(after, wanted)),
        }
    pulls = (curve[:, 1] - curve[:, 0]) / np.maximum(curve[:, 2], 1e-12)
    return {
        "calibration": curve, "calibration_chi2_ndf": float((pulls**2).mean()),
        "expectation": mean, "expectation_error": error, "closure": closure,
        "largest_log_ratio": float(np.abs(joined).max()),
        "spread": float(judged.ratios[task.zero.sample][..., k].std(axis=1).mean()),
    }  # fmt: skip


def _strength(judged: Judged) -> dict[str, Any]:
    """Expected curves, toys and the Neyman construction."""
    grid, mixture = jnp.asarray(judged.grid), judged.mixture
    weight = jnp.asarray(judged.samples["reference"][1][:MOST_REFERENCE])
    # As densities of these events, whose own fluctuation would move the minimum.
    log_ratio = inference.of_mean_one(
        jnp.asarray(judged.of_parts("reference")[:MOST_REFERENCE]), weight
    )
    curve = np.asarray(inference.asimov(mixture, log_ratio, weight, judged.truth, grid))
    low, high = _crossings(judged.grid, curve, judged.truth)
    found: dict[str, Any] = {
        "grid": judged.grid, "curve": curve, "low": low, "high": high,
        "spread": _spread(judged, log_ratio, weight),
    }  # fmt: skip
    if judged.varied:
        found["profiled_curve"], found["nuisance"] = _profiled(judged, log_ratio, weight)
        found["profiled_low"], found["profiled_high"] = _crossings(
            judged.grid, found["profiled_curve"], judged.truth
        )
    return found | (_toys(judged) if judged.toys else {})


def _asimov_weights(judged: Judged, log_ratio: jax.Array, weight: jax.Array) -> jax.Array:
    """(n,) of reference events in the Asimov sample."""
    found = inference.density(judged.mixture, log_ratio, jnp.array([judged.truth]))
    return weight / weight.sum() * found[:, 0]


def _spread(judged: Judged, log_ratio: jax.Array, weight: jax.Array) -> float:
    """Standard deviation of what the members find on the Asimov sample of their mean."""
    mixture, grid = judged.mixture, jnp.asarray(judged.grid)
    expected = _asimov_weights(judged, log_ratio, weight)
    each = jnp.asarray(judged.ratios["reference"][: len(weight), :, : len(judged.parts)])
    # Moved with the mean, so that what is left is the difference between members.
    each = each + (log_ratio - each.mean(axis=1))[:, None]
    places = [
        inference.minimum(grid, inference.twice_nll(mixture, each[:, m], expected, grid))[0]
        for m in range(each.shape[1])
    ]
    return float(np.std(places))


def _profiled(
    judged: Judged, log_ratio: jax.Array, weight: jax.Array
) -> tuple[np.ndarray, np.ndarray]:
    """The expected curve (g,) with nuisance parameters minimised over, and these (g, k)."""
    mixture, grid = judged.mixture, jnp.asarray(judged.grid)
    expected = _asimov_weights(judged, log_ratio, weight)
    varied = judged.ratios["reference"][: len(weight)].mean(axis=1)[:, len(judged.parts) :]
    part = [[float(p.sample == name) for p in judged.parts] for name in judged.varied]
    up, down = judged.yield_ratios.T
    reference = Events(
        log_ratio, weight, jnp.asarray(varied[:, 0::2]), jnp.asarray(varied[:, 1::2])
    )
    curve, nuisance = jax.jit(inference.profiled)(
        mixture, reference._replace(weight=expected), reference, grid,
        Variations(jnp.array(part), jnp.asarray(up), jnp.asarray(down)),
    )  # fmt: skip
    return np.asarray(curve - inference.at(grid, curve, judged.truth)), np.asarray(nuisance)


def _crossings(grid: np.ndarray, curve: np.ndarray, truth: float) -> tuple[float, float]:
    """Where an expected curve is 1 on both sides; the ends of the grid where it is not."""
    ends = []
    for side in (grid <= truth, grid >= truth):
        above = side & (curve >= 1)
        if not above.any():
            ends.append(float(grid[side][0 if side[0] else -1]))
            continue
        k = np.flatnonzero(above)[-1 if side[0] else 0]
        other = k + (1 if side[0] else -1)
        share = (curve[k] - 1) / max(curve[k] - curve[other], 1e-12)
        ends.append(float(grid[k] + share * (grid[other] - grid[k])))
    return ends[0], ends[1]


def _pool(judged: Judged) -> tuple[np.ndarray, Callable[[float], np.ndarray]]:
    """Log ratios (n, parts) from which toys draw, and how many of each event are expected at mu.

    Events of the processes; with negative weights among them, which cannot be drawn, reference
    events at the density that the ratios say, so that the toys then test the statistics alone.
    """
    mixture, pieces, shares = judged.mixture, [], []
    if (judged.yields < 0).any():
        weight = judged.samples["reference"][1]
        ratios = jnp.asarray(judged.of_parts("reference"))
        log_ratio = np.asarray(inference.of_mean_one(ratios, jnp.asarray(weight)))

        def at_density(mu: float) -> np.ndarray:
            found = inference.density(mixture, jnp.asarray(log_ratio), jnp.array([mu]))[:, 0]
            return weight / weight.sum() * np.asarray(found)

        return log_ratio, at_density
    for j, part in enumerate(judged.parts):
        weight = judged.weight(part)
        pieces.append(judged.of_parts(part.sample))
        shares.append((np.full(len(weight), j), weight / weight.sum()))
    which, share = (np.concatenate(x) for x in zip(*shares, strict=True))

    def of_processes(mu: float) -> np.ndarray:
        return share * np.asarray(inference.rates(mixture, jnp.asarray(mu)))[which]

    return np.concatenate(pieces), of_processes


def _toys(judged: Judged) -> dict[str, Any]:
    """Toys at the truth, and critical values of the Neyman construction over the grid."""
    log_ratio, expected = _pool(judged)
    pool, grid, key = jnp.asarray(log_ratio), jnp.asarray(judged.grid), jax.random.key(judged.seed)
    strengths = np.linspace(*judged.strengths, NEYMAN_POINTS)
    most = inference.room(max(expected(mu).sum() for mu in (*strengths, judged.truth)))
    run = jax.jit(partial(inference.toys, judged.mixture, count=judged.toys, most=most))

    def at(mu: float, number: int) -> inference.Toys:
        upto, total = inference.cumulative(expected(mu))
        made = run(
            log_ratio=pool, upto=upto, total=total, truth=mu, mu=grid,
            key=jax.random.fold_in(key, number),
        )  # fmt: skip
        return jax.device_get(made)

    made = at(judged.truth, 0)
    scan = np.stack([at(mu, k + 1).statistic for k, mu in enumerate(strengths)])
    inside = (made.estimate > judged.grid[1]) & (made.estimate < judged.grid[-2])
    return {
        "toys": judged.toys, "toys_mean": float(made.estimate.mean()),
        "toys_mean_error": float(made.estimate.std() / np.sqrt(judged.toys)),
        "toys_width": float(made.estimate.std()), "toys_at_ends": float(1 - inside.mean()),
        "coverage": inference.coverage(np.asarray(made.statistic)),
        "estimates": made.estimate, "neyman_strengths": strengths,
        "neyman_critical": np.stack([inference.critical_values(scan, x) for x in LEVELS]),
    }  # fmt: skip


def _sections(judged: Judged, scores: dict[str, Any]) -> Iterator[tuple[str, Parts]]:
    head = ("ratio", "expectation", "calibration chi2/ndf", "largest |log ratio|", "spread",
            "closure: worst before", "after")  # fmt: skip
    rows = []
    for name, r in scores["ratios"].items():
        worst = max(r["closure"].values(), key=lambda c: c["after"])
        rows.append((
            name, f"{r['expectation']:.4f} ± {r['expectation_error']:.4f}",
            f"{r['calibration_chi2_ndf']:.2f}", f"{r['largest_log_ratio']:.2f}",
            f"{r['spread']:.3f}", f"{worst['before']:.3g}", f"{worst['after']:.3g}",
        ))  # fmt: skip
    yield "Ratios", lambda: [page.table(head, rows), _calibration(scores), _closure(judged)]
    yield "Signal strength", lambda: [_curves(judged, scores["strength"])]
    if judged.toys:
        yield "Pseudo-experiments", lambda: [_toy_figure(judged, scores["strength"])]


def _calibration(scores: dict[str, Any]) -> Drawing:
    names = list(scores["ratios"])
    figure, grid = layout.panel_grid(len(names), min(max(len(names), 2), 4), [2.3])
    for name, (axis,) in zip(names, grid, strict=True):
        predicted, found, error = np.array(scores["ratios"][name]["calibration"]).T
        axis.plot([0, 1], [0, 1], color="0.5", lw=1)
        axis.errorbar(predicted, found, error, fmt="o", ms=3.5, color=plots.LINE)
        axis.set_title(name)
        axis.set_xlabel("predicted share")
        axis.set_ylabel("found share")
    layout.head(figure, "held-out events, ten bins of equal weight")
    return Drawing(
        "calibration", "Calibration", "Share of class 1 against r / (1 + r); on the line where the "
        "ratio is right.", figure,
    )  # fmt: skip


def _closure(judged: Judged) -> Drawing:
    tasks = judged.tasks[:3]
    panels = [(k, d) for k in range(len(tasks)) for d in range(min(len(judged.observables), 3))]
    figure, grid = layout.panel_grid(len(panels), min(max(len(panels), 2), 3), [2.3])
    for (k, d), (axis,) in zip(panels, grid, strict=True):
        task = tasks[k]
        one, zero = judged.weight(task.one), judged.weight(task.zero)
        a, b = judged.samples[task.one.sample][0][:, d], judged.samples[task.zero.sample][0][:, d]
        low, high = np.quantile(a, [0.002, 0.998])
        edges = np.linspace(low, high, 31)
        ratio = np.exp(judged.ratios[task.zero.sample].mean(axis=1)[:, k])
        for x, w, style in (
            (a, one, {"fill": True, "color": plots.FILL}),
            (b, zero, {"color": "0.45", "ls": "--"}),
            (b, zero * ratio, {"color": plots.LINE, "lw": 1.7}),
        ):
            axis.stairs(np.histogram(x, edges, weights=w / w.sum())[0], edges, **style)
        axis.set_title(task.label)
        axis.set_xlabel(label(judged.observables[d]))
        axis.set_ylim(bottom=0)
    layout.head(figure, "filled: sample, dashed: reference, line: reference reweighted")
    return Drawing(
        "closure", "Reweighting closure", "The reference with the weights r is to be the sample.",
        figure,
    )  # fmt: skip


def _curves(judged: Judged, strength: dict[str, Any]) -> Drawing:
    names = judged.varied and judged.tasks[len(judged.parts) :: 2]
    figure, panels = layout.panel_grid(2 if names else 1, 2, [3.2])
    axis = panels[0][0]
    axis.plot(strength["grid"], strength["curve"], color=plots.EDGE, lw=1.8, label="expected")
    if "profiled_curve" in strength:
        axis.plot(
            strength["grid"], strength["profiled_curve"], color=plots.LINE, lw=1.8, ls="--",
            label="with nuisance parameters",
        )  # fmt: skip
    if "neyman_critical" in strength:
        for critical, colour in zip(strength["neyman_critical"], ("0.4", "0.65"), strict=True):
            axis.plot(strength["neyman_strengths"], critical, ":", color=colour, lw=1.6)
    axis.set_ylim(0, 9)
    axis.set_xlabel("signal strength")
    axis.set_ylabel("-2 ln likelihood ratio")
    axis.legend(frameon=False)
    if names:
        axis = panels[1][0]
        for task, values in zip(names, strength["nuisance"].T, strict=True):
            axis.plot(strength["grid"], values, lw=1.8, label=task.label.removesuffix("_up"))
        axis.set_xlabel("signal strength")
        axis.set_title("nuisance parameters at the minimum")
        axis.legend(frameon=False)
    layout.head(figure, f"Asimov sample at {judged.truth:g}")
    return Drawing(
        "curves", "Expected likelihood", "From the reference weighted by the density at the true "
        "strength. Dotted: critical values of toys for 68.3 and 95.4 %, 1 and 4 where chi2 holds.",
        figure,
    )  # fmt: skip


def _toy_figure(judged: Judged, strength: dict[str, Any]) -> Drawing:
    figure, ((axis,),) = layout.panel_grid(1, 2, [2.8])
    axis.hist(strength["estimates"], 40, color=plots.FILL, edgecolor=plots.EDGE)
    axis.axvline(judged.truth, color=plots.LINE)
    axis.set_xlabel("estimated signal strength")
    axis.set_ylabel("toys")
    layout.head(figure, f"{judged.toys} toys")
    drawn = "reference events at the learnt density" if (judged.yields < 0).any() else (
        "held-out events of the processes"
    )  # fmt: skip
    return Drawing("toys", "Estimates of toys", f"Toys are drawn from {drawn}.", figure)
