"""The networks: one in fixed point for every task, and the float decoder of the anomaly task."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.nn.quantised import QuantisedMlp
from hepjax.workloads.trigger.config import TriggerConfig


class Decoder(nn.Module):
    """Latent features (n, latent) -> inputs (n, k)."""

    hidden: tuple[int, ...]
    outputs: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for features in self.hidden:
            x = nn.relu(nn.Dense(features)(x))
        return nn.Dense(self.outputs)(x)


def network(cfg: TriggerConfig) -> QuantisedMlp:
    """What goes into the trigger."""
    model = cfg.model
    return QuantisedMlp(
        model.hidden, cfg.outputs, model.weight_bits, model.activation_bits, model.integer
    )


def decoder(cfg: TriggerConfig) -> Decoder:
    """What judges the latent features in training."""
    return Decoder(cfg.model.decoder, len(cfg.task.inputs))


def transformed(cfg: TriggerConfig, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Inputs (n, k) as they are standardised, and which of them are there.

    Momenta of the anomaly task enter as log(1 + pt / GeV); absent objects, pt 0, count neither in
    means nor in losses.
    """
    if not cfg.task.anomaly:
        return x, jnp.ones_like(x, bool)
    parts = x.reshape(x.shape[0], -1, 3)
    there = jnp.broadcast_to(parts[..., :1] > 0, parts.shape).reshape(x.shape)
    pt = jnp.log1p(jnp.maximum(parts[..., :1], 0.0))
    return jnp.concatenate([pt, parts[..., 1:]], axis=-1).reshape(x.shape), there
