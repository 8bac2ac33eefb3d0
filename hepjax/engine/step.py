"""The compiled update and validation of a workload: pure functions of state, events and step.

The key of update N is ``fold_in(key(seed), N)``. An update that would make the state non-finite is
left out.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from hepjax.engine import compilation, parts, resident
from hepjax.engine.mesh import DATA, OVERLAP, over_data, replicated
from hepjax.engine.precision import exactly
from hepjax.engine.workload import Batch, Clock, Metrics, Spec, Workload

VALIDATION_KEY = 2**31  # a fold that no update number reaches


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """What a checkpoint holds."""

    step: jax.Array
    """int32, updates done, skipped ones included."""
    skipped: jax.Array
    """int32, updates thrown away as non-finite in a row until now; (members,) of a population."""
    model: Any
    before: jax.Array | None = None
    """(epochs, updates) float32 done by the run of a warm start whose schedule goes on."""


def init_state(workload: Workload[Any, Any], cfg: Any) -> TrainState:
    """The state of a new run, a pure function of the configuration."""
    model = workload.init(cfg, jax.random.key(cfg.train.seed))
    members = workload.members(cfg)
    skipped = jnp.int32(0) if members == 1 else jnp.zeros(members, jnp.int32)
    keeps = bool(cfg.train.warm_start) and cfg.train.warm_schedule == "keep"
    return TrainState(jnp.int32(0), skipped, model, jnp.zeros(2) if keeps else None)


def guarded_step(
    workload: Workload[Any, Any], cfg: Any, spec: Spec, steps_per_epoch: int, state: TrainState,
    raw: Batch,
) -> tuple[TrainState, Metrics]:  # fmt: skip
    """One update of the workload, left out where it would make the state non-finite.

    In a population that is decided member by member.
    """
    key = jax.random.fold_in(jax.random.key(cfg.train.seed), state.step)
    clock = Clock(state.step / jnp.float32(steps_per_epoch), state.step)
    if state.before is not None:
        clock = Clock(clock.epoch + state.before[0], clock.updates + state.before[1])
    step = exactly(cfg, _on_each_device if cfg.mesh.program == "explicit" else _on_all_events)
    model, metrics = step(workload, cfg, spec, state.model, raw, key, clock)
    members = workload.members(cfg)
    finite = _finite((model, metrics), members)

    def chosen(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(finite.reshape(finite.shape + (1,) * (new.ndim - finite.ndim)), new, old)

    model = parts.kept(cfg.train.freeze, model, state.model)
    model = jax.tree.map(chosen, model, state.model)
    skipped = jnp.where(finite, 0, state.skipped + 1)
    return replace(state, step=state.step + 1, skipped=skipped, model=model), (
        metrics | {"skipped": skipped}
    )


def _finite(tree: Any, members: int) -> jax.Array:
    """Whether all arrays are finite: (), or (members,) over what each member has of them."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    # A product, not all(): XLA would fuse all() into the choice of every array that follows, as
    # many copies of all flags as there are arrays, and compile MLPF for a CPU six times as long.
    if members == 1:
        mesh = jax.sharding.get_abstract_mesh()
        if not mesh.empty and mesh.size > 1:  # arrays of one shape may be cut in several ways
            return _finite_each(leaves)
        return jax.lax.platform_dependent(leaves, cuda=_finite_by_shape, default=_finite_each)
    own = [x for x in leaves if x.ndim and x.shape[0] == members]
    each = jnp.stack([jnp.isfinite(x.reshape(members, -1)).all(1) for x in own], axis=1)
    flags = each.astype(jnp.float32)
    return flags @ jnp.ones(flags.shape[1]) == flags.shape[1]


def _finite_each(leaves: list[jax.Array]) -> jax.Array:
    flags = jnp.stack([jnp.isfinite(x).all() for x in leaves]).astype(jnp.float32)
    return flags @ jnp.ones_like(flags) == flags.size


def _finite_by_shape(leaves: list[jax.Array]) -> jax.Array:
    """The same with one reduction for all arrays of a shape: on a GPU each is a launch or two."""
    alike: dict[tuple[int, ...], list[jax.Array]] = {}
    for leaf in leaves:
        alike.setdefault(leaf.shape, []).append(jnp.isfinite(leaf))
    flags = [functools.reduce(jnp.logical_and, group).all() for group in alike.values()]
    return jnp.stack(flags).all()


def _on_all_events(
    workload: Workload[Any, Any], cfg: Any, spec: Spec, model: Any, raw: Batch, key: jax.Array,
    clock: Clock,
) -> tuple[Any, Metrics]:  # fmt: skip
    """The update as written; the compiler spreads it over the devices."""
    return workload.train_step(cfg, model, workload.prepare(cfg, spec, raw), key, clock)


def _on_each_device(
    workload: Workload[Any, Any], cfg: Any, spec: Spec, model: Any, raw: Batch, key: jax.Array,
    clock: Clock,
) -> tuple[Any, Metrics]:  # fmt: skip
    """The update on the events of each device, with noise of its own; ``average`` joins them."""

    def local(model: Any, raw: Batch, key: jax.Array, clock: Clock) -> tuple[Any, Metrics]:
        key = jax.random.fold_in(key, jax.lax.axis_index(DATA))
        return _on_all_events(workload, cfg, spec, model, raw, key, clock)

    everywhere = P()
    return jax.shard_map(
        local,
        in_specs=(everywhere, P(DATA), everywhere, everywhere),
        out_specs=everywhere,
        check_vma=False,
    )(model, raw, key, clock)


def compiled_step(
    workload: Workload[Any, Any],
    cfg: Any,
    spec: Spec,
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
        return guarded_step(workload, cfg, spec, steps_per_epoch, state, raw)

    options = compilation.options(mesh.devices.flat[0].platform, workload.compiler_options)
    return jax.jit(
        step,
        in_shardings=(shardings, over_data(mesh), replicated(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
        compiler_options=OVERLAP if cfg.mesh.overlap else options,
    )


def validation_step(
    workload: Workload[Any, Any], cfg: Any, spec: Spec
) -> Callable[[Any, Batch, jax.Array], Metrics]:
    """From state, raw events and the number of their batch to sums over the events."""

    def sums_of(model: Any, raw: Batch, index: jax.Array) -> Metrics:
        key = jax.random.fold_in(jax.random.key(cfg.train.seed), VALIDATION_KEY)
        batch = workload.prepare(cfg, spec, raw)
        judge = exactly(cfg, workload.eval_step)
        return judge(cfg, model, batch, jax.random.fold_in(key, index))

    return sums_of
