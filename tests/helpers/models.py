"""Models to apply, of states that were never saved."""

from dataclasses import replace

import jax

from hepjax.engine.inference import Placed, mesh_config, place
from hepjax.engine.workload import Model


def model_of(workload, cfg, state) -> Model:
    """A state on one device, as ``hepjax.load`` puts it there."""
    serving = replace(cfg, mesh=mesh_config(cfg.mesh, 1))
    mesh, abstract = place(serving, jax.eval_shape(lambda: state), 1)
    placed = jax.device_put(state, jax.tree.map(lambda a: a.sharding, abstract))
    return Model(workload, serving, Placed(mesh, placed))
