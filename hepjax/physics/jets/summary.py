"""What the scores of a tagger say, in words and tables for the report page."""

from typing import Any

from hepjax.report import page

SIGNIFICANT = 2.0
"""Standard errors that a difference must exceed to be called one."""


def verdict(scores: dict[str, Any]) -> str:
    """What the scores say, in two or three sentences made of their numbers."""
    background, signal = scores["classes"]
    text = (
        f"On {scores['signal']:,} {signal} and {scores['background']:,} {background} events the "
        f"network reaches an AUC of {page.pair(scores, 'auc', 4)}"
    )
    rivals = [(name, b) for name, b in scores["baselines"].items() if b["auc"] is not None]
    if rivals:
        name, best = rivals[0]
        sure = abs(best["gain"]) > SIGNIFICANT * best["gain_error"]
        word = "no better or worse than" if not sure else "above" if best["gain"] > 0 else "below"
        text += (
            f", {word} the best baseline ({name}, {best['auc']:.4f}): the difference on the same "
            f"events is {best['gain']:+.4f} ± {best['gain_error']:.4f}"
        )
    parts = [f"{r['text']} at {r['efficiency']:.0%}" for r in scores["rejection"].values()]
    text += f". Background rejection 1/ε_B: {' and '.join(parts)} signal efficiency."
    rows = [row for row in scores.get("bins", []) if row["used"]]
    if len(rows) > 1:
        low, high = (f(row["auc"] for row in rows) for f in (min, max))
        text += f" In bins of pT the AUC lies between {low:.3f} and {high:.3f}."
    return text


def headline(scores: dict[str, Any], text: str) -> str:
    """Headline numbers and verdict, as HTML."""
    accuracy, error = 100 * scores["accuracy"], 100 * scores["accuracy_error"]
    items = [
        ("AUC", f"{scores['auc']:.4f}", f"± {scores['auc_error']:.4f} (DeLong)"),
        ("Accuracy", f"{accuracy:.2f} %", f"± {error:.2f} %, at a score of 0.5"),
    ]
    for r in scores["rejection"].values():
        digits = 1 if r["value"] < 100 else 0
        value = f"{'> ' if r['limit'] else ''}{r['value']:.{digits}f}"
        note = f"± {r['error']:.{digits}f}, binomial; {r['background']:.0f} background events pass"
        if r["limit"]:
            note = "lower limit at 95 % CL: less than one background event passes"
        items.append((f"1/ε_B at ε_S = {r['efficiency']:.0%}", value, note))
    calibration = f"{scores['calibration_error']:.3f}"
    items.append(("Calibration error", calibration, "mean |share of signal - score|"))
    return page.cards(items) + page.verdict(text)


def baseline_table(scores: dict[str, Any]) -> str:
    """Each baseline with its area and what the network gains over it, as HTML."""
    rows = [("network", page.pair(scores, "auc", 4), "", "")]
    for name, b in scores["baselines"].items():
        if b["auc"] is None:
            rows.append((name, f"{b['not_finite']:,} values not finite", "", ""))
        else:
            side = "higher" if b["sign"] > 0 else "lower"
            rows.append((name, page.pair(b, "auc", 4), side, page.pair(b, "gain", 4, "+")))
    header = ("score", "AUC", "signal lies", "network better by")
    note = (
        "One number of each event in place of the network, on the same events. The error of the "
        "difference is paired: it knows that both saw the same events."
    )
    return page.paragraph(note) + page.table(header, rows)


def pt_table(bins: list[dict[str, Any]]) -> str:
    """The scores in bins of pT, as HTML."""
    efficiencies = next((list(row["rejection"]) for row in bins if row["used"]), [])
    header = (
        "pT [GeV]", "signal / background", "AUC", "accuracy",
        *(f"1/ε_B at {float(e):.0%}" for e in efficiencies),
    )  # fmt: skip
    rows = []
    for row in bins:
        cells = [f"{row['low']:g}-{row['high']:g}", f"{row['signal']:,} / {row['background']:,}"]
        if row["used"]:
            cells += [page.pair(row, "auc", 4), page.pair(row, "accuracy", 3)]
            cells += [row["rejection"][e]["text"] for e in efficiencies]
        else:
            cells += ["too few", *["-"] * (1 + len(efficiencies))]
        rows.append(cells)
    return page.table(header, rows)
