"""Candidates from a trained MLPF: for each detector element a class and, if any, a particle."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.engine.config import MeshConfig
from hepjax.engine.mesh import make_mesh, over_data, replicated
from hepjax.formats.source import Source
from hepjax.workloads.mlpf import objective
from hepjax.workloads.mlpf.config import MLPFConfig
from hepjax.workloads.mlpf.objective import Batch, State

CHARGED = (1, 4, 5)
"""Classes that have a charge: charged hadron, electron, muon."""


def candidates(cfg: MLPFConfig, state: State, raw: Batch) -> dict[str, jax.Array]:
    """The candidate of each element, in the columns of the truth.

    Args:
      raw: ``X`` (n, i, 12) and ``n`` (n,) elements of each event.
    Returns:
      ``candidates`` (n, i, 7): class, charge, pt, eta, sin phi, cos phi, energy (GeV), zeros for
      class 0 and behind the elements; ``probability`` (n, i, 6) of each class, 0 behind them.
      The charge is the sign of the regressed one, of charged classes only; (sin, cos) has length 1.
    """
    batch = objective.prepare(cfg, {"ygen": raw["X"][..., :7]} | raw)
    out = objective.apply(cfg, state.params, state.codebooks, batch)
    label = jnp.argmax(out["logits"], axis=-1)
    charged = jnp.isin(label, jnp.array(CHARGED))
    charge = jnp.where(charged, jnp.where(out["charge"] < 0, -1.0, 1.0), 0.0)
    length = jnp.maximum(jnp.hypot(out["sin_phi"], out["cos_phi"]), 1e-6)
    pt, energy = (jnp.maximum(out[k], 0.0) for k in ("pt", "energy"))
    columns = [
        label, charge, pt, out["eta"], out["sin_phi"] / length, out["cos_phi"] / length, energy,
    ]  # fmt: skip
    rows = jnp.stack(columns, axis=-1)
    probability = jax.nn.softmax(out["logits"])
    return {
        "candidates": jnp.where((label != 0)[..., None], rows, 0.0),
        "probability": jnp.where(batch["elements"][..., None], probability, 0.0),
    }


def predict(
    cfg: MLPFConfig, state: State, source: Source, batch_size: int
) -> Iterator[dict[str, Any]]:
    """Events of ``source`` in order with ``candidates`` and ``probability``, NumPy, by batches."""
    devices = len(jax.devices())
    mesh = make_mesh(MeshConfig(), devices)
    size = -(-min(batch_size, len(source)) // devices) * devices
    step = jax.jit(
        partial(candidates, cfg),
        in_shardings=(replicated(mesh), over_data(mesh)),
        out_shardings=over_data(mesh),
    )
    state = jax.device_put(state, replicated(mesh))
    with jax.set_mesh(mesh):
        for start in range(0, len(source), size):
            # One compiled shape for each length: the last batch repeats its last event.
            rows = np.minimum(np.arange(start, start + size), len(source) - 1)
            events = source[rows]
            on_devices = jax.device_put({k: events[k] for k in ("X", "n")}, over_data(mesh))
            made = jax.device_get(step(state, on_devices))
            count = min(size, len(source) - start)
            yield {k: v[:count] for k, v in (events | made).items()}
