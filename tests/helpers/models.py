"""States before the first update, and models to apply that were never saved."""

from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax

from hepjax.engine.inference import Placed, mesh_config, place
from hepjax.engine.workload import Model


@cache
def initial(objective, cfg) -> Any:
    """The state of a workload before its first update, by one program, once in a process.

    Called as it is, its ``init`` would compile hundreds of small programs.

    Args:
      objective: its module.
    """
    return jax.jit(partial(objective.init, cfg))(jax.random.key(0))


def model_of(workload, cfg, state) -> Model:
    """A state on one device, as ``hepjax.load`` puts it there."""
    serving = replace(cfg, mesh=mesh_config(cfg.mesh, 1))
    mesh, abstract = place(serving, jax.eval_shape(lambda: state), 1)
    placed = jax.device_put(state, jax.tree.map(lambda a: a.sharding, abstract))
    return Model(workload, serving, Placed(mesh, placed))
