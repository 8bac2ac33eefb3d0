"""The train loop: restore or begin, compile one step, feed it, record, validate, save.

It reads top to bottom and knows no workload. The key of update N is ``fold_in(key(seed), N)`` and
its batch depends on N alone, so a restart needs the checkpoint and nothing else.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from hepjax import InputError, TrainingError
from hepjax.engine import input as batches
from hepjax.engine import records, resident
from hepjax.engine.checkpoint import Checkpoints, best_first, complete_steps, restore_first
from hepjax.engine.device_memory import enough_memory
from hepjax.engine.mesh import DATA, OVERLAP, make_mesh, over_data, replicated, state_shardings
from hepjax.engine.mesh_checks import require_equal_shares, require_fit
from hepjax.engine.progress import progress
from hepjax.engine.rundir import Goodput, provenance
from hepjax.engine.workload import Batch, Metrics, State, Workload

STEPS_IN_FLIGHT = 2
VALIDATION_KEY = 2**31  # a fold that no update number reaches


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """What a checkpoint holds."""

    step: jax.Array
    """int32, updates done, skipped ones included."""
    skipped: jax.Array
    """int32, updates thrown away as non-finite in a row until now."""
    model: State


@dataclass(frozen=True)
class Outcome:
    """How training ended."""

    step: int
    epochs: int
    signal: int | None
    """Signal that ended it early, or None when it is complete."""


def init_state(workload: Workload, cfg: Any) -> TrainState:
    """The state of a new run, a pure function of the configuration."""
    model = workload.init(cfg, jax.random.key(cfg.train.seed))
    return TrainState(jnp.int32(0), jnp.int32(0), model)


def guarded_step(
    workload: Workload, cfg: Any, steps_per_epoch: int, state: TrainState, raw: Batch
) -> tuple[TrainState, Metrics]:
    """One update of the workload, left out if it would make the state non-finite."""
    key = jax.random.fold_in(jax.random.key(cfg.train.seed), state.step)
    epoch = state.step / jnp.float32(steps_per_epoch)
    step = _on_each_device if cfg.mesh.program == "explicit" else _on_all_events
    model, metrics = step(workload, cfg, state.model, raw, key, epoch)
    leaves = [x for x in jax.tree.leaves((model, metrics)) if jnp.issubdtype(x.dtype, jnp.floating)]
    flags = jnp.stack([jnp.isfinite(x).all() for x in leaves]).astype(jnp.float32)
    # A product, not all(): XLA would fuse all() into the choice of every array below, as many
    # copies of all flags as there are arrays, and compile MLPF for a CPU six times as long.
    finite = flags @ jnp.ones_like(flags) == flags.size
    model = jax.tree.map(lambda new, old: jnp.where(finite, new, old), model, state.model)
    skipped = jnp.where(finite, 0, state.skipped + 1)
    return TrainState(state.step + 1, skipped, model), metrics | {"skipped": skipped}


def _on_all_events(
    workload: Workload, cfg: Any, model: State, raw: Batch, key: jax.Array, epoch: jax.Array
) -> tuple[State, Metrics]:
    """The update as written; the compiler spreads it over the devices."""
    return workload.train_step(cfg, model, workload.prepare(cfg, raw), key, epoch)


def _on_each_device(
    workload: Workload, cfg: Any, model: State, raw: Batch, key: jax.Array, epoch: jax.Array
) -> tuple[State, Metrics]:
    """The update on the events of each device, with noise of its own; ``average`` joins them."""

    def local(model: State, raw: Batch, key: jax.Array, epoch: jax.Array) -> tuple[State, Metrics]:
        key = jax.random.fold_in(key, jax.lax.axis_index(DATA))
        return _on_all_events(workload, cfg, model, raw, key, epoch)

    everywhere = P()
    return jax.shard_map(
        local,
        in_specs=(everywhere, P(DATA), everywhere, everywhere),
        out_specs=everywhere,
        check_vma=False,
    )(model, raw, key, epoch)


def compiled_step(
    workload: Workload,
    cfg: Any,
    steps_per_epoch: int,
    shardings: Any,
    mesh: jax.sharding.Mesh,
    take: resident.Take | None = None,
) -> Callable[..., tuple[TrainState, Metrics]]:
    """``guarded_step`` over the mesh; the state that goes in is gone afterwards.

    With ``take`` the events are resident: the batch names rows of the third argument, their arrays,
    which is None otherwise.
    """

    def step(state: TrainState, raw: Batch, arrays: Any) -> tuple[TrainState, Metrics]:
        raw = raw if take is None else take(arrays, raw["row"])
        return guarded_step(workload, cfg, steps_per_epoch, state, raw)

    return jax.jit(
        step,
        in_shardings=(shardings, over_data(mesh), replicated(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
        compiler_options=OVERLAP if cfg.mesh.overlap else None,
    )


def train(
    workload: Workload,
    cfg: Any,
    run: Path,
    *,
    quiet: bool = False,
    interrupted: Callable[[int], int | None] = lambda step: None,
) -> Outcome:
    """Train, or go on training, in the run directory ``run``.

    Args:
      interrupted: asked with the number of each update; a signal number, the same in every process
        of a group, makes it save and return.
    Raises:
      TrainingError: non-finite updates or a failure that the workload sees; the checkpoints stay.
      InputError: data, devices or disk do not allow it.
    """
    entered = time.monotonic()
    mesh = make_mesh(cfg.mesh, cfg.train.batch_size, cfg.train.accumulate)
    require_equal_shares([device.process_index for device in mesh.devices.flat])
    sources = workload.sources(cfg)
    size = cfg.train.batch_size
    steps_per_epoch = batches.per_epoch(sources.train, size)
    total = cfg.train.steps or cfg.train.epochs * steps_per_epoch
    first = jax.process_index() == 0  # the only one that writes and prints
    record = partial(records.append, run / "metrics.jsonl") if first else lambda record: None
    signal, recent = None, []

    room = enough_memory(
        f"train.batch_size: expected updates that {mesh.size} devices have the memory for, found "
        f"{size} events; take fewer or more devices, train.accumulate or train.precision=bfloat16"
    )
    saving = Checkpoints(run / "checkpoints", cfg.checkpoint.keep)
    with room, jax.set_mesh(mesh), saving as checkpoints:
        start, state, shardings = _begin_or_restore(workload, cfg, mesh, checkpoints.folder)
        if start:
            record({"event": "resume", "step": start})
        if start >= total:
            return Outcome(start, start // steps_per_epoch, None)
        source, arrays, take = sources.train, None, None
        if cfg.input.resident:
            arrays, take = resident.place(source, replicated(mesh))
            source = resident.Rows(source)
        update = compiled_step(workload, cfg, steps_per_epoch, shardings, mesh, take)
        validate = _validator(workload, cfg, sources.validation, shardings.model, mesh)
        stream = batches.training_batches(source, cfg.input, size, cfg.train.seed, start, total)
        goodput = Goodput(run, provenance(), entered) if first else None
        began, compiling = time.monotonic(), 0.0
        quiet = quiet or not first
        with progress("train", total * size, "events", quiet=quiet, start=start * size) as advance:
            for step in range(start + 1, total + 1):
                batch = batches.to_mesh(next(stream), over_data(mesh))
                called = time.monotonic()
                state, metrics = update(state, batch, arrays)
                if step == start + 1:
                    compiling = time.monotonic() - called  # a call returns at once afterwards
                recent.append(metrics)
                if len(recent) > STEPS_IN_FLIGHT:
                    # Not the newest: the device stays busy, and no queue of batches builds up.
                    jax.block_until_ready(recent[-1 - STEPS_IN_FLIGHT])
                signal = interrupted(step)
                end_of_epoch = step % steps_per_epoch == 0 or step == total
                every = cfg.checkpoint.every_steps
                save = end_of_epoch or signal is not None or (every > 0 and step % every == 0)
                if not save and len(recent) < cfg.train.record_every:
                    continue

                means = _means(recent)
                seconds = time.monotonic() - began
                about = {"step": step, "epoch": step / steps_per_epoch}
                rate = {"events_per_second": len(recent) * size / seconds}
                record({"event": "train"} | about | means | rate)
                _check(workload, cfg, step, means, int(metrics["skipped"]))
                if end_of_epoch:
                    scores = validate(state.model)
                    record({"event": "validation", "time": time.time()} | about | scores)
                    about["score"] = scores[workload.score]
                if save:
                    checkpoints.save(step, state, about)
                if goodput is not None:
                    goodput.worked(seconds - compiling, saved=save)
                    compiling = 0.0
                advance(len(recent) * size, _note(means))
                recent, began = [], time.monotonic()
                if signal is not None:
                    break
    return Outcome(step, step // steps_per_epoch, signal if step < total else None)


def _begin_or_restore(
    workload: Workload, cfg: Any, mesh: jax.sharding.Mesh, folder: Path
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
    if cfg.train.warm_start:
        earlier = Path(cfg.train.warm_start) / "checkpoints"
        found = restore_first(earlier, best_first(earlier), placed)
        if found is None:
            raise InputError(f"train.warm_start: expected a trained run, found none in {earlier}")
        return 0, replace(found[1], step=jnp.zeros_like(found[1].step)), shardings
    # Born on its devices: no copy of the whole state on the host.
    return 0, jax.jit(begin, out_shardings=shardings)(), shardings


def _means(recent: list[Metrics]) -> dict[str, float]:
    """Mean of each metric since the last record; waits for the device."""
    fetched = jax.device_get(recent)
    return {name: float(sum(m[name] for m in fetched)) / len(fetched) for name in fetched[0]}


def _check(workload: Workload, cfg: Any, step: int, means: dict[str, float], skipped: int) -> None:
    """End a run that went wrong; the state is as before the first non-finite update."""
    if means["skipped"] and (cfg.train.on_nonfinite == "stop" or skipped > cfg.train.max_skipped):
        raise TrainingError(
            f"train: expected finite losses, found a non-finite update before step {step} "
            f"({skipped} in a row at the end); the last checkpoint is kept; lower "
            "optimizer.learning_rate or set train.on_nonfinite=skip"
        )
    failure = None if means["skipped"] else workload.failure(cfg, step, means)
    if failure:
        raise TrainingError(f"train: {failure} at step {step}; the last checkpoint is kept")


def _note(means: dict[str, float]) -> str:
    losses = [k for k in means if k.endswith("loss")]
    return "  ".join(f"{k} {means[k]:.3g}" for k in losses[:3])


def _validator(
    workload: Workload, cfg: Any, source: Any, shardings: Any, mesh: jax.sharding.Mesh
) -> Callable[[State], dict[str, float]]:
    """A function from the model state to the validation metrics over all of ``source``."""

    def sums_of(model: State, raw: Batch, index: jax.Array) -> Metrics:
        key = jax.random.fold_in(jax.random.key(cfg.train.seed), VALIDATION_KEY)
        batch = workload.prepare(cfg, raw)
        return workload.eval_step(cfg, model, batch, jax.random.fold_in(key, index))

    step = jax.jit(
        sums_of,
        in_shardings=(shardings, over_data(mesh), replicated(mesh)),
        out_shardings=replicated(mesh),
    )

    def validate(model: State) -> dict[str, float]:
        total = None
        for index, raw in enumerate(batches.evaluation_batches(source, cfg.train.batch_size)):
            sums = step(model, batches.to_mesh(raw, over_data(mesh)), jnp.int32(index))
            total = sums if total is None else jax.tree.map(jnp.add, total, sums)
        return workload.summarise(cfg, jax.device_get(total))

    return validate
