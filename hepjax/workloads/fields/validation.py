"""What is computed on the validation boxes after each epoch: loss, power ratio, correlation."""

from typing import Any

import jax
import numpy as np

from hepjax.engine.workload import Batch, Metrics
from hepjax.physics.fields import spectra
from hepjax.workloads.fields import objective
from hepjax.workloads.fields.config import FieldsConfig
from hepjax.workloads.fields.model import physical
from hepjax.workloads.fields.objective import State

SCORE = "loss"


def eval_step(cfg: FieldsConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums over a batch: losses, and powers (3, shells) of the density, see ``spectra.sums``."""
    y = objective.predict(cfg, objective.trained(cfg, state), batch["dark"])
    mask = batch["mask"]
    powers = jax.vmap(spectra.sums)(physical(y)[..., 0], batch["gas"][..., 0])
    return {
        "loss": (objective.losses(cfg, y, batch["gas"]) * mask).sum(), "boxes": mask.sum(),
        "powers": (powers * mask[:, None, None]).sum(0),
    }  # fmt: skip


def summarise(cfg: FieldsConfig, sums: dict[str, Any]) -> dict[str, float]:
    """The loss; up to half the Nyquist frequency the largest deviation of the power of the density
    from the true one, and its smallest correlation."""
    ratio, correlation = spectra.ratios(np.asarray(sums["powers"]))
    return {
        SCORE: float(sums["loss"]) / max(float(sums["boxes"]), 1.0),
        "power_error": float(np.nanmax(np.abs(ratio - 1))),
        "correlation": float(np.nanmin(correlation)),
    }
