"""The graph of an event: by layers, or from the trained run of an earlier stage.

An embedding gives the pairs of hits within its radius, a filter the edges of its own graph whose
scores are above its cut. Stages are runs of their own: ``data.graph`` names the one before.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.engine import rundir
from hepjax.engine.checkpoint import best_first, restore_first
from hepjax.engine.step import TrainState
from hepjax.formats.tracking.event import Event
from hepjax.physics.tracking.graph import Graph, build, near, of_pairs
from hepjax.workloads.tracking import objective
from hepjax.workloads.tracking.config import TrackingConfig
from hepjax.workloads.tracking.graphs import bucket_of, known, padded

NO_PAIRS = np.zeros((0, 2), np.int64)


def graph_of(cfg: TrackingConfig, event: Event) -> Graph:
    """The graph that a network of ``cfg`` sees; an embedding needs no edges.

    Raises:
      InputError: see ``_stage``; or an event beyond the largest sizes of an earlier stage.
    """
    if cfg.model.kind == "embedding":
        return of_pairs(event, NO_PAIRS)
    return of_pairs(event, _pairs(cfg.data.graph, event)) if cfg.data.graph else build(
        event, cfg.data.cuts
    )  # fmt: skip


def _pairs(run: str, event: Event) -> np.ndarray:
    """Pairs (e, 2) of hits that an earlier stage gives."""
    cfg, apply = _stage(run)
    graph = graph_of(cfg, event)
    bucket = bucket_of(cfg, f"data.graph={run}", event, graph)
    batch = padded(cfg, bucket, [known(cfg, event, graph)])
    found = np.asarray(apply({name: batch[name] for name in objective.GRAPH}))[0]
    if cfg.model.kind == "embedding":
        return near(event, found[: len(event)], cfg.model.radius)
    # Of scores the cut is that of the sigmoid.
    kept = 1 / (1 + np.exp(-found[: len(graph.senders)])) >= cfg.tracks.cut
    return np.stack([graph.senders[kept], graph.receivers[kept]], axis=1)


@functools.lru_cache(maxsize=4)
def _stage(run: str) -> tuple[TrackingConfig, Callable[[Any], jax.Array]]:
    """Configuration and network of the best epoch of a run.

    Raises:
      InputError: no trained run of an embedding or a filter.
    """
    directory = Path(run)
    settings = rundir.read_settings(directory)
    kind = settings.get("model", {}).get("kind") if settings["workload"] == "tracking" else None
    if kind not in ("embedding", "filter"):
        raise InputError(
            "data.graph: expected a run of tracking with model.kind=embedding or filter, found "
            f"{directory}, a run of {settings['workload'] if kind is None else kind}"
        )
    cfg: TrackingConfig = rundir.configuration(directory, TrackingConfig, settings)
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    before = jnp.zeros(2) if cfg.train.warm_start and cfg.train.warm_schedule == "keep" else None
    state = jax.eval_shape(lambda: TrainState(
        jnp.int32(0), jnp.int32(0), objective.init(cfg, jax.random.key(0)), before
    ))  # fmt: skip
    placed = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), state)
    folder = directory / "checkpoints"
    found = restore_first(folder, best_first(folder), placed)
    if found is None:
        raise InputError(
            f"data.graph: expected a trained run, found no checkpoint in {folder}; train it first"
        )
    params = objective.trained(cfg, found[1].model)
    return cfg, jax.jit(functools.partial(objective.found, cfg, params))
