"""Meshes and layouts that would start and then not do what they say, refused before that.

What a configuration contradicts by itself is refused in config.py, what the devices here do not
allow in mesh.py.
"""

from typing import Any

import jax

from hepjax import InputError
from hepjax.engine.config import MeshConfig, require
from hepjax.engine.mesh import DATA, MIN_SIZE, MODEL, SHARD


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
    over = {"fsdp": DATA, "hybrid": SHARD, "channel": MODEL}.get(cfg.layout)
    large = [leaf.shape for leaf in jax.tree.leaves(abstract) if leaf.size >= MIN_SIZE]
    spread = any(not sharding.is_fully_replicated for sharding in jax.tree.leaves(shardings))
    if over is not None and mesh.shape[over] > 1 and large and not spread:
        raise InputError(
            f"mesh.layout: expected a model with axes that {mesh.shape[over]} devices divide for "
            f"{cfg.layout}, found arrays of {', '.join(map(str, large[:3]))}; take another number "
            "of devices or mesh.layout=replicated"
        )
