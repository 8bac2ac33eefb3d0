"""The optimizers of all workloads: one group of settings, a learning-rate schedule, one update.

An update is a pure function of settings, state, parameters and gradients. Moments are those of
optax; the learning rate, decoupled weight decay and the moving average of the parameters are
applied here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import optax

from hepjax.engine.bounds import (
    Bound,
    NotNegative,
    Positive,
    Rule,
)
from hepjax.engine.config import TrainConfig
from hepjax.ops.layerwise import LAYERWISE

Fraction = Annotated[float, Bound(least=0, below=1)]


@dataclass(frozen=True)
class OptimizerConfig:
    """Which optimizer, its learning rate over the epochs, and what else is done to the update."""

    name: Literal["adam", "adamw", "rmsprop", "novograd", "lamb", "lars"] = "adam"
    """RMSprop as in Keras; LAMB and LARS for large batches, as in ops/layerwise.py."""
    learning_rate: Positive = 1e-3
    """At ``reference_batch`` events an update."""
    reference_batch: NotNegative = 0
    """Events an update at which the rate holds; it is proportional to the batch (linear scaling
    rule, Goyal et al., 2017). 0: the rate does not depend on the batch."""
    warmup_epochs: NotNegative = 0.0
    """Epochs over which the rate climbs from ``learning_rate`` to its scaled value."""
    drops: tuple[tuple[NotNegative, NotNegative], ...] = ()
    """``[[65, 0.1], [140, 0.03]]``: from this epoch on the rate is multiplied by this factor; the
    last epoch reached counts."""
    decay: Annotated[float, Bound(above=0, most=1)] = 1.0
    """Step decay: the rate is multiplied by this factor, again and again."""
    decay_every: NotNegative = 0.0
    """Distance of these steps, in ``decay_unit``; 0: no step decay."""
    decay_first: NotNegative = 0.0
    """The first of them; 0: after ``decay_every``."""
    decay_unit: Literal["epochs", "updates"] = "epochs"
    """What the two above count."""
    cosine: bool = False
    """Multiply the rate by a half cosine from 1 to 0 over ``train.epochs``."""
    beta1: Fraction = 0.9
    """Adam, AdamW, NovoGrad: decay of the mean gradient."""
    beta2: Fraction = 0.999
    """Adam, AdamW, NovoGrad: decay of the mean squared gradient; RMSprop: 0.9 is published."""
    epsilon: Positive = 1e-8
    """Added to the root of the mean squared gradient."""
    weight_decay: NotNegative = 0.0
    """AdamW: each update also takes away this share of the parameters, times the rate."""
    clip: NotNegative = 0.0
    """Largest norm of the gradient of all parameters together; 0: no limit."""
    average: Fraction = 0.0
    """Decay of an exponential moving average of the parameters, with which validation, evaluation
    and inference compute; 0: they take the parameters themselves."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        decays = self.name == "adamw"
        yield self.weight_decay == 0 or decays, "weight_decay", f"0 with optimizer.name={self.name}"


def init(cfg: OptimizerConfig, params: Any) -> Any:
    """The state of the optimizer before the first update."""
    moments = _moments(cfg).init(params)
    return {"moments": moments, "average": params} if cfg.average else moments


def update(
    cfg: OptimizerConfig, state: Any, params: Any, gradients: Any, rate: jax.Array
) -> tuple[Any, Any]:
    """One update at learning rate ``rate``: new parameters and new state of the optimizer."""
    moments = state["moments"] if cfg.average else state
    steps, moments = _moments(cfg).update(gradients, moments, params)
    if cfg.weight_decay:
        steps = jax.tree.map(lambda s, p: s + cfg.weight_decay * p, steps, params)
    params = jax.tree.map(lambda p, s: p - rate * s, params, steps)
    if not cfg.average:
        return params, moments
    mix = cfg.average
    average = jax.tree.map(lambda a, p: mix * a + (1 - mix) * p, state["average"], params)
    return params, {"moments": moments, "average": average}


def trained(cfg: OptimizerConfig, state: Any, params: Any) -> Any:
    """The parameters to evaluate with: their moving average, if there is one."""
    return state["average"] if cfg.average else params


def learning_rate(
    cfg: OptimizerConfig, train: TrainConfig, epoch: jax.Array, updates: jax.Array | float = 0.0
) -> jax.Array:
    """The learning rate of an update.

    Args:
      epoch: epochs done, fractional.
      updates: updates done; needed with ``decay_unit`` "updates" only.
    """
    factor = train.batch_size / (cfg.reference_batch or train.batch_size)
    climbed = jnp.clip(epoch / cfg.warmup_epochs, 0.0, 1.0) if cfg.warmup_epochs else 1.0
    rate = cfg.learning_rate * (1.0 + (factor - 1.0) * climbed)
    multiplier = jnp.float32(1.0)
    for start, value in sorted(cfg.drops):
        multiplier = jnp.where(epoch >= start, value, multiplier)
    rate *= multiplier
    if cfg.decay_every:
        done = epoch if cfg.decay_unit == "epochs" else updates
        first = cfg.decay_first or cfg.decay_every
        steps = 1 + jnp.floor((done - first) / cfg.decay_every)
        rate *= cfg.decay ** jnp.maximum(steps, 0)
    if cfg.cosine:
        rate *= 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(epoch / train.epochs, 0.0, 1.0)))
    return rate


def _moments(cfg: OptimizerConfig) -> optax.GradientTransformation:
    """From gradients to steps of size about 1, by the running moments of the gradients."""
    if cfg.name in LAYERWISE:
        transform = LAYERWISE[cfg.name]()
    elif cfg.name == "rmsprop":
        # Keras adds epsilon after the root and starts the averages at 0.
        transform = optax.scale_by_rms(cfg.beta2, cfg.epsilon, initial_scale=0.0, eps_in_sqrt=False)
    elif cfg.name == "novograd":
        # The moments of TensorFlow Addons, from which the published runs took it.
        transform = optax.scale_by_novograd(b1=cfg.beta1, b2=cfg.beta2, eps=cfg.epsilon)
    else:
        transform = optax.scale_by_adam(cfg.beta1, cfg.beta2, cfg.epsilon)
    if not cfg.clip:
        return transform
    return optax.chain(optax.clip_by_global_norm(cfg.clip), transform)
