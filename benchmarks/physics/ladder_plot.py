"""The plot of the ladder of shower generators, see ladder.py."""

from pathlib import Path
from typing import Any

PUBLISHED = {
    "data set 1, photons": {
        "CaloINN": (2.8, 0.626, 0.638),
        "CaloDiffusion": (4266.0, 0.635, 0.536),
        "CaloFlow teacher": (1912.0, 0.733, 0.636),
        "CaloFlow student": (6.1, 0.761, 0.667),
        "CaloScore 1-shot": (20.0, 0.866, 0.726),
        "CaloVAE+INN": (1.2, 0.889, 0.966),
        "BoloGAN": (0.55, 0.927, 0.966),
        "CaloShower3GAN": (1.2, 0.928, 0.947),
        "Calo-VQ": (10.0, 0.998, 0.989),
    },
    "data set 2": {
        "CaloDREAM": (5052.0, 0.531, 0.521),
        "conv. L2LFlows": (89.0, 0.708, 0.737),
        "CaloINN": (46.0, 0.743, 0.865),
        "CaloScore 1-shot": (280.0, 0.747, 0.902),
        "iCaloFlow student": (78.0, 0.819, 0.886),
        "CaloPointFlow": (133.0, 0.863, 0.908),
        "CaloVAE+INN": (3.4, 0.907, 1.0),
        "MDMA": (14.0, 0.942, 0.987),
        "DeepTree": (38.0, 0.963, 0.927),
    },
}
"""CaloChallenge (arXiv:2410.21611, files of its repository): ms a shower on a CPU at the best
batch, AUC low and high. Another machine, showers of Geant4, a larger classifier."""
LEFT = ("BoloGAN", "CaloDiffusion", "CaloDREAM")
"""Names that stand on the left of their points."""


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """AUC on cells and on high-level features against the time of a shower at the best batch.

    A row is a point, small and pale at the other batches that were timed. Published entries of the
    CaloChallenge are grey, and the band is what two halves of the references are told apart by.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"low": "cells (low level)", "high": "high-level features"}
    for number, (axes, (metric, words)) in enumerate(zip(panels, titles.items(), strict=True)):
        for marker, (data, entries) in zip("x+", PUBLISHED.items(), strict=True):
            known = [(name, e[0], e[1 + number]) for name, e in entries.items()]
            label = f"CaloChallenge, {data}"
            axes.plot([k[1] for k in known], [k[2] for k in known], marker, color="0.55",
                      ls="", label=label)  # fmt: skip
            below = marker == "+"
            for name, ms, auc in known:
                left = name in LEFT
                axes.annotate(
                    name, (ms, auc), (-5 if left else 5, -9 if below else 3), color="0.5", size=6.5,
                    textcoords="offset points", ha="right" if left else "left",
                )  # fmt: skip
        for place, row in enumerate(row for row in rows if row["ms"]):
            times, auc = sorted(row["ms"].values()), row[metric]["value"]
            colour = f"C{place % 10}"
            axes.plot(times, [auc] * len(times), "o-", color=colour, ms=3, lw=0.8, alpha=0.4)
            axes.errorbar(times[0], auc, row[metric]["error"], fmt="o", color=colour, ms=6,
                          label=f"{row['name']} ({row['calorimeter']})")  # fmt: skip
        halves = [row[metric]["halves"]["value"] for row in rows] or [0.5]
        axes.axhspan(min(halves) - 2e-3, max(halves) + 2e-3, color="C2", alpha=0.25, lw=0,
                     label="two halves of the reference")  # fmt: skip
        axes.set(xscale="log", xlim=(0.05, 2e4), xlabel="ms a shower on a CPU", ylim=(0.44, 1.03),
                 title=f"Classifier on {words}")  # fmt: skip
    panels[0].set_ylabel("AUC; lower is better")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=150)
