"""The loss of fields and the update, as pure functions of state, batch and key."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from hepjax.engine import optimizers
from hepjax.engine.gradient import mean_gradient
from hepjax.engine.mesh import DATA, MODEL, split_events, spread_events, whole
from hepjax.engine.workload import Batch, Clock, Metrics, Spec
from hepjax.ops import boxes
from hepjax.ops.gas import fluctuating
from hepjax.physics.fields import spectra
from hepjax.workloads.fields import symmetry
from hepjax.workloads.fields.config import FieldsConfig
from hepjax.workloads.fields.model import UNet, features, physical, scaled


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """Everything that an update changes."""

    params: Any
    optimizer: Any


def init(cfg: FieldsConfig, key: jax.Array) -> State:
    """The state before the first update."""
    smallest = jnp.zeros((1, *(cfg.model.divisor,) * 3, 4))
    params = UNet(cfg.model).init(key, smallest)["params"]
    return State(params, optimizers.init(cfg.optimizer, params))


def prepare(cfg: FieldsConfig, spec: Spec, raw: Batch) -> Batch:
    """Boxes ``dark`` and ``gas`` in physical units; made here if they are not read.

    In the spatial layout they are cut along x over devices.
    """
    batch = dict(raw)
    if "dark" not in raw:
        key = jax.random.key(cfg.data.seed)
        batch |= made(cfg, jax.vmap(functools.partial(jax.random.fold_in, key))(raw["box"]))
    return {k: split_events(cfg.mesh, v) if k in ("dark", "gas") else v for k, v in batch.items()}


def made(cfg: FieldsConfig, keys: jax.Array) -> Batch:
    """Boxes of keys (n,)."""
    plan = _plan(cfg.data.setting)
    dark, gas = jax.vmap(functools.partial(boxes.make, plan=plan))(keys)
    return {"dark": spread_events(cfg.mesh, dark), "gas": spread_events(cfg.mesh, gas)}


@functools.lru_cache(maxsize=4)
def _plan(setting: boxes.Setting) -> boxes.Plan:
    return boxes.plan(setting)


def predict(cfg: FieldsConfig, params: Any, dark: jax.Array) -> jax.Array:
    """Scaled fields of gas (n, x, y, z, 5) from dark matter (n, x, y, z, 4).

    In the spatial layout each device has slices of a box, and neighbours exchange faces; the
    compiler on its own would exchange them once for each slice of a padded array.
    """
    mesh, dtype = jax.sharding.get_abstract_mesh(), jnp.dtype(cfg.train.dtype)
    cut = cfg.mesh.layout == "spatial" and not mesh.empty and mesh.shape[MODEL] > 1
    net = UNet(cfg.model, over=MODEL if cut else None, dtype=dtype)

    def apply(params: Any, x: jax.Array) -> jax.Array:
        return net.apply({"params": params}, x)

    if cut:
        place = P(DATA, MODEL)
        apply = jax.shard_map(
            apply, in_specs=(P(), place), out_specs=place, check_vma=False
        )  # fmt: skip
    y = apply(params, features(dark))
    return y + scaled(jax.vmap(fluctuating)(dark)) if cfg.model.residual else y


def losses(cfg: FieldsConfig, y: jax.Array, gas: jax.Array) -> jax.Array:
    """The loss (n,) of predicted scaled fields against fields of gas in physical units."""
    margin = cfg.data.margin
    if margin:
        inside = (slice(None), *(slice(margin, -margin),) * 3)
        y, gas = y[inside], gas[inside]
    wanted = scaled(gas)
    loss = jnp.abs(y - wanted).mean((1, 2, 3, 4))
    if cfg.objective.density:
        off = jnp.exp(y[..., 0]) - jnp.exp(wanted[..., 0])
        loss += cfg.objective.density * jnp.abs(off).mean((1, 2, 3))
    if cfg.objective.spectrum:
        own, true, cross = jnp.moveaxis(
            jax.vmap(spectra.sums)(jnp.exp(y[..., 0]), gas[..., 0]), 1, 0
        )
        loss += cfg.objective.spectrum * ((own + true - 2 * cross) / true).mean(1)
    return loss


def train_step(
    cfg: FieldsConfig, state: State, batch: Batch, key: jax.Array, clock: Clock
) -> tuple[State, Metrics]:
    """One update."""
    if cfg.data.made:  # new boxes; those of ``prepare`` are not computed then
        keys = jax.vmap(functools.partial(jax.random.fold_in, key))(batch["box"])
        fresh = made(cfg, keys)
        dark, gas = (split_events(cfg.mesh, fresh[name]) for name in ("dark", "gas"))
    else:
        dark, gas = batch["dark"], batch["gas"]
    if cfg.objective.symmetries:
        dark, gas = (
            split_events(cfg.mesh, x)
            for x in symmetry.turned(jax.random.fold_in(key, 2**30), dark, gas)
        )

    def loss(params: Any, events: Batch, key: jax.Array) -> tuple[jax.Array, Metrics]:
        found = losses(cfg, predict(cfg, params, events["dark"]), events["gas"])
        return found.mean(), {}

    (value, _), gradients = mean_gradient(
        cfg, loss, state.params, {"dark": dark, "gas": gas}, key
    )  # fmt: skip
    rate = optimizers.learning_rate(cfg.optimizer, cfg.train, *clock)
    params, optimizer = optimizers.update(
        cfg.optimizer, state.optimizer, state.params, gradients, rate
    )
    return State(params, optimizer), {"loss": value, "learning_rate": rate}


def trained(cfg: FieldsConfig, state: State) -> Any:
    """The parameters of a network that learns no more."""
    return whole(cfg.mesh, optimizers.trained(cfg.optimizer, state.optimizer, state.params))


def fields(cfg: FieldsConfig, state: State, dark: jax.Array) -> jax.Array:
    """Fields of gas (n, x, y, z, 5) in physical units."""
    return physical(predict(cfg, trained(cfg, state), dark))
