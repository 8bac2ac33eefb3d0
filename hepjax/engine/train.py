"""The train loop: restore or begin, compile one step, feed it, record, validate, save.

It reads top to bottom and knows no workload. The key of update N is ``fold_in(key(seed), N)`` and
its batch depends on N alone, so a restart needs the checkpoint and nothing else.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import TrainingError
from hepjax.engine import (
    compilation,
    loggers,
    notices,
    provenance,
    records,
    resident,
    same_data,
    stopping,
)
from hepjax.engine import input as batches
from hepjax.engine import meter as metering
from hepjax.engine.begin import begin_or_restore
from hepjax.engine.checkpoint import Checkpoints
from hepjax.engine.device_memory import enough_memory
from hepjax.engine.group.processes import together
from hepjax.engine.mesh import make_mesh, over_data, replicated
from hepjax.engine.mesh_checks import require_equal_shares
from hepjax.engine.progress import progress, say
from hepjax.engine.settings import data_lists
from hepjax.engine.step import Metrics, compiled_step, validation_step
from hepjax.engine.workload import Model, Workload
from hepjax.formats.files import require_apart
from hepjax.formats.source import Source

STEPS_IN_FLIGHT = 2


@dataclass(frozen=True)
class Outcome:
    """How training ended."""

    step: int
    epochs: int
    signal: int | None
    """Signal that ended it early, or None when it is complete."""


def train(
    workload: Workload[Any, Any],
    cfg: Any,
    run: Path,
    *,
    quiet: bool = False,
    interrupted: Callable[[int], int | None] = lambda step: None,
    accepted: Callable[[], None] = lambda: None,
) -> Outcome:
    """Train, or go on training, in the run directory ``run``.

    Args:
      accepted: called in the first process when the data are those of the run.
      interrupted: asked with the number of each update; a signal number, the same in every process
        of a group, makes it save and return.
    Raises:
      TrainingError: non-finite updates or a failure that the workload sees; the checkpoints stay.
      InputError: data, devices or disk do not allow it.
    """
    entered = time.monotonic()
    mesh = make_mesh(cfg.mesh, cfg.train.batch_size, cfg.train.accumulate)
    require_equal_shares([device.process_index for device in mesh.devices.flat])
    require_apart(data_lists(cfg))
    first = jax.process_index() == 0  # the only one that writes and prints
    quiet = quiet or not first
    with progress("open the data", 0, "", quiet=quiet):
        sources = workload.sources(cfg)
    size = cfg.train.batch_size
    steps_per_epoch = batches.per_epoch(sources.train, size)
    total = cfg.train.steps or cfg.train.epochs * steps_per_epoch
    record = partial(records.append, run / "metrics.jsonl") if first else lambda record: None
    signal, stops, recent, origin = None, False, [], dict[str, Any]()
    with together():
        if first:
            origin = same_data.require_same_data(run, sources)
            accepted()

    room = enough_memory(
        f"train.batch_size: expected updates that {mesh.size} devices have the memory for, found "
        f"{size} events; take fewer or more devices, train.accumulate or train.precision=bfloat16"
    )
    saving = Checkpoints(run / "checkpoints", cfg.checkpoint.keep)
    counting = metering.of_training(mesh.local_devices) if first else metering.Meter(())
    more = ExitStack()
    with room, jax.set_mesh(mesh), counting as meter, saving as checkpoints, more:
        tell = (lambda text: None) if quiet else say
        start, state, shardings = begin_or_restore(workload, cfg, mesh, checkpoints.folder, tell)
        if start or (first and (run / "metrics.jsonl").exists()):
            record({"event": "resume", "step": start})  # supersedes what was not saved
        judged = stopping.known_scores(run, workload.score, start)
        if start >= total or stopping.is_enough(judged, cfg.train.stop_after):
            return Outcome(start, start // steps_per_epoch, None)
        follow = more.enter_context(loggers.following(cfg.train.log if first else (), run, start))

        def told(entry: dict[str, Any]) -> None:
            record(entry)
            follow(entry)

        for notice in notices.at_start(mesh.devices.flat[0].platform, [run]):
            tell(f"hepjax: note: {notice}")
        source, arrays, take = sources.train, None, None
        if cfg.input.resident:
            with progress("read the data", 0, "", quiet=quiet):
                arrays, take = resident.place(source, replicated(mesh))
            source = resident.Rows(source)
        spec = workload.spec(cfg, sources.train)
        update = compiled_step(workload, cfg, spec, steps_per_epoch, shardings, mesh, take)
        validate = _validator(workload, cfg, sources.validation, shardings.model, mesh)
        stream = batches.training_batches(source, cfg.input, size, cfg.train.seed, start, total)
        goodput = provenance.Goodput(run, provenance.about(run), entered) if first else None
        began, compiling, metered_from = time.monotonic(), 0.0, start
        if not quiet:
            say("hepjax: compiling the update")
        with progress("train", total * size, "events", quiet=quiet, start=start * size) as advance:
            for step in range(start + 1, total + 1):
                batch = batches.to_mesh(next(stream), over_data(mesh))
                called = time.monotonic()
                with notices.compiling(quiet) if step == start + 1 else nullcontext():
                    state, metrics = update(state, batch, arrays)
                if step == start + 1:
                    compiling = time.monotonic() - called  # a call returns at once afterwards
                    meter.restart()
                    if not quiet:
                        say(f"hepjax: compiled in {compiling:.1f} s")
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
                told({"event": "train"} | about | means | rate)
                _check(workload, cfg, step, means, jax.device_get(metrics["skipped"]))
                if end_of_epoch:
                    scores = validate(state.model, _judging(advance, len(sources.validation)))
                    told({"event": "validation", "time": time.time()} | about | scores)
                    about["score"] = scores[workload.score]
                    judged.append(scores[workload.score])
                    stops = stopping.is_enough(judged, cfg.train.stop_after)
                    model = workload.after_validation(cfg, state.model, scores)
                    state = replace(state, model=model)
                if save:
                    checkpoints.save(step, state, about | origin)
                if goodput is not None:
                    metered = metering.per_event(meter.read(), (step - metered_from) * size)
                    goodput.worked(seconds - compiling, saved=save, resources=metered)
                    compiling = 0.0
                if end_of_epoch and metered_from == start:
                    meter.restart()  # the first epoch has the compilation of the validation
                    metered_from = step
                advance(len(recent) * size, _note(means))
                recent, began = [], time.monotonic()
                if signal is not None or stops:
                    break
    if stops and step < total and signal is None:
        tell(
            f"hepjax: no better {workload.score} in {cfg.train.stop_after} epochs: training ends "
            "early (train.stop_after)"
        )
    return Outcome(step, step // steps_per_epoch, signal if step < total else None)


def _means(recent: list[Metrics]) -> dict[str, Any]:
    """Mean of each metric since the last record, a list for a population; waits for the device."""
    fetched = jax.device_get(recent)
    sums = {name: sum(m[name] for m in fetched) for name in fetched[0]}
    return {
        name: float(total) / len(fetched) if total.ndim == 0 else (total / len(fetched)).tolist()
        for name, total in sums.items()
    }


def _check(
    workload: Workload[Any, Any], cfg: Any, step: int, means: dict[str, Any], skipped: np.ndarray
) -> None:
    """End a run that went wrong; the state is as before the first non-finite update.

    A population goes on as long as one member does.
    """
    some = np.all(np.asarray(means["skipped"]) > 0)
    if some and (cfg.train.on_nonfinite == "stop" or np.min(skipped) > cfg.train.max_skipped):
        raise TrainingError(
            f"train: expected finite losses, found a non-finite update before step {step} "
            f"({int(np.min(skipped))} in a row at the end); the last checkpoint is kept; lower "
            "optimizer.learning_rate or set train.on_nonfinite=skip"
        )
    failure = None if some else workload.failure(cfg, step, means)
    if failure:
        raise TrainingError(f"train: {failure} at step {step}; the last checkpoint is kept")


def _judging(advance: Callable[..., None], whole: int) -> Callable[[int], None]:
    """Shows how far the validation is, which is no progress of the training."""
    done = 0

    def judged(events: int) -> None:
        nonlocal done
        done += events
        advance(0, f"validation: {done:,}/{whole:,} events")

    return judged


def _note(means: dict[str, Any]) -> str:
    losses = [k for k in means if k.endswith("loss") and isinstance(means[k], float)]
    return "  ".join(f"{k} {means[k]:.3g}" for k in losses[:3])


def _validator(
    workload: Workload[Any, Any], cfg: Any, source: Source, shardings: Any, mesh: jax.sharding.Mesh
) -> Callable[..., dict[str, Any]]:
    """A function from the model state to the validation metrics over all of ``source``.

    It is also given what is called with the number of events of each batch.
    """
    compiled = jax.jit(
        validation_step(workload, cfg, workload.spec(cfg, source)),
        in_shardings=(shardings, over_data(mesh), replicated(mesh)),
        out_shardings=replicated(mesh),
        compiler_options=compilation.options(
            mesh.devices.flat[0].platform, workload.compiler_options
        ),
    )

    def validate(model: Any, advance: Callable[[int], object]) -> dict[str, Any]:
        total, size = None, cfg.train.batch_size
        for index, raw in enumerate(batches.evaluation_batches(source, size)):
            sums = compiled(model, batches.to_mesh(raw, over_data(mesh)), jnp.int32(index))
            total = sums if total is None else jax.tree.map(jnp.add, total, sums)
            advance(min(size, len(source) - index * size))
        return workload.summarise(cfg, jax.device_get(total))

    return validate


def validated(model: Model[Any, Any], source: Source) -> dict[str, Any]:
    """The validation metrics of a trained model over all of ``source``."""
    mesh, state = model.placed.mesh, model.placed.state
    shardings = jax.tree.map(lambda x: x.sharding, state)
    size = model.cfg.train.batch_size
    cfg = replace(
        model.cfg, train=replace(model.cfg.train, batch_size=-(-size // mesh.size) * mesh.size)
    )
    validate = _validator(model.workload, cfg, source, shardings, mesh)
    shown = progress("validate", len(source), "events", quiet=model.quiet)
    with jax.set_mesh(mesh), shown as advance:
        return validate(state, advance)
