"""What trained networks give: sums of the last layer, scores made of them, and the report."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.engine.inference import HostBatch
from hepjax.engine.progress import progress
from hepjax.engine.workload import About, Answer, Batch, Field, Model, Scores, Spec
from hepjax.formats.source import Source
from hepjax.nn.quantised import network as as_integers
from hepjax.ops.fixed_point import Network, accumulators, execute
from hepjax.workloads.trigger import objective
from hepjax.workloads.trigger.config import TriggerConfig
from hepjax.workloads.trigger.objective import State

BATCH = 4096
COMPARED = 1000
"""Events whose sums are computed again in integers for the report."""


def inputs(cfg: TriggerConfig) -> Spec:
    """The inputs before they are standardised, and which of them are there."""
    size = len(cfg.task.inputs)
    return Spec((Field("inputs", (size,), "float32"), Field("there", (size,), "bool")))


def outputs(cfg: TriggerConfig) -> Answer:
    """Sums of the last layer of each network."""
    return Answer("table", Spec((Field("sums", (cfg.members, cfg.outputs), "float32"),)), BATCH)


def infer(cfg: TriggerConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """``sums`` (n, members, outputs) of all networks, or (n, 1, outputs) of one that was chosen."""

    def one(state: State, params: Any) -> jax.Array:
        x = objective.standardised(state, inputs["inputs"], inputs["there"])
        return objective.outputs(cfg, state, params, x, state.share)[0]

    state = every(state)
    return {"sums": jnp.moveaxis(jax.vmap(one)(state, objective.trained(cfg, state)), 0, 1)}


def every(state: State) -> State:
    """A state with a leading axis, also if one network was chosen."""
    return state if state.cost.ndim else jax.tree.map(lambda x: x[None], state)


def rows(
    cfg: TriggerConfig, events: HostBatch, answers: HostBatch, first: int
) -> dict[str, np.ndarray]:
    """``index``, and of each network k the probabilities ``<class>_<k>``, or ``anomaly_<k>``."""
    count, members = answers["sums"].shape[:2]
    table: dict[str, np.ndarray] = {"index": first + np.arange(count)}
    for member in range(members):
        for name, values in scores(cfg, answers["sums"][:, member]).items():
            table[f"{name}_{member}"] = values
    return table


def scores(cfg: TriggerConfig, sums: np.ndarray) -> dict[str, np.ndarray]:
    """The probability (n,) of each class of one network, or the anomaly score ``anomaly``."""
    if cfg.task.anomaly:
        return {"anomaly": np.asarray(objective.score_of(cfg, jnp.asarray(sums)))}
    p = np.exp(sums - sums.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    return {name: p[:, k] for k, name in enumerate(cfg.task.classes)}


def fixed(cfg: TriggerConfig, state: State, member: int) -> Network:
    """One trained network as integers; of the anomaly task only the sums that the score needs."""
    every_one = jax.device_get(every(state))
    one = jax.tree.map(lambda x: x[member], every_one)
    params = objective.trained(cfg, one)
    share = float(one.share) if cfg.curve.pruned else None
    whole = as_integers(
        params["network"], one.ranges, cfg.model.integer, share, hidden=len(cfg.model.hidden)
    )
    if not cfg.task.anomaly:
        return whole
    *before, last = whole.layers
    means = slice(0, cfg.model.latent)
    last = replace(last, weight=last.weight[:, means], bias=last.bias[means])
    return replace(whole, layers=(*before, last))


class Given(NamedTuple):
    """What the networks are given for some events, and what they say and cost."""

    x: np.ndarray
    """(members, n, k) standardised inputs."""
    sums: np.ndarray
    """(members, n, outputs)."""
    ebops: np.ndarray
    """(members,)."""


def given(cfg: TriggerConfig, state: State, prepared: Batch) -> Given:
    """``prepared`` events, ``inputs`` and ``there`` (n, k), through all networks."""
    return Given(*jax.device_get(_given(cfg)(every(state), prepared)))


@functools.lru_cache(maxsize=8)
def _given(cfg: TriggerConfig) -> Callable[[State, Batch], tuple[jax.Array, ...]]:
    def one(state: State, params: Any, prepared: Batch) -> tuple[jax.Array, ...]:
        x = objective.standardised(state, prepared["inputs"], prepared["there"])
        sums, cost, _ = objective.outputs(cfg, state, params, x, state.share)
        return x, sums, cost

    def all_of(state: State, prepared: Batch) -> tuple[jax.Array, ...]:
        each = jax.vmap(one, in_axes=(0, 0, None))
        return each(state, objective.trained(cfg, state), prepared)

    return jax.jit(all_of)


def evaluate(
    cfg: TriggerConfig, model: Model[TriggerConfig, State], source: Source, out: Path, about: About
) -> Scores:
    """Report on the curve of all networks on the events of ``source``; return the scores.

    Raises:
      InputError: events without classes.
    """
    from hepjax.physics.trigger.report import Judged, report
    from hepjax.report.document import check_folder, write_report

    check_folder(out)
    found, labels, raws = [], [], []
    with progress("predict", len(source), "events", quiet=model.quiet) as advance:
        for events, answers in model.over(source, BATCH, advance=advance):
            found.append(answers["sums"])
            labels.append(events["label"])
            raws.append(events["inputs"])
    label, sums, raw = (np.concatenate(parts) for parts in (labels, found, raws))
    if (label < 0).any():
        raise InputError(
            "evaluate: expected events with a column class to judge the run on, found none; "
            "hepjax predict needs none"
        )
    prepare = jax.jit(functools.partial(objective.prepare, cfg, Spec()))
    some = given(cfg, model.placed.state, prepare({"inputs": raw[:COMPARED]}))
    sizes = [size(cfg, model.placed.state, member, some) for member in range(sums.shape[1])]
    made = [scores(cfg, sums[:, member]) for member in range(sums.shape[1])]
    judged = Judged(cfg.data.task, label, made, sizes, raw)
    history = [{k: _mean(v) for k, v in row.items()} for row in about.history]
    return write_report(report(judged), out, **about._replace(history=history)._asdict())


def size(cfg: TriggerConfig, state: State, member: int, some: Given) -> dict[str, Any]:
    """What a network costs, and what integers say of the sums of some events."""
    network, state = fixed(cfg, state, member), every(state)
    again, overflow = execute(network, some.x[member])
    weights = [layer.weight for layer in network.layers]
    hidden = weights[:-1] or weights
    differ = again != some.sums[member, :, : again.shape[1]]
    return {
        "cost": float(state.cost[member]), "pruned": float(state.share[member]),
        "ebops": float(some.ebops[member]),
        "weights": int(sum(np.count_nonzero(w) for w in weights)),
        "zero_weights": float(np.mean(np.concatenate([w.reshape(-1) for w in hidden]) == 0)),
        "activation_bits": [grid.bits for grid in network.grids()],
        "weight_bits": [layer.weight_grid.bits for layer in network.layers],
        "accumulator_bits": max(grid.bits for grid in accumulators(network)),
        "types": [grid.text for grid in network.grids()],
        "compared": again.size, "mismatches": int(np.count_nonzero(differ)),
        "overflow": int(sum(overflow)), "values": int(len(again) * sum(len(w) for w in weights)),
    }  # fmt: skip


def _mean(value: object) -> object:
    """The mean of a record over the networks."""
    if isinstance(value, list) and value and all(isinstance(x, int | float) for x in value):
        return float(np.mean(value))
    return value
