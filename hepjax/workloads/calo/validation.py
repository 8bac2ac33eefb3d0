"""What is computed on the validation showers after each epoch, and the score of the best epoch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import TrainingError
from hepjax.engine.workload import Batch, Metrics
from hepjax.physics.calorimeter import features
from hepjax.workloads.calo.config import CaloConfig
from hepjax.workloads.calo.generator import showers_of
from hepjax.workloads.calo.geometry import to_layers
from hepjax.workloads.calo.objective import State, losses, trained

SCORE = "score"
"""Negative log-likelihood of a shower, which a few hundred showers tell to a part in thousand and
which rises when a flow learns them by heart. A critic leaves the likelihood: with one the score is
the distance, ten times as noisy between epochs."""
DISTANCE = "feature_distance"
"""Frechet distance of the high-level features, each in units of its spread."""


def eval_step(cfg: CaloConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums over a batch: the losses, and moments of the high-level features of real and generated
    showers of the same incident energies."""
    mask, incident, params = batch["mask"], batch["energy"], trained(cfg, state)
    k_loss, k_made = jax.random.split(key)
    cells = to_layers(cfg.calorimeter, batch["shower"])
    parts = losses(cfg, params, state.stats, cells, incident, k_loss)
    sums: Metrics = {"showers": mask.sum()}
    sums |= {name: (part * mask).sum() for name, part in parts.items()}
    keys = jax.random.split(k_made, len(incident))
    fake = showers_of(cfg, params, state.stats, incident, keys)
    for name, shower in (("real", batch["shower"]), ("fake", fake)):
        found = features.high_level(shower, incident, cfg.calorimeter)
        sums[f"{name}_first"] = mask @ found
        sums[f"{name}_second"] = jnp.einsum("n,na,nb->ab", mask, found, found, precision="highest")
    return sums


def summarise(cfg: CaloConfig, sums: dict[str, Any]) -> dict[str, float]:
    """Mean losses and the score.

    Raises:
      TrainingError: a generated shower is not finite, as of a flow whose inverse is not.
    """
    n = float(sums["showers"])
    if not all(np.isfinite(sums[f"fake_{order}"]).all() for order in ("first", "second")):
        raise TrainingError(
            f"validation: expected finite showers, found some of {n:.0f} that are not; the last "
            "checkpoint is kept; lower optimizer.learning_rate in another --run"
        )
    parts = [name for name in ("layers", "margins", "copula", "window") if name in sums]
    means = {name: float(sums[name]) / n for name in parts}
    moments = {}
    for name in ("real", "fake"):
        mean = np.asarray(sums[f"{name}_first"], float) / n
        moments[name] = mean, np.asarray(sums[f"{name}_second"], float) / n - np.outer(mean, mean)
    spread = np.sqrt(np.maximum(np.diag(moments["real"][1]), 1e-6))
    scaled = [(m / spread, c / np.outer(spread, spread)) for m, c in moments.values()]
    far = distance(*scaled[0], *scaled[1])
    score = far if cfg.objective.critic_from else sum(means.values())
    return means | {SCORE: score, DISTANCE: far}


def distance(m1: np.ndarray, c1: np.ndarray, m2: np.ndarray, c2: np.ndarray) -> float:
    """Frechet distance of two normal distributions, as ``distances.frechet`` of samples."""
    values, vectors = np.linalg.eigh(c1)
    root = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ c2 @ root), 0.0)).sum()
    return float(((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross)
