"""The report on a curve of trigger networks: size against performance, and the fixed point.

``scores.json`` holds, for each network in the order of ``curve.costs``, its size (``ebops``,
``weights``, bits, ``overflow``) and what it decides (``accuracy`` or areas); ``bayes`` is the best
possible accuracy of a toy; ``mismatches`` counts sums that differ from integer arithmetic.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepjax.formats.trigger.tasks import TASKS
from hepjax.physics.trigger.metrics import anomalous, bayes, classified
from hepjax.report import layout, page, plots
from hepjax.report.curves import Curves, validation
from hepjax.report.document import Drawing, Parts, Report

CURVES = (
    Curves(
        "loss and weighted cost, mean of all networks",
        (("validation", "validation", "objective"),), "log",
    ),
    Curves(
        "EBOPs, mean of all networks",
        (("train", "train", "ebops"), ("validation", "validation", "ebops")), "log",
    ),
    validation("accuracy, mean of all networks", ("accuracy",)),
)  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """Labelled events of a task and what each network says of them."""

    task: str
    label: np.ndarray
    """(n,) number of the class."""
    scores: list[dict[str, np.ndarray]]
    """Of each network the probability (n,) of each class, or ``anomaly``."""
    sizes: list[dict[str, Any]]
    """What each network costs."""
    inputs: np.ndarray
    """(n, k)."""


def report(judged: Judged) -> Report:
    """The report on events whose classes are known."""
    anomaly = TASKS[judged.task].anomaly
    networks = []
    for said, size in zip(judged.scores, judged.sizes, strict=True):
        if anomaly:
            found = anomalous(judged.task, said["anomaly"], judged.label)
        else:
            found = classified(judged.task, said, judged.label)
        networks.append(size | found)
    best = bayes(judged.task, judged.inputs, judged.label)
    scores: dict[str, Any] = {
        "task": judged.task, "events": len(judged.label), "networks": networks,
        "mismatches": sum(n["mismatches"] for n in networks),
        "compared": sum(n["compared"] for n in networks),
        "overflow": sum(n["overflow"] for n in networks),
    }  # fmt: skip
    if best is not None:
        scores |= {"bayes": best[0], "bayes_error": best[1]}
    quality = "mean_auc" if anomaly else "accuracy"
    return Report(
        "Networks for the trigger", f"{judged.task}, {len(judged.label):,} events, "
        f"{len(networks)} networks", _verdict(scores, quality), scores,
        _sections(scores, quality),
        curves=CURVES,
    )  # fmt: skip


def _verdict(scores: dict[str, Any], quality: str) -> str:
    networks = scores["networks"]
    large = max(networks, key=lambda n: n["ebops"])
    small = min(networks, key=lambda n: n["ebops"])
    word = "accuracy" if quality == "accuracy" else "mean area under the ROC curve"
    text = (
        f"From {large['ebops']:,.0f} to {small['ebops']:,.0f} effective bit operations the {word} "
        f"goes from {large[quality]:.4f} to {small[quality]:.4f}"
    )
    if "bayes" in scores:
        text += f"; the best possible on these events is {scores['bayes']:.4f}"
    return text + (
        f". Integer arithmetic gives other sums in {scores['mismatches']} of "
        f"{scores['compared']:,} cases; {scores['overflow']:,} values lay beyond their grids."
    )


def _sections(scores: dict[str, Any], quality: str) -> Iterator[tuple[str, Parts]]:
    networks = scores["networks"]
    yield (
        "Size against performance",
        lambda: [_curve(scores, quality), _curve_table(networks, quality)],
    )
    yield (
        "Classes",
        [_class_table(networks)] + ([_rate_table(networks)] if quality == "mean_auc" else []),
    )
    yield "Fixed point", [_fixed_table(networks), page.paragraph(
        "Grids of the inputs and of the activations of each hidden layer in the notation of "
        "high-level synthesis: bits, and bits above the point. Overflow counts values beyond the "
        "largest number of their grid, which saturate. Sums are compared with 64-bit integers."
    )]  # fmt: skip


def _curve(scores: dict[str, Any], quality: str) -> Drawing:
    networks = sorted(scores["networks"], key=lambda n: n["ebops"])
    x = np.array([max(n["ebops"], 1.0) for n in networks])
    y = np.array([n[quality] for n in networks])
    figure, grid = layout.panel_grid(1, 1, [3.6])
    axis = grid[0][0]
    error = np.array([n.get("accuracy_error", 0.0) for n in networks])
    axis.errorbar(x, y, error, fmt="o-", ms=5, lw=1.6, color=plots.EDGE)
    if "bayes" in scores:
        axis.axhline(scores["bayes"], color=plots.LINE, ls="--", lw=1.4)
    axis.set_xscale("log")
    axis.set_xlabel("effective bit operations (EBOPs)")
    axis.set_ylabel("accuracy" if quality == "accuracy" else "mean area under the ROC curve")
    layout.head(figure, f"{scores['events']:,} events")
    words = "One point a network; all were trained at once."
    if "bayes" in scores:
        words += " Dashed: the accuracy of the true probabilities on the same events."
    return Drawing("curve", "Size against performance", words, figure)


def _curve_table(networks: list[dict[str, Any]], quality: str) -> str:
    cut = "soft_cut" in networks[0]
    said = "mean area" if quality == "mean_auc" else quality
    header = ["network: weight of the cost", "EBOPs", "weights", "hidden weights 0", said]
    rows = []
    for number, n in enumerate(networks):
        value = f"{n[quality]:.4f}"
        if "accuracy_error" in n:
            value += f" ± {n['accuracy_error']:.4f}"
        row = [f"{number}: {n['cost']:g}", f"{n['ebops']:,.0f}", f"{n['weights']:,}",
               f"{n['zero_weights']:.0%}", value]  # fmt: skip
        rows.append([*row, f"{n['soft_cut']:.1%}"] if cut else row)
    return page.table([*header, "soft clusters cut"] if cut else header, rows)


def _class_table(networks: list[dict[str, Any]]) -> str:
    names = list(networks[0]["auc"])
    rows = [
        [str(number), *(page.number(n["auc"][name], 4) for name in names)]
        for number, n in enumerate(networks)
    ]
    return page.table(["network: area under the ROC curve of", *names], rows)


def _rate_table(networks: list[dict[str, Any]]) -> str:
    first = networks[0]["efficiency"]
    names, rates = list(first), list(next(iter(first.values())))
    rows = []
    for number, n in enumerate(networks):
        for rate in rates:
            found = [n["efficiency"][name][rate] for name in names]
            if all(value is None for value in found):
                continue  # a rate of too few background events
            shown = ["-" if value is None else f"{value:.2%}" for value in found]
            rows.append([f"{number}, {rate} of the background", *shown])
    return page.table(["network: share of signal kept", *names], rows)


def _fixed_table(networks: list[dict[str, Any]]) -> str:
    rows = [
        [str(number), ", ".join(n["types"]), str(n["accumulator_bits"]),
         f"{n['overflow']:,} of {n['values']:,}", f"{n['mismatches']} of {n['compared']:,}"]
        for number, n in enumerate(networks)
    ]  # fmt: skip
    return page.table(
        ["network", "grids", "largest accumulator, bits", "overflow", "other sums"], rows
    )
