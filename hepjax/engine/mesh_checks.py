"""Meshes and layouts that would start and then not do what they say, refused before that.

What a configuration contradicts by itself is refused in config.py, what the devices here do not
allow in mesh.py.
"""

import math
from typing import Any

import jax

from hepjax import InputError
from hepjax.engine.bounds import require
from hepjax.engine.config import MeshConfig
from hepjax.engine.device_memory import memory_of
from hepjax.engine.mesh import DATA, MEMBER, MIN_SIZE, MODEL, SHARD


def require_equal_shares(process_of: list[int]) -> None:
    """Refuse a mesh of which each process does not have as many devices as any other.

    Args:
      process_of: the process of each device of the mesh.
    Raises:
      InputError: it has not; a process reads the same number of events of each batch as any other.
    """
    shares = [process_of.count(process) for process in range(jax.process_count())]
    require(
        len(set(shares)) == 1, "mesh.devices",
        f"as many devices of each of the {len(shares)} processes; 0 takes all",
        f"{len(process_of)}, of each {', '.join(map(str, shares))}",
    )  # fmt: skip


def require_fit(cfg: MeshConfig, mesh: jax.sharding.Mesh, abstract: Any, shardings: Any) -> None:
    """Refuse a layout that is to spread the state when its devices divide none of the large arrays.

    Raises:
      InputError: it would run, with all of the state on each device.
    """
    over = {"fsdp": DATA, "hybrid": SHARD, "channel": MODEL, "members": MEMBER}.get(cfg.layout)
    large = [leaf.shape for leaf in jax.tree.leaves(abstract) if leaf.size >= MIN_SIZE]
    spread = any(not sharding.is_fully_replicated for sharding in jax.tree.leaves(shardings))
    if over is not None and mesh.shape[over] > 1 and large and not spread:
        raise InputError(
            f"mesh.layout: expected a model with axes that {mesh.shape[over]} devices divide for "
            f"{cfg.layout}, found arrays of {', '.join(map(str, large[:3]))}; take another number "
            "of devices or mesh.layout=replicated"
        )


def require_room(mesh: jax.sharding.Mesh, members: int, abstract: Any, shardings: Any) -> None:
    """Refuse a population whose states alone need more memory than the devices have.

    Raises:
      InputError: it says how many members would fit, with nothing else beside their states.
    """
    if members == 1:
        return
    leaves = zip(jax.tree.leaves(abstract), jax.tree.leaves(shardings), strict=True)
    needed = sum(math.prod(s.shard_shape(a.shape)) * a.dtype.itemsize for a, s in leaves)
    device = mesh.devices.flat[0]
    sharing = mesh.size if device.platform == "cpu" else 1
    room = memory_of(device) / sharing
    if needed > room:
        raise InputError(
            f"train.members: expected at most {max(int(members * room / needed), 1)}, whose states "
            f"fit the {room / 1e9:.3g} GB of a device, found {members}; take more devices with "
            "mesh.layout=members, or train the members in several runs"
        )
