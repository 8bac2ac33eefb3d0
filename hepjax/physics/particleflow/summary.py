"""What the scores of MLPF say, in words and tables for the report page.

Every table has rule-based particle flow beside MLPF.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hepjax.physics.particleflow import metrics
from hepjax.physics.particleflow.drawing import FOUND
from hepjax.report import page
from hepjax.report.page import number, pair

SIGNIFICANT = 2.0
"""Standard errors that a difference must exceed to be called one."""
RESOLUTION_NAMES = {
    "pt": "pT", "energy": "energy", "eta": "eta, relative", "delta_eta": "eta, difference",
    "delta_phi": "phi, difference",
}  # fmt: skip


def verdict(scores: dict[str, Any]) -> str:
    """What the scores say, in a few sentences made of their numbers."""
    neutral = scores["classes"]["neutral_hadron"]
    text = f"On {scores['events']:,} events with {scores['elements']:,} elements MLPF finds "
    text += (
        f"{pair(neutral['MLPF'], 'efficiency')} of the neutral hadrons "
        f"({_against(neutral, 'efficiency', True)}) with a fake rate of "
        f"{pair(neutral['MLPF'], 'fake_rate')} ({_against(neutral, 'fake_rate', False)})."
    )
    for key, quantity, words in (
        ("neutral_hadron", "energy", "Their energy resolution"),
        ("charged_hadron", "pt", "The pT resolution of charged hadrons"),
    ):
        rows = scores["resolution"][key][quantity]
        rule, mlpf = (rows[name]["iqr"] for name in FOUND)
        if rows["MLPF"]["count"]:
            word = "better than" if mlpf < rule else "not better than"
            text += f" {words} (IQR / 1.35) is {mlpf:.3f}, {word} the rule-based {rule:.3f}."
    return text


def _against(rows: dict[str, Any], name: str, higher_is_better: bool) -> str:
    """The rule-based value, and whether MLPF is better beyond the errors."""
    rule, mlpf = (rows[k][name] for k in FOUND)
    error = float(np.hypot(*(rows[k][f"{name}_error"] for k in FOUND)))
    text = f"rule-based {rule:.3f}"
    if not np.isfinite(mlpf - rule):
        return text
    if abs(mlpf - rule) <= SIGNIFICANT * error:
        return f"{text}, no different"
    return f"{text}, {'better' if (mlpf > rule) == higher_is_better else 'worse'}"


def headline(scores: dict[str, Any], text: str) -> str:
    """Headline numbers and verdict, as HTML."""
    neutral = scores["classes"]["neutral_hadron"]
    resolution = {
        "Neutral-hadron E resolution": scores["resolution"]["neutral_hadron"]["energy"],
        "Charged-hadron pT resolution": scores["resolution"]["charged_hadron"]["pt"],
    }
    items = [
        (f"Neutral-hadron {words}", number(neutral["MLPF"][name]),
         f"± {number(neutral['MLPF'][name + '_error'])}; "
         f"rule-based {number(neutral['rule-based'][name])}")
        for words, name in (("efficiency", "efficiency"), ("fake rate", "fake_rate"))
    ] + [
        (words, number(rows["MLPF"]["iqr"]),
         f"IQR / 1.35; rule-based {number(rows['rule-based']['iqr'])}")
        for words, rows in resolution.items()
    ]  # fmt: skip
    return page.cards(items) + page.verdict(text)


def class_table(scores: dict[str, Any]) -> str:
    """Efficiency and fake rates by class, with their conventions, as HTML."""
    header = ["class", "true", *(f"{name} found" for name in FOUND)]
    for words in ("efficiency", "fake rate", "fake rate of particles"):
        header += [f"{words}, {name}" for name in FOUND]
    rows = []
    for key, by_name in scores["classes"].items():
        cells = [_words(key), f"{by_name['MLPF']['true']:,}"]
        cells += [f"{by_name[name]['found']:,}" for name in FOUND]
        for score in ("efficiency", "fake_rate", "fake_rate_of_particles"):
            cells += [pair(by_name[name], score) for name in FOUND]
        rows.append(cells)
    accuracy = " and ".join(f"{scores['accuracy'][name]:.4f} ({name})" for name in FOUND)
    note = (
        "Efficiency: of the elements with a true particle of the class, the share that is found "
        "with this class. Fake rate: of the elements found with the class, the share without a "
        "true particle of it, elements with no particle included (the published table). Fake rate "
        "of particles: the same among elements that do have a true particle (the published "
        "figures). Classes of MLPF are the most probable ones (argmax). Errors are binomial. The "
        f"right class, none included, is given to a share of {accuracy} of the elements."
    )
    return page.paragraph(note) + page.table(header, rows)


def threshold_table(scores: dict[str, Any]) -> str:
    """Efficiency and fake rate of MLPF with the decision rule of the paper, as HTML."""
    rows = []
    for key, thresholded in scores["thresholded"].items():
        argmax = scores["classes"][key]["MLPF"]
        cells = [pair(of, name) for name in ("efficiency", "fake_rate")
                 for of in (argmax, thresholded)]  # fmt: skip
        same = scores["same_fakes"][key]
        rule = pair(scores["classes"][key]["rule-based"], "efficiency")
        rows.append([_words(key), *cells, pair(same, "efficiency"), rule])
    limits = " and ".join(
        f"a {_words(list(scores['classes'])[label - 1])} above {least:g}"
        for label, least in metrics.THRESHOLDS.items()
    )
    note = (
        "The decision rule of the paper (EPJC 81 (2021) 381), which was tuned to the fake rate of "
        f"rule-based particle flow there: the most probable class, but {limits} only. Last, what a "
        "cut on the probability of one class alone finds where its fake rate is the rule-based one."
    )
    header = ("class", "efficiency, argmax", "with thresholds", "fake rate, argmax",
              "with thresholds", "efficiency at rule-based fake rate", "rule-based")  # fmt: skip
    return page.paragraph(note) + page.table(header, rows)


def resolution_table(scores: dict[str, Any]) -> str:
    """Mean, standard deviation, median and robust width of reco against gen, as HTML."""
    header = ["class and quantity", "particles"]
    for words in ("mean ± std", "median", "IQR / 1.35"):
        header += [f"{words}, {name}" for name in FOUND]
    rows = []
    for key, quantities in scores["resolution"].items():
        for quantity, by_name in quantities.items():
            found = [by_name[name] for name in FOUND]
            rows.append([
                f"{_words(key)}: {RESOLUTION_NAMES[quantity]}", f"{found[0]['count']:,}",
                *(f"{number(f['mean'])} ± {number(f['std'])}" for f in found),
                *(number(f["median"]) for f in found),
                *(number(f["iqr"]) for f in found),
            ])  # fmt: skip
    note = (
        "Of pT, energy and relative eta (reco - gen) / gen, so that the median response is 1 + the "
        f"median; of the others reco - gen, phi in radians. Values beyond ±{metrics.CLIP:g} count "
        "as that. Particles to which the truth, rule-based particle flow and MLPF all give the "
        "class."
    )
    return page.paragraph(note) + page.table(header, rows)


def event_tables(scores: dict[str, Any]) -> str:
    """Numbers of particles and missing transverse momentum, as HTML."""
    rows = []
    for key, by_name in scores["multiplicity"].items():
        found = [by_name[name] for name in FOUND]
        cells = [_words(key), f"{found[0]['true']:.1f}", *(f"{f['found']:.1f}" for f in found)]
        cells += [f"{number(f['mean'])} ± {number(f['std'])}" for f in found]
        rows.append([*cells, *(number(f["r"]) for f in found)])
    columns = ("(reco - gen) / gen", "Pearson r")
    header = ["class", "true an event", *FOUND]
    header += [f"{words}, {name}" for words in columns for name in FOUND]
    missing = scores["missing_pt"]
    momenta = [("truth", f"{missing['truth']:.2f}", "", "", "")]
    for name in FOUND:
        row = missing[name]
        momenta.append((
            name, f"{row['found']:.2f}", f"{row['mean']:.2f} ± {row['std']:.2f}",
            f"{row['median']:.2f}", f"{row['iqr']:.2f}",
        ))  # fmt: skip
    return page.table(header, rows) + page.table(
        ("missing pT [GeV]", "mean", "reco - gen", "median", "IQR / 1.35"), momenta
    )


def jet_table(jets: dict[str, Any]) -> str:
    """Numbers and response of jets, as HTML."""
    rows: list[Sequence[str]] = [("truth", f"{jets['MLPF']['true']:,}", "", "", "")]
    for name in FOUND:
        row = jets[name]
        rows.append((name, f"{row['found']:,}", pair(row, "matched_share"),
                     number(row["median"]), number(row["iqr"])))  # fmt: skip
    return page.table(
        ("jets", "number", "true ones matched", "median reco / gen", "IQR / 1.35"), rows
    )


def _words(key: str) -> str:
    return key.replace("_", " ")
