"""Devices as a mesh, and where state and batch lie on it.

This table is the whole of hepjax's sharding (n devices, m = mesh.model_devices):

=========== ================= ============================ ================================
layout      mesh              batch                        parameters and optimizer state
=========== ================= ============================ ================================
replicated  data n, model 1   events over data             a full copy on each device
fsdp        data n, model 1   events over data             largest divisible axis over data
hybrid      data n/m, shard m events over data and shard   largest divisible axis over shard
channel     data n/m, model m events over data             last axis (channels) over model
spatial     data n/m, model m events over data, each       a full copy on each device
                              cut over model: in x, or
                              by the edges of its graph
members     member n, data 1  all events on each device    members of a population over member
=========== ================= ============================ ================================

The compiler inserts the collectives: gradient and batch-norm sums over ``data``, gathers for fsdp
and hybrid, of activations for channel, halo exchange over ``model`` for the convolutions of the
spatial layout.
"""

import contextlib
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from hepjax.engine.bounds import require
from hepjax.engine.config import MeshConfig
from hepjax.engine.platforms import require_platform

DATA = "data"
"""Mesh axis over which events are spread."""
MODEL = "model"
"""Mesh axis over which one event, or one layer, is spread."""
MEMBER = "member"
"""Mesh axis over which the members of a population are spread."""
SHARD = "shard"
"""Mesh axis over which events are spread, and one copy of the parameters."""

MIN_SIZE = 1024
"""Arrays with fewer elements stay whole: gathering them costs more than the memory they save."""


def request_devices(count: int) -> None:
    """Make ``count`` virtual devices of a CPU, should that be the platform.

    It acts before jax starts only; ``make_mesh`` says if there are too few in the end.

    Raises:
      InputError: the platform that the environment asks for is not here.
    """
    number_of_devices(count)
    require_platform()


def number_of_devices(count: int) -> None:
    """``request_devices`` without starting jax."""
    if count > 1:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", count)


OVERLAP = {
    "xla_enable_async_all_reduce": True,
    "xla_tpu_enable_async_collective_fusion": True,
    "xla_tpu_enable_async_collective_fusion_fuse_all_reduce": True,
    "xla_tpu_enable_async_collective_fusion_multiple_steps": True,
    "xla_tpu_overlap_compute_collective_tc": True,
    # By default all gradients wait for the last and go in one sum, beside which nothing is left to
    # compute. Those of less than so many bytes still go together.
    "xla_jf_crs_combiner_threshold_in_bytes": 1_000_000,
}
"""What mesh.overlap asks of the compiler for TPUs (docs/studies/scaling.md)."""


def make_mesh(cfg: MeshConfig, batch_size: int, parts: int = 1) -> Mesh:
    """The mesh of a configuration; a device takes its share of a batch in so many ``parts``.

    Raises:
      InputError: more devices wanted than there are, or sizes that do not divide.
    """
    devices = jax.devices()
    count = cfg.devices or len(devices)
    require(count <= len(devices), "mesh.devices", f"at most {len(devices)} (those here)", count)
    require(
        not cfg.overlap or devices[0].platform == "tpu",
        "mesh.overlap", f"false, as the devices here are of the kind {devices[0].platform}", True,
    )  # fmt: skip
    require(
        count % cfg.model_devices == 0,
        "mesh.model_devices", f"a divisor of the {count} devices", cfg.model_devices,
    )  # fmt: skip
    require(
        cfg.model_devices == 1 or jax.local_device_count() % cfg.model_devices == 0,
        "mesh.model_devices", f"a divisor of the {jax.local_device_count()} devices of a process",
        cfg.model_devices,
    )  # fmt: skip
    if cfg.layout == "members":
        require(
            batch_size % parts == 0, "train.accumulate", f"a divisor of {batch_size} events", parts
        )
        grid = np.asarray(devices[:count]).reshape(-1, 1)
        return Mesh(grid, (MEMBER, DATA), axis_types=(AxisType.Auto,) * 2)
    second = SHARD if cfg.layout == "hybrid" else MODEL
    grid = np.asarray(devices[:count]).reshape(-1, cfg.model_devices)
    sharing = grid.size if second == SHARD else len(grid)
    require(
        batch_size % sharing == 0,
        "train.batch_size", f"a multiple of the {sharing} devices that share a batch", batch_size,
    )  # fmt: skip
    share = batch_size // sharing
    require(
        share % parts == 0,
        "train.accumulate", f"a divisor of the {share} events of a device in an update", parts,
    )  # fmt: skip
    return Mesh(grid, (DATA, second), axis_types=(AxisType.Auto,) * 2)


def event_axes(mesh: Mesh | AbstractMesh) -> str | tuple[str, str]:
    """Axes of the mesh over which events are spread: data, and shard if there is one."""
    return (DATA, SHARD) if SHARD in mesh.axis_names else DATA


def over_data(mesh: Mesh) -> NamedSharding:
    """Leading axis (events) spread over the data axis, and over the shard axis if there is one."""
    return NamedSharding(mesh, P(event_axes(mesh)))


def replicated(mesh: Mesh) -> NamedSharding:
    """A full copy on every device."""
    return NamedSharding(mesh, P())


def state_shardings(cfg: MeshConfig, mesh: Mesh, abstract: Any) -> Any:
    """A sharding for each array of an abstract state (of ``jax.eval_shape``)."""

    def spread(shape: tuple[int, ...], over: str, axes: Any) -> NamedSharding:
        for axis in axes:
            if shape[axis] % mesh.shape[over] == 0:
                return NamedSharding(mesh, P(*(None,) * int(axis), over))
        return NamedSharding(mesh, P())

    def rule(leaf: jax.ShapeDtypeStruct) -> NamedSharding:
        if cfg.layout == "members":
            return spread(leaf.shape, MEMBER, range(min(leaf.ndim, 1)))
        if leaf.size >= MIN_SIZE:
            if cfg.layout in ("fsdp", "hybrid"):
                over = DATA if cfg.layout == "fsdp" else SHARD
                return spread(leaf.shape, over, np.argsort(leaf.shape)[::-1])
            if cfg.layout == "channel":
                return spread(leaf.shape, MODEL, range(leaf.ndim)[-1:])
        return NamedSharding(mesh, P())

    return jax.tree.map(rule, abstract)


def whole(cfg: MeshConfig, params: Any) -> Any:
    """Parameters of which each device holds a part (fsdp, hybrid), gathered to compute with.

    Call it inside a compiled step. Without it the compiler may leave them where they are and sum
    activations over devices instead, of which there are more bytes.
    """
    if cfg.layout not in ("fsdp", "hybrid"):
        return params
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, P()), params)


def split_events(cfg: MeshConfig, x: jax.Array) -> jax.Array:
    """Lay events (n, x, ...) over the mesh: over ``data``, and cut along x in the spatial layout.

    Call it inside a compiled step, under the mesh that the engine sets. An axis that does not
    divide (25 cells over 2 devices) is cut unevenly.
    """
    if cfg.layout != "spatial" or jax.sharding.get_abstract_mesh().empty:
        return x
    return jax.lax.with_sharding_constraint(x, P(DATA, MODEL))


def spread_events(cfg: MeshConfig, x: jax.Array) -> jax.Array:
    """Spread the events of an array (n, ...) that is made inside a compiled step, such as noise.

    What comes of the batch is spread already. Of what comes of random keys alone the compiler
    would give each device all events, and each device would compute all that follows from them.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or cfg.program == "explicit":
        return x
    return jax.lax.with_sharding_constraint(x, P(event_axes(mesh)))


def average(cfg: MeshConfig, tree: Any) -> Any:
    """The mean over devices of what each has from its own events, inside a compiled step.

    For the value, the gradient and the new batch statistics of a loss that is the mean over the
    events at hand. In a partitioned program those are all events, and nothing is left to do. In an
    explicit one gradients are those of the device alone, because engine/train.py switches off the
    typing of ``shard_map`` by varying axes (``check_vma``), which the C++ kernels do not have. With
    that typing they would be sums over devices already, and this mean would be wrong.
    """
    return jax.lax.pmean(tree, DATA) if cfg.program == "explicit" else tree


def norm_axis(cfg: MeshConfig) -> str | None:
    """The ``axis_name`` with which a batch norm has the statistics that ``cfg`` wants."""
    return DATA if cfg.program == "explicit" and cfg.batch_norm == "global" else None
