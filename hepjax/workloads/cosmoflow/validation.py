"""What is computed on the validation samples after each epoch: the mean absolute error."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.engine.workload import Batch, Metrics
from hepjax.formats.fields.cosmoflow import NAMES
from hepjax.workloads.cosmoflow import objective
from hepjax.workloads.cosmoflow.config import CosmoflowConfig
from hepjax.workloads.cosmoflow.objective import State

SCORE = "error"


def eval_step(cfg: CosmoflowConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums over a batch."""
    found = objective.predict(cfg, objective.trained(cfg, state), batch["counts"])
    off = (found - batch["parameters"]) * batch["mask"][:, None]
    return {
        "errors": jnp.abs(off).sum(0), "squares": (off**2).sum(), "samples": batch["mask"].sum()
    }  # fmt: skip


def summarise(cfg: CosmoflowConfig, sums: dict[str, Any]) -> dict[str, float]:
    """Mean absolute error of all parameters, the score of MLPerf HPC, and of each; the loss.

    Guessing 0 each time has an error of 0.5.
    """
    n = max(float(sums["samples"]), 1.0)
    errors = np.asarray(sums["errors"], float) / n
    return {
        SCORE: float(errors.mean()), "loss": float(sums["squares"]) / (n * len(errors)),
        **{f"error_{name}": float(e) for name, e in zip(NAMES, errors, strict=True)},
    }  # fmt: skip
