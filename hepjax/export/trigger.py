"""``hepjax export --format qonnx``: a network of a trigger run as QONNX, written if it is exact."""

import hashlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import hepjax
from hepjax import InputError
from hepjax.export import qonnx
from hepjax.export.onnx_file import onnx
from hepjax.export.parity import ParityError
from hepjax.formats.atomic import write_bytes, write_json
from hepjax.ops.fixed_point import accumulators, execute, require_exact
from hepjax.run import Run
from hepjax.workloads.trigger import answer, objective

COMPARED = 1000
"""Events of random numbers whose sums the file gives to the last bit."""


def export_qonnx(run: Run, path: Path, member: int | None = None) -> dict[str, Any]:
    """Write one network of a trigger run, and what it takes and gives beside it, ``<name>.json``.

    The file is read back, executed in 64-bit integers and compared with JAX before it is written.

    Args:
      path: ends in ``.onnx``.
      member: number of the network in ``curve.costs``; needed if there are several.
    Returns:
      what the JSON file holds.
    Raises:
      InputError: another workload, no such network, or accumulators beyond 24 bits.
      MissingExtraError: the package onnx is not installed.
      ParityError: the file and JAX differ.
    """
    if run.workload.name != "trigger":
        raise InputError(
            f"--format qonnx: expected a run of the workload trigger, found {run.workload.name}; "
            "--format onnx exports it"
        )
    onnx()
    cfg, state = run.cfg, run.state
    if (member is None and cfg.members > 1) or not 0 <= (member or 0) < cfg.members:
        raise InputError(
            f"--member: expected 0 to {cfg.members - 1}, one of the networks of curve.costs, found "
            f"{'none' if member is None else member}"
        )
    number = member or 0
    network = answer.fixed(cfg, state, number)
    require_exact(network, f"{run.directory}: network {number}")
    content: bytes = qonnx.model(network).SerializeToString()
    differ, compared = _compared(run, number, content)
    if differ:
        raise ParityError(
            f"the exported network: expected the sums of JAX to the last bit, found {differ} of "
            f"{compared} that differ; no file was written"
        )
    one = jax.tree.map(lambda x: x[number], jax.device_get(answer.every(state)))
    mean, spread = objective.scales(one.moments)
    about: dict[str, Any] = {
        "hepjax": hepjax.__version__, "workload": "trigger", "task": cfg.data.task,
        "target": "qonnx", "run": str(run.directory), "step": run.step, "epoch": run.epoch,
        "member": number, "cost": float(one.cost), "settings": {},
        "inputs": [
            {"name": n, "unit": cfg.task.unit(n), "mean": float(m), "spread": float(s)}
            for n, m, s in zip(cfg.task.inputs, mean, spread, strict=True)
        ],
        "grids": [grid.text for grid in network.grids()],
        "weights": [layer.weight_grid.text for layer in network.layers],
        "accumulators": [grid.text for grid in accumulators(network)],
        "parity": {"compared": compared, "differ": differ},
        "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    write_bytes(path, content)
    write_json(path.with_suffix(".json"), about)
    return about


def _compared(run: Run, member: int, content: bytes) -> tuple[int, int]:
    """Sums that differ between JAX and the file read back, and how many there are."""
    moments = jax.device_get(answer.every(run.state)).moments
    mean, spread = objective.scales({name: values[member] for name, values in moments.items()})
    x = np.random.default_rng(0).normal(size=(COMPARED, len(mean)))
    inputs = (np.asarray(mean) + 2.0 * np.asarray(spread) * x).astype(np.float32)
    prepared = {"inputs": jnp.asarray(inputs), "there": jnp.ones(inputs.shape, bool)}
    some = answer.given(run.cfg, run.state, prepared)
    again, _ = execute(qonnx.parsed(content, "the exported file"), some.x[member])
    return int(np.count_nonzero(again != some.sums[member, :, : again.shape[1]])), again.size
