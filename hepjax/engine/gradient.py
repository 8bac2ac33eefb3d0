"""The gradient of a loss over all events of an update: over parts one after the other, and devices.

Parts are gradient accumulation: more steps of less memory, and the same mean.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from hepjax.engine.mesh import average, event_axes, whole

Loss = Callable[[Any, Any, jax.Array], tuple[jax.Array, Any]]
"""From parameters, events and key to the mean loss over the events, and other such means."""


def mean_gradient(
    cfg: Any, loss: Loss, params: Any, events: Any, key: jax.Array
) -> tuple[tuple[jax.Array, Any], Any]:
    """``jax.value_and_grad(loss, has_aux=True)`` over parts and devices, inside a compiled step.

    With ``train.accumulate`` k it is the mean over k parts with as many events each, which is the
    mean over all events. Only the activations of a part are in memory. Statistics of batch norm are
    those of a part, and the noise drawn from ``key`` is the part's own.

    Args:
      events: arrays (n, ...) of the events at hand. A part is every k-th of them, so it takes the
        same number from each device and moves none.
    """
    differentiate = jax.value_and_grad(loss, has_aux=True)
    params, k = whole(cfg.mesh, params), cfg.train.accumulate
    if k == 1:
        return average(cfg.mesh, differentiate(params, events, key))

    def add(total: Any, part: tuple[Any, jax.Array]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, differentiate(params, *part)), None

    parts = _cut(cfg, events), jax.random.split(key, k)
    shapes = jax.eval_shape(differentiate, params, *jax.tree.map(lambda x: x[0], parts))
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    total, _ = jax.lax.scan(add, zero, parts)
    return average(cfg.mesh, jax.tree.map(lambda x: x / k, total))


def over_parts(cfg: Any, function: Callable[[Any], jax.Array], events: Any) -> jax.Array:
    """``function(events)``, (n, ...) as its arguments, in the parts and the order of the above."""
    if cfg.train.accumulate == 1:
        return function(events)
    made = jnp.moveaxis(jax.lax.map(function, _cut(cfg, events)), 0, 1)
    return made.reshape(-1, *made.shape[2:])


def _cut(cfg: Any, events: Any) -> Any:
    """Arrays (n, ...) as (parts, n / parts, ...), each part spread over devices as the whole."""
    k, mesh = cfg.train.accumulate, jax.sharding.get_abstract_mesh()

    def cut(x: jax.Array) -> jax.Array:
        parts = jnp.moveaxis(x.reshape(-1, k, *x.shape[1:]), 1, 0)
        if mesh.empty or cfg.mesh.program == "explicit":
            return parts
        free = (P.UNCONSTRAINED,) * (x.ndim - 1)
        return jax.lax.with_sharding_constraint(parts, P(None, event_axes(mesh), *free))

    return jax.tree.map(cut, events)
