"""The toy with an optimizer of the engine, whose settings and state the tests look at."""

from dataclasses import dataclass, field, replace

from helpers import toy
from helpers.toy import TOY, ToyConfig
from hepjax.engine import optimizers
from hepjax.engine.optimizers import OptimizerConfig


@dataclass(frozen=True)
class TunedConfig(ToyConfig):
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=0.02, decay=0.9, decay_every=1, decay_unit="updates"
        )
    )


def init(cfg, key):
    w = toy.init(cfg, key)["w"]
    return {"w": w, "optimizer": optimizers.init(cfg.optimizer, w)}


def train_step(cfg, state, batch, key, clock):
    loss, grad = toy.gradient(cfg, state["w"], batch, key)
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)
    w, optimizer = optimizers.update(cfg.optimizer, state["optimizer"], state["w"], grad, rate)
    metrics = {"loss": loss, "learning_rate": rate, "epoch_of_clock": clock.epoch}
    return {"w": w, "optimizer": optimizer}, metrics


def trained(cfg, state):
    return {"w": optimizers.trained(cfg.optimizer, state["optimizer"], state["w"])}


TUNED = replace(
    TOY,
    name="tuned",
    Config=TunedConfig,
    init=init,
    train_step=train_step,
    eval_step=lambda cfg, state, *rest: TOY.eval_step(cfg, trained(cfg, state), *rest),
    infer=lambda cfg, state, *rest: TOY.infer(cfg, trained(cfg, state), *rest),
)
