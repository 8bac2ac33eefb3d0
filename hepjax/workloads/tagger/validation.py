"""What is computed on the validation events after each epoch, and the score of the best epoch.

Sums over events go in and means come out. The area under the ROC curve comes from histograms of the
scores, which are sums too: events of one bin count as equal, half right and half wrong.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.engine.workload import Batch, Metrics
from hepjax.workloads.tagger.config import TaggerConfig
from hepjax.workloads.tagger.objective import State, logits, losses, normalise

SCORE = "misranking"
"""1 - AUC: how often a background event has a higher score than one of the signal."""
BINS, LARGEST = 4096, 16.0
"""Bins of the histogram in log-odds, and its edge; beyond it a sigmoid is 0 or 1 to 1e-7."""


def eval_step(cfg: TaggerConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums over the events whose ``mask`` is 1; nothing in it is random."""
    mask, label = batch["mask"], batch["label"]
    outputs = logits(cfg, state, normalise(cfg.data, batch["image"]))
    logit = outputs[:, -1]
    position = (logit + LARGEST) * (BINS / (2 * LARGEST))
    index = jnp.clip(position.astype(jnp.int32), 0, BINS - 1)
    return {
        "events": mask.sum(),
        "loss": (mask * losses(outputs, label)).sum(),
        "correct": (mask * ((logit > 0) == (label == 1))).sum(),
        "scores": jnp.zeros((2, BINS)).at[label, index].add(mask),
    }


def summarise(cfg: TaggerConfig, sums: dict[str, Any]) -> dict[str, float]:
    """The validation metrics; ``auc_error`` bounds what the bins may have changed."""
    area, error = auc(np.asarray(sums["scores"], float))
    events = float(sums["events"])
    return {
        "loss": float(sums["loss"]) / events,
        "accuracy": float(sums["correct"]) / events,
        "auc": area,
        "auc_error": error,
        SCORE: 1.0 - area,
    }


def auc(scores: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve, and the largest error made by the bins.

    Args:
      scores: (2, bins) events of background and signal, in bins of rising score.
    """
    background, signal = scores / np.maximum(scores.sum(1, keepdims=True), 1)
    below = np.cumsum(background) - background
    tied = (background * signal).sum() / 2
    return float((below * signal).sum() + tied), float(tied)
