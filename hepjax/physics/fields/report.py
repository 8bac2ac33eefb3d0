"""The report on fields of gas: spectra, phases, distributions, absorption, slices.

Beside the network stand the fluctuating Gunn-Peterson approximation of the same dark matter, and
the formula that made simulated gas (the oracle), of the fields as the file holds them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from hepjax.formats.fields.box import GAS, Facts
from hepjax.ops import boxes, gas
from hepjax.ops.cosmology import Cosmology
from hepjax.physics.fields import flux, spectra
from hepjax.report import maps, page, plots
from hepjax.report.curves import LOSS, validation
from hepjax.report.document import Drawing, Parts, Report

NETWORK, APPROXIMATION, ORACLE = "network", "FGPA", "oracle"
DENSITY = np.linspace(-3.0, 4.5, 51)
"""Edges of the logarithm of the density."""
POWER_GOAL, CORRELATION_GOAL = 0.05, 0.98
"""Largest deviation of the power, smallest correlation, up to half the Nyquist frequency."""


@dataclass(frozen=True)
class Judged:
    """A box: dark matter (n, n, n, 4), true gas and that of a network (n, n, n, 5)."""

    facts: Facts
    dark: np.ndarray
    true: np.ndarray
    made: np.ndarray


@dataclass(frozen=True)
class Rows:
    """What is compared, by who made it: ``spectra`` (3, shells), ``rms`` (5,) of the scaled
    differences, ``density`` and ``flux`` shares of cells, ``lines`` power of the flux."""

    spectra: dict[str, np.ndarray]
    rms: dict[str, np.ndarray]
    density: dict[str, np.ndarray]
    flux: dict[str, np.ndarray]
    lines: dict[str, np.ndarray]


def report(judged: list[Judged]) -> Report:
    """The report on boxes of one size with gas."""
    found = _rows(judged)
    scores = _scores(found, judged)
    met = scores["power_error"] <= POWER_GOAL and scores["correlation"] >= CORRELATION_GOAL
    words = (
        f"Up to half the Nyquist frequency the power of the density is within "
        f"{scores['power_error']:.1%} of the true one, and r(k) is {scores['correlation']:.4f} or "
        f"more (FGPA: {scores['fgpa_power_error']:.1%} and {scores['fgpa_correlation']:.4f}). The "
        f"goals, {POWER_GOAL:.0%} and {CORRELATION_GOAL}, are {'met' if met else 'missed'}."
    )
    cells = judged[0].made.shape[0]
    return Report(
        "Gas from dark matter", f"{len(judged):,} boxes of {cells}^3 cells", words, scores,
        _sections(found, scores, judged),
        curves=(LOSS, validation("density", ("power_error", "correlation"))),
    )  # fmt: skip


def _makers(box: Judged) -> dict[str, np.ndarray]:
    """Gas by who made it; the oracle where the file says what its formula needs."""
    made = {NETWORK: box.made, APPROXIMATION: np.asarray(_fluctuating(box.dark))}
    rate = _rate(box.facts)
    return made if rate is None else made | {ORACLE: np.asarray(_oracle(box.dark, rate))}


_fluctuating, _oracle = jax.jit(gas.fluctuating), jax.jit(gas.gas)


def _rate(facts: Facts) -> float | None:
    """a H f of a box in km/s a cell, and None where its file does not say what that takes."""
    if facts.cell is None or facts.redshift is None or facts.omega_m is None:
        return None
    return boxes.rate(Cosmology(omega_m=facts.omega_m), facts.redshift, facts.cell)


def _rows(judged: list[Judged]) -> Rows:
    made = [_makers(box) for box in judged]
    names = [n for n in (NETWORK, APPROXIMATION, ORACLE) if all(n in m for m in made)]
    sums = jax.jit(spectra.sums)
    true = [box.true for box in judged]
    powers = {
        n: np.sum([sums(m[n][..., 0], t[..., 0]) for m, t in zip(made, true, strict=True)], axis=0)
        for n in names
    }
    rms = {
        n: np.sqrt(np.mean(
            [((_scaled(m[n]) - _scaled(t)) ** 2).mean((0, 1, 2)) for m, t in
             zip(made, true, strict=True)], axis=0))
        for n in names
    }  # fmt: skip
    every = {"truth": true} | {n: [m[n] for m in made] for n in names}
    density = {
        n: np.mean([flux.distribution(np.log(np.maximum(x[..., 0], 1e-6)), DENSITY) for x in xs], 0)
        for n, xs in every.items()
    }
    if ORACLE not in names:
        return Rows(powers, rms, density, {}, {})
    depths = {
        n: [_depth(x, box.facts) for x, box in zip(xs, judged, strict=True)]
        for n, xs in every.items()
    }
    factor = flux.factor(depths["truth"])
    light = {n: [np.exp(-factor * d) for d in ds] for n, ds in depths.items()}
    return Rows(
        powers, rms, density,
        {n: np.mean([flux.distribution(f, flux.BINS) for f in fs], 0) for n, fs in light.items()},
        {n: np.mean([flux.line_power(f) for f in fs], 0) for n, fs in light.items()},
    )  # fmt: skip


def _depth(fields: np.ndarray, facts: Facts) -> np.ndarray:
    assert facts.cell is not None
    assert facts.redshift is not None
    assert facts.omega_m is not None
    across = boxes.across(Cosmology(omega_m=facts.omega_m), facts.redshift, facts.cell)
    return flux.optical_depth(fields, across)


def _scaled(fields: np.ndarray) -> np.ndarray:
    """Logarithms of density and temperature, velocities in 100 km/s."""
    logs = np.log(np.maximum(fields[..., :2], 1e-6))
    return np.concatenate([logs, fields[..., 2:] / 100], axis=-1)


def _scores(found: Rows, judged: list[Judged]) -> dict[str, Any]:
    scores: dict[str, Any] = {"boxes": len(judged), "cells": judged[0].made.shape[0]}
    prefixes = {NETWORK: "", APPROXIMATION: "fgpa_", ORACLE: "oracle_"}
    for name, total in found.spectra.items():
        ratio, correlation = spectra.ratios(total)
        prefix = prefixes[name]
        scores |= {
            f"{prefix}power_error": float(np.abs(ratio - 1).max()),
            f"{prefix}correlation": float(correlation.min()),
            f"{prefix}rms": dict(zip(GAS, map(float, found.rms[name]), strict=True)),
        }
        if name in found.lines:
            half = max(len(found.lines["truth"]) // 2, 1)
            off = found.lines[name][:half] / found.lines["truth"][:half] - 1
            apart = np.abs(found.flux[name] - found.flux["truth"]).sum() / 2
            scores |= {
                f"{prefix}flux_power_error": float(np.abs(off).max()),
                f"{prefix}flux_distribution_apart": float(apart),
            }
    return scores


def _sections(
    found: Rows, scores: dict[str, Any], judged: list[Judged]
) -> Iterator[tuple[str, Parts]]:
    yield "Scores", [_table(found, scores)]
    yield "Spectra", lambda: [_spectra(found, judged[0].made.shape[0])]
    yield "Distributions", lambda: [_distributions(found)]
    if found.lines:
        yield "Absorption", lambda: [_absorption(found)]
    yield "A slice", lambda: [_slice(judged[0])]


def _table(found: Rows, scores: dict[str, Any]) -> str:
    names = list(found.spectra)
    prefixes = {NETWORK: "", APPROXIMATION: "fgpa_", ORACLE: "oracle_"}
    lines = [
        ("power_error", "power of the density, largest deviation up to half Nyquist"),
        ("correlation", "r(k) of the density, smallest up to half Nyquist"),
        ("flux_power_error", "power of the flux along lines, largest deviation up to half Nyquist"),
        ("flux_distribution_apart", "distribution of the flux, share of cells in other bins"),
    ]
    rows = [
        [words, *(f"{scores[prefixes[n] + key]:.4f}" for n in names)]
        for key, words in lines if key in scores
    ]  # fmt: skip
    rows += [
        [f"rms difference of {field} ({unit})", *(f"{found.rms[n][k]:.4f}" for n in names)]
        for k, (field, unit) in enumerate(
            zip(GAS, ("log", "log", *("100 km/s",) * 3), strict=True)
        )
    ]  # fmt: skip
    return page.table(["", *names], rows)


def _spectra(found: Rows, cells: int) -> Drawing:
    k = np.arange(1, spectra.shells(cells) + 1)
    both = {n: spectra.ratios(total) for n, total in found.spectra.items()}
    figure = plots.lines(
        [
            ("P / P true", [(n, k, r[0]) for n, r in both.items()], "linear"),
            ("r(k)", [(n, k, r[1]) for n, r in both.items()], "linear"),
        ],
        "k [2 pi / edge]", "density of gas",
    )  # fmt: skip
    return Drawing(
        "spectra", "Power and phases",
        f"Up to half the Nyquist frequency, {cells // 4}. Both are 1 for the true field.", figure,
    )  # fmt: skip


def _distributions(found: Rows) -> Drawing:
    middle = (DENSITY[1:] + DENSITY[:-1]) / 2
    curves = [(n, middle, np.where(y > 0, y, np.nan)) for n, y in found.density.items()]
    figure = plots.lines([("share of cells", curves, "log")], "ln density", "density of gas")
    return Drawing("density", "Distribution of the density", "Of all cells.", figure)


def _absorption(found: Rows) -> Drawing:
    middle = (flux.BINS[1:] + flux.BINS[:-1]) / 2
    k = np.arange(1, len(found.lines["truth"]) + 1)
    figure = plots.lines(
        [
            ("share of cells, by flux", [(n, middle, y) for n, y in found.flux.items()], "log"),
            ("power along lines, by k", [(n, k, y) for n, y in found.lines.items()], "log"),
        ],
        "flux, k [2 pi / edge]", f"mean flux {flux.MEAN_FLUX}",
    )  # fmt: skip
    return Drawing(
        "flux", "The Lyman-alpha forest",
        "Optical depth from density and temperature, moved by the velocity along z. Its factor is "
        "that which gives the true fields this mean flux.", figure,
    )  # fmt: skip


def _slice(box: Judged) -> Drawing:
    rows = [
        [x[:, :, 0, 0] for x in (box.true, box.made, np.asarray(_fluctuating(box.dark)))],
        [x[:, :, 0, 1] / 1e4 for x in (box.true, box.made, np.asarray(_fluctuating(box.dark)))],
    ]
    figure = maps.pictures(
        rows, ["density", "temperature [1e4 K]"], ["truth", NETWORK, APPROXIMATION],
        [("x [cells]", "y [cells]")] * 3, "density, temperature", "one slice of cells", decades=3,
    )  # fmt: skip
    return Drawing("slice", "A slice of the first box", "Cells at z = 0.", figure)
