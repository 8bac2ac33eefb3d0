"""What the scores of a comparison say, in words and tables for the report page."""

from collections import Counter
from typing import Any

import numpy as np

from hepjax.physics.calorimeter.comparison import FAMILIES
from hepjax.physics.calorimeter.features import GROUPS
from hepjax.physics.calorimeter.figures import bin_title, p_value
from hepjax.report import page
from hepjax.report.gallery import INDEX

SHOWN = 10
"""Worst plots in the table."""
TIMES_FLOOR, SIGMAS = 2.0, 3.0
"""A score is a difference above this many noise floors and this many errors beyond the floor."""


def differs(score: float, floor: float, error: float) -> bool:
    """Whether a score is more than chance: far above the noise floor, and significantly so.

    Args:
      floor: the score between two halves of the reference.
      error: statistical, of ``score``; NaN where it is not known, which decides nothing.
    """
    return bool(score > TIMES_FLOOR * floor and not score - floor <= SIGMAS * error)


def word(score: float, floor: float, error: float) -> str:
    """``agrees``, ``differs``, or ``unclear`` where a score far above the floor may be chance."""
    if score <= TIMES_FLOOR * floor:
        return "agrees"
    return "differs" if differs(score, floor, error) else "unclear"


def verdict(scores: dict[str, Any], labels: tuple[str, str]) -> str:
    """What the scores say, in three sentences made of their numbers."""
    mre, error = scores["sampling_fraction_mre"], scores["sampling_fraction_mre_error"]
    used = [b for b in scores["bins"][1:] if b["used"]]
    text = f"The sampling fraction of {labels[1]} is off by {mre:.1%} ± {error:.1%} on average"
    if used:
        far = max(used, key=lambda b: abs(b["sampling_fraction_ratio"] - 1))
        centre, ratio = (far["low"] + far["high"]) / 2, far["sampling_fraction_ratio"]
        text += f" (furthest at {centre:g} GeV: {ratio:.3f} of {labels[0]}"
        text += f" ± {far['sampling_fraction_ratio_error']:.3f})"
    floor = scores["noise_floor"]
    excess = {n: s / floor[n] for n, s in scores["families"].items() if _finite(s, floor.get(n))}
    errors = scores["errors"]["families"]
    words = {n: word(scores["families"][n], floor[n], errors.get(n, np.nan)) for n in excess}
    count = Counter(words.values())
    text += (
        f". Moments and shapes differ by {scores['moments_shapes_total']:.3g} in total; two halves "
        f"of {labels[0]} differ by {floor['moments_shapes_total']:.3g}. "
        f"{count['agrees']} of {len(excess)} families agree within {TIMES_FLOOR:g} times that noise"
    )
    if count["unclear"]:
        text += f", {count['unclear']} may differ by chance"
    far_off = [name for name in excess if words[name] == "differs"]
    worst = sorted(far_off, key=lambda name: -excess[name])[:3]
    if worst:
        text += "; furthest beyond it: "
        text += ", ".join(f"{n.replace('_', ' ')} ({excess[n]:.3g} times)" for n in worst)
    return text + "."


def summary(scores: dict[str, Any], text: str) -> str:
    """Headline numbers, verdict, and the table of families, as HTML."""
    floor = scores["noise_floor"]
    totals = (
        ("Moments", "moments_total", "published term (i)"),
        ("Shapes", "shapes_total", "published term (ii)"),
        ("Moments + shapes", "moments_shapes_total", "published total"),
    )
    mre, error = (_percent(scores[f"sampling_fraction_mre{end}"]) for end in ("", "_error"))
    headline = [
        ("Sampling fraction", mre, f"± {error}, published mean relative error over energy bins"),
        *(
            (name, f"{scores[key]:.3g}", f"{what}; two halves of the reference: {floor[key]:.2g}")
            for name, key, what in totals
        ),
    ]
    rows = []
    for name, meaning in FAMILIES.items():
        if name not in scores["families"]:
            continue
        score, noise = scores["families"][name], floor.get(name, np.nan)
        known = _finite(score, noise)
        error = scores["errors"]["families"].get(name, np.nan)
        said = word(score, noise, error) if known else "-"
        times = f"{score / noise:.1f}" if known else "-"
        text_of_score = f"{score:.3g} ± {error:.1g}" if np.isfinite(error) else f"{score:.3g}"
        rows.append((meaning, text_of_score, f"{noise:.2g}" if known else "-", times, said))
    header = ("Family: what its score is (0 is perfect)", "score", "noise floor", "ratio", "")
    explanation = (
        "The noise floor is the same score between two halves of the reference: what perfect "
        f"agreement gives at half the statistics. A family agrees if its score is within "
        f"{TIMES_FLOOR:g} times the floor, and differs if it is above that and {SIGMAS:g} errors "
        "beyond the floor; between the two chance is not excluded. Scores are means over bins of "
        "incident energy; their errors are statistical, by the bootstrap."
    )
    return (
        page.cards(headline) + page.verdict(text)
        + page.table(header, rows) + page.paragraph(explanation)
    )  # fmt: skip


def separation_table(scores: dict[str, Any]) -> str:
    """Separation powers of the high-level features times 1000, mean over layers, as HTML."""
    floor, error = scores["noise_floor_separation"], scores["errors"]["separation"]
    rows = [
        (GROUPS[name], f"{1e3 * power:.3g} ± {1e3 * error.get(name, np.nan):.1g}",
         f"{1e3 * floor[name]:.2g}", f"{power / floor[name]:.1f}" if floor[name] > 0 else "-")
        for name, power in scores["separation"].items()
    ]  # fmt: skip
    header = (
        "High-level feature",
        "separation power x 1000",
        "two halves",
        "ratio",
    )
    return page.table(header, rows) + page.paragraph(
        "Separation power of the histograms of each layer as the evaluation of the CaloChallenge "
        "defines them, mean over the layers: 0 for equal and 1000 for separated histograms. Two "
        "halves have half the statistics, so about twice the noise."
    )


def tests_table(scores: dict[str, Any]) -> str:
    """The statistical tests with the smallest p-values, as HTML."""
    tests = scores["tests"]
    rows = [
        (test["quantity"], test["bin"], test["test"], p_value(test["p"]), p_value(test["adjusted"]))
        for test in tests["smallest"]
    ]
    header = ("Quantity", "incident energy", "test", "p", "p adjusted for all tests")
    return page.paragraph(
        f"{tests['rejected']} of {tests['count']} tests reject equality at "
        f"{tests['level']:.0%} after Holm's adjustment for their number; without any difference "
        f"even one would be rare. The smallest p-values:"
    ) + page.table(header, rows)


def worst_plots(scores: dict[str, Any]) -> str:
    """A link to the index of all plots, and a table of the worst."""
    rows = [
        (
            f"{plot['name']}", plot["bin"], f"{plot['score']:.3g} ± {plot['error']:.1g}",
            f"{plot['halves']:.2g}",
            p_value(plot["adjusted"]) if np.isfinite(plot["adjusted"]) else "-",
        )
        for plot in scores["plots"][:SHOWN]
    ]  # fmt: skip
    header = ("Plot", "bin", "separation power", "two halves of the reference", "adjusted p")
    link = page.link(INDEX, f"{len(scores['plots'])} plots, by score, family and search")
    return link + page.table(header, rows)


def energy_table(scores: dict[str, Any]) -> str:
    """Sampling fractions and p-values in bins of incident energy, as HTML."""
    reference, generated = scores["labels"]
    header = (
        "incident energy", "showers", f"{reference} [%]", f"{generated} [%]", "ratio",
        "p(KS) visible energy", "p(KS) hits",
    )  # fmt: skip
    rows = []
    for k, record in enumerate(scores["bins"]):
        counts = f"{record['events_reference']:,} / {record['events_generated']:,}"
        row = [bin_title(k, (record["low"], record["high"])), counts]
        if record["used"]:
            for name, scale in (("reference", 100), ("generated", 100), ("ratio", 1)):
                value = scale * record[f"sampling_fraction_{name}"]
                row.append(f"{value:.3f} ± {scale * record[f'sampling_fraction_{name}_error']:.3f}")
            row += [p_value(record[f"ks_{name}"]) for name in ("ecal_sum", "hits")]
        else:
            row += ["too few", "-", "-", "-", "-"]
        rows.append(row)
    title = page.paragraph("Sampling fraction in bins of incident energy:")
    return title + page.table(header, rows)


def _finite(score: float, noise: float | None) -> bool:
    return noise is not None and bool(np.isfinite(score) and np.isfinite(noise) and noise > 0)


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %" if abs(value) < 0.1 else f"{100 * value:.1f} %"
