"""The state that a training begins with: restored, from an earlier run (warm start), or new."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from hepjax import InputError
from hepjax.engine import compilation
from hepjax.engine.checkpoint import best_first, complete_steps, read_manifest, restore_first
from hepjax.engine.mesh import state_shardings
from hepjax.engine.mesh_checks import require_fit
from hepjax.engine.rundir import read_settings
from hepjax.engine.step import TrainState, init_state
from hepjax.engine.workload import Workload

QUICK: compilation.Options = {"xla_backend_optimization_level": 1}
"""How a CPU compiles what runs once: the initial state of the 3DGAN in 1.7 s of processor time
instead of 11.8, with the same bits (benchmarks/speed/compilation.py)."""


def begin_or_restore(
    workload: Workload[Any, Any], cfg: Any, mesh: jax.sharding.Mesh, folder: Path
) -> tuple[int, TrainState, Any]:
    """The update number to go on from, the state after it, and the shardings of the state."""
    begin = partial(init_state, workload, cfg)
    abstract = jax.eval_shape(begin)
    shardings = state_shardings(cfg.mesh, mesh, abstract)
    require_fit(cfg.mesh, mesh, abstract, shardings)
    placed = jax.tree.map(
        lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), abstract, shardings
    )
    restored = restore_first(folder, complete_steps(folder)[::-1], placed)
    if restored is not None:
        return *restored, shardings
    # Born on its devices: no copy of the whole state on the host.
    platform = mesh.devices.flat[0].platform
    options = compilation.options(platform, workload.compiler_options)
    if platform == "cpu":
        options = {**(options or {}), **QUICK}
    new = jax.jit(begin, out_shardings=shardings, compiler_options=options)
    if cfg.train.warm_start:
        return 0, _warm(cfg, placed, new), shardings
    return 0, new(), shardings


def _warm(cfg: Any, placed: TrainState, new: Callable[[], TrainState]) -> TrainState:
    """The state of the best epoch of an earlier run, as the beginning of this one.

    The schedule and the optimizer's state begin anew, unless ``train.warm_schedule`` keeps them.
    """
    run = Path(cfg.train.warm_start)
    train = read_settings(run).get("train", {})
    kept = bool(train.get("warm_start")) and train.get("warm_schedule", "reset") == "keep"
    before: Any = jax.ShapeDtypeStruct((2,), jnp.float32, sharding=placed.step.sharding)
    folder = run / "checkpoints"
    earlier = replace(placed, before=before if kept else None)
    found = restore_first(folder, best_first(folder), earlier)
    if found is None:
        raise InputError(
            f"train.warm_start: expected a trained run, found no checkpoint in {folder}; train it "
            "first, or name another"
        )
    step, state = found
    zero = jnp.zeros_like(state.step)
    if cfg.train.warm_schedule == "reset":
        fresh = new().model
        model = jax.tree_util.tree_map_with_path(
            lambda path, old, begun: begun if _is_optimizer(path) else old, state.model, fresh
        )
        return replace(state, step=zero, model=model, before=None)
    done = jnp.array([float(read_manifest(folder, step)["epoch"]), step], jnp.float32)
    total = done if state.before is None else done + state.before
    return replace(state, step=zero, before=jax.device_put(total, placed.step.sharding))


def _is_optimizer(path: tuple[Any, ...]) -> bool:
    """Whether an array belongs to the moments in a part of the state named ``optimizer``."""
    names = {getattr(key, "name", getattr(key, "key", None)) for key in path}
    return "optimizer" in names and "average" not in names
