"""Some updates of a training under ``jax.profiler``, and where their time goes.

Updates run as in ``hepjax train``: the same input, compiled step and updates in flight, without
records, validation and checkpoints. First come updates that compile, then those that are timed
without the profiler, then as many traced ones, on the same batches.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from hepjax import InputError
from hepjax.bench import traces
from hepjax.bench.intervals import overlap, shares
from hepjax.bench.operations import CLASSES, IDLE, INPUT, Operation, classify, operations
from hepjax.bench.verdict import bound
from hepjax.engine import input as batches
from hepjax.engine import resident
from hepjax.engine.begin import begin_or_restore
from hepjax.engine.device_memory import enough_memory
from hepjax.engine.mesh import make_mesh, over_data, replicated
from hepjax.engine.step import compiled_step
from hepjax.engine.train import STEPS_IN_FLIGHT
from hepjax.engine.workload import Workload

WARM = 3
"""Updates before the timed ones: memory and libraries are as in the middle of a training then."""
TOP = 12
"""Kernels in the report."""


class Updates:
    """The update of a training, compiled for each shape of a batch that comes."""

    def __init__(self, workload: Workload[Any, Any], cfg: Any, run: Path | None) -> None:
        """Begin, or go on from the newest checkpoint of ``run``; nothing is written there."""
        self.cfg, self.mesh = cfg, make_mesh(cfg.mesh, cfg.train.batch_size, cfg.train.accumulate)
        self.source = workload.sources(cfg).train
        steps = batches.per_epoch(self.source, cfg.train.batch_size)
        spec = workload.spec(cfg, self.source)
        with tempfile.TemporaryDirectory() as empty, jax.set_mesh(self.mesh):
            folder = Path(empty) if run is None else run / "checkpoints"
            begun = begin_or_restore(workload, cfg, self.mesh, folder)
        self.start, self.state, shardings = begun
        self.arrays, take = None, None
        if cfg.input.resident:
            self.arrays, take = resident.place(self.source, replicated(self.mesh))
            self.source = resident.Rows(self.source)
        self.update: Any = compiled_step(workload, cfg, spec, steps, shardings, self.mesh, take)
        self.compiled: dict[Any, Any] = {}
        self.known: dict[str, Operation] = {}
        self.metrics: Any = None
        """Of the first update with the newest shape."""
        self.lowering = self.compiling = 0.0

    def batches(self, count: int) -> Iterator[Any]:
        """The next batches of the training, on the mesh; the same ones each time."""
        cfg = self.cfg
        stream = batches.training_batches(
            self.source, cfg.input, cfg.train.batch_size, cfg.train.seed, self.start,
            self.start + count,
        )  # fmt: skip
        for _ in range(count):
            with jax.profiler.TraceAnnotation(traces.FETCH):
                batch = batches.to_mesh(next(stream), over_data(self.mesh))
            yield batch

    def compile(self, batch: Any) -> None:
        """Compile the update for batches of these shapes, unless that was done."""
        shape = self._shape(batch)
        if shape in self.compiled:
            return
        began = time.perf_counter()
        lowered = self.update.lower(self.state, batch, self.arrays)
        lowered_at = time.perf_counter()
        program = lowered.compile()
        self.compiling += time.perf_counter() - lowered_at
        self.lowering += lowered_at - began
        self.known = operations(program.as_text() or "") | self.known
        self.compiled[shape] = program
        self.metrics = self.step(batch)

    def run(
        self, count: int, around: Callable[[], AbstractContextManager[Any]] = nullcontext
    ) -> float:
        """Do updates as the train loop does; returns seconds.

        The first batch is there before: the reader has begun, as in the middle of a training.

        Args:
          around: makes what is entered while the updates run.
        """
        recent: list[Any] = []
        stream = self.batches(count)
        first = next(stream)
        with around():
            began = time.perf_counter()
            for batch in itertools.chain([first], stream):
                recent.append(self.step(batch))
                if len(recent) > STEPS_IN_FLIGHT:
                    jax.block_until_ready(recent[-1 - STEPS_IN_FLIGHT])
            jax.block_until_ready((self.state, recent))
            return time.perf_counter() - began

    def step(self, batch: Any) -> Any:
        """One update, not waited for; its metrics."""
        program = self.compiled[self._shape(batch)]
        self.state, metrics = program(self.state, batch, self.arrays)
        return metrics

    @staticmethod
    def _shape(batch: Any) -> Any:
        return tuple((name, a.shape, str(a.dtype)) for name, a in sorted(batch.items()))


def profile(
    workload: Workload[Any, Any], cfg: Any, run: Path | None, out: Path, count: int,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:  # fmt: skip
    """Time and trace ``count`` updates; the report that docs/reference/records.md describes.

    Args:
      run: directory to go on from, in which nothing is written; None: the state of a new run.
      out: folder for the trace.
    Raises:
      InputError: data, devices or disk do not allow it, or the trace shows no kernels.
    """
    size = cfg.train.batch_size
    room = enough_memory(
        f"train.batch_size: expected updates that the devices have the memory for, found {size} "
        "events; take fewer, train.accumulate or train.precision=bfloat16"
    )
    with room:
        updates = Updates(workload, cfg, run)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(out, error) from None
        with jax.set_mesh(updates.mesh):
            say("compiling the update")
            for batch in updates.batches(count):
                updates.compile(batch)
            say(f"compiled in {updates.compiling:.1f} s; {count} updates, then {count} traced")
            updates.run(min(count, WARM))
            seconds = updates.run(count)
            path, traced_seconds = _traced(updates, out, count)
    trace = traces.read(path, updates.known)
    if not trace.devices:
        raise InputError(
            f"{path}: expected kernels in the trace, found none; on GPUs the driver may keep "
            "profiling for administrators (NVreg_RestrictProfilingToAdminUsers)"
        )
    device = updates.mesh.devices.flat[0]
    counted = _count(trace, updates.known, count)
    report = {
        "workload": workload.name,
        "device": device.device_kind,
        "platform": device.platform,
        "devices": updates.mesh.size,
        "precision": cfg.train.precision,
        "batch_size": size,
        "updates": count,
        "ms_per_update": _ms(seconds / count),
        "events_per_second": round(count * size / seconds, 1),
        "traced_ms_per_update": _ms(traced_seconds / count),
        "compilation": {
            "trace_s": round(updates.lowering, 3),
            "compile_s": round(updates.compiling, 3),
            "programs": len(updates.compiled),
        },
        **counted,
        "trace": str(path.parent),
    }
    return report | {"bound": bound(report)}


def _traced(updates: Updates, out: Path, count: int) -> tuple[Path, float]:
    """Run updates under the profiler; the file, and their seconds.

    Raises:
      InputError: the folder cannot be written.
    """
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # it would slow down the loop
    before = set(out.rglob("*.xplane.pb"))
    try:
        with jax.profiler.trace(str(out), profiler_options=options):
            # Made where it is entered: it begins when it is made.
            seconds = updates.run(count, partial(jax.profiler.TraceAnnotation, traces.UPDATES))
    except (OSError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, OSError) or "RESOURCE_EXHAUSTED" not in str(error):
            raise _unusable(out, error) from error
        raise
    made = sorted(set(out.rglob("*.xplane.pb")) - before)
    if not made:
        raise InputError(f"{out}: expected the trace that jax.profiler writes, found none")
    return made[-1], seconds


def _unusable(out: Path, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return InputError(f"{out}: expected a folder for a trace, found: {reason}")


class Kernel(NamedTuple):
    """One kind of kernel in a trace."""

    ms: float
    calls: float
    kind: str
    name: str
    source: str


def _count(trace: traces.Trace, known: dict[str, Operation], count: int) -> dict[str, Any]:
    """Milliseconds an update by class and kernel, the mean over the devices."""
    totals: dict[str, float] = {}
    calls: dict[str, int] = {}
    times = dict.fromkeys(CLASSES, 0.0)
    for events in trace.devices.values():
        found, gaps = shares(events, trace.window)
        waited = overlap(gaps, trace.fetches)
        times[INPUT] += waited
        times[IDLE] += sum(stop - start for start, stop in gaps) - waited
        for name, ns in found.items():
            totals[name] = totals.get(name, 0.0) + ns
        for event in events:
            calls[event.name] = calls.get(event.name, 0) + 1
    per = 1e-6 / (len(trace.devices) * count)  # ns in all to ms an update
    kernels: list[Kernel] = []
    for name, ns in totals.items():
        key = trace.keys[name]
        operation = known.get(key.operation)
        kind = classify(key.kernel, operation)
        times[kind] += ns
        source = operation.source if operation else ""
        kernels.append(Kernel(ns * per, calls[name] * per * 1e6, kind, key.kernel, source))
    kernels.sort(reverse=True)
    fetched = sum(stop - start for start, stop in trace.fetches)
    return {
        "time_ms": {name: round(ns * per, 4) for name, ns in times.items()},
        "kernels_per_update": round(sum(kernel.calls for kernel in kernels), 1),
        "fetching_ms": round(fetched * 1e-6 / count, 4),
        "top": [
            {"ms": round(k.ms, 4), "calls": round(k.calls, 1), "class": k.kind, "kernel": k.name,
             "source": k.source}
            for k in kernels[:TOP]
        ],
    }  # fmt: skip


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 4)
