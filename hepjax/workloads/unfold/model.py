"""The classifiers of both levels: dense layers on observables, or Deep Sets on particles."""

import jax
import jax.numpy as jnp

from hepjax.nn.ratio import Ratio
from hepjax.workloads.unfold.config import UnfoldConfig

PARTICLE = 4
"""Features of a particle: pt, dy, dphi, identity."""


def network(cfg: UnfoldConfig) -> Ratio:
    """The classifier of a configuration."""
    each = cfg.model.of_particles if cfg.data.particles else ()
    return Ratio(cfg.model.hidden, each, jnp.dtype(cfg.train.dtype))


def example(cfg: UnfoldConfig) -> tuple[jax.Array, jax.Array | None]:
    """Arguments of the network for one event."""
    if cfg.data.particles:
        shape = (1, cfg.data.particles)
        return jnp.zeros((*shape, PARTICLE)), jnp.ones(shape)
    return jnp.zeros((1, len(cfg.data.observables))), None
