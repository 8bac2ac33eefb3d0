"""Devices as a mesh, and where state and batch lie on it.

This table is the whole of hepjax's sharding (n devices, m = mesh.model_devices):

=========== ================ ============================ ==============================
layout      mesh             batch                        parameters and optimizer state
=========== ================ ============================ ==============================
replicated  data n, model 1  events over data             a full copy on each device
fsdp        data n, model 1  events over data             largest divisible axis over data
spatial     data n/m,        events over data, each       a full copy on each device
            model m          cut in x over model
=========== ================ ============================ ==============================

The compiler inserts the collectives: gradient and batch-norm sums over ``data``, gathers for fsdp,
halo exchange over ``model`` for the convolutions of the spatial layout.
"""

import contextlib
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from hepjax.engine.config import MeshConfig, require

DATA = "data"
"""Mesh axis over which events are spread."""
MODEL = "model"
"""Mesh axis over which one event, or one layer, is spread."""

FSDP_MIN_SIZE = 1024
"""Arrays with fewer elements stay whole: gathering them costs more than the memory they save."""


def request_devices(count: int) -> None:
    """Make ``count`` virtual devices of a CPU, should that be the platform.

    It acts before jax starts only; ``make_mesh`` says if there are too few in the end.
    """
    if count > 1:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", count)


def make_mesh(cfg: MeshConfig, batch_size: int) -> Mesh:
    """The mesh of a configuration.

    Raises:
      InputError: more devices wanted than there are, or sizes that do not divide.
    """
    devices = jax.devices()
    count = cfg.devices or len(devices)
    require(count <= len(devices), "mesh.devices", f"at most {len(devices)} (those here)", count)
    require(
        count % cfg.model_devices == 0,
        "mesh.model_devices", f"a divisor of the {count} devices", cfg.model_devices,
    )  # fmt: skip
    data = count // cfg.model_devices
    require(
        batch_size % data == 0,
        "train.batch_size", f"a multiple of the {data} devices that share a batch", batch_size,
    )  # fmt: skip
    grid = np.asarray(devices[:count]).reshape(data, cfg.model_devices)
    return Mesh(grid, (DATA, MODEL), axis_types=(AxisType.Auto,) * 2)


def over_data(mesh: Mesh) -> NamedSharding:
    """Leading axis (events) spread over the data axis."""
    return NamedSharding(mesh, P(DATA))


def replicated(mesh: Mesh) -> NamedSharding:
    """A full copy on every device."""
    return NamedSharding(mesh, P())


def state_shardings(cfg: MeshConfig, mesh: Mesh, abstract: Any) -> Any:
    """A sharding for each array of an abstract state (of ``jax.eval_shape``)."""

    def rule(leaf: jax.ShapeDtypeStruct) -> NamedSharding:
        size = mesh.shape[DATA]
        if cfg.layout == "fsdp" and leaf.size >= FSDP_MIN_SIZE:
            for axis in np.argsort(leaf.shape)[::-1]:
                if leaf.shape[axis] % size == 0:
                    return NamedSharding(mesh, P(*(None,) * int(axis), DATA))
        return NamedSharding(mesh, P())

    return jax.tree.map(rule, abstract)


def split_events(cfg: MeshConfig, x: jax.Array) -> jax.Array:
    """Lay events (n, x, ...) over the mesh: over ``data``, and cut along x in the spatial layout.

    Call it inside a compiled step, under the mesh that the engine sets. An axis that does not
    divide (25 cells over 2 devices) is cut unevenly.
    """
    return jax.lax.with_sharding_constraint(x, P(DATA, MODEL)) if cfg.layout == "spatial" else x
