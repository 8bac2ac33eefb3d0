"""What is computed on the validation pulses after each epoch: loss, chi2, divergence."""

from typing import Any

import jax

from hepjax.engine.workload import Batch, Metrics
from hepjax.workloads.waveforms import objective
from hepjax.workloads.waveforms.config import WaveformsConfig
from hepjax.workloads.waveforms.objective import State

SCORE = "loss"


def eval_step(cfg: WaveformsConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums over a batch."""
    mask, params = batch["mask"], objective.trained(cfg, state)
    found = objective.scores(cfg, params, batch["waveform"])
    terms = objective.losses(cfg, params, batch["waveform"], key)
    return {
        "loss": (terms * mask).sum(), "chi2": (found["chi2"] * mask).sum(),
        "kl": (found["kl"] * mask).sum(), "pulses": mask.sum(),
    }  # fmt: skip


def summarise(cfg: WaveformsConfig, sums: dict[str, Any]) -> dict[str, float]:
    """Means over the pulses: loss and chi2 a sample, divergence in nats."""
    pulses = max(float(sums["pulses"]), 1.0)
    return {name: float(sums[name]) / pulses for name in (SCORE, "chi2", "kl")}
