"""What a trained tagger says of events: scores, and where it looks."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit

from hepjax.engine.progress import progress
from hepjax.physics.jets.saliency import saliency, sums_by_class
from hepjax.workloads.tagger import objective
from hepjax.workloads.tagger.config import TaggerConfig
from hepjax.workloads.tagger.source import JetSource

Planes = list[list[np.ndarray]]
IMAGE = ("cell", "value", "coarsening")
SALIENCY_EVENTS = 1024
"""Events whose saliency is averaged; the mean hardly changes with more."""


def predict(
    cfg: TaggerConfig, state: objective.State, source: JetSource, batch_size: int,
    *, quiet: bool = True,
) -> np.ndarray:  # fmt: skip
    """Scores of all events in their order, (n,) float64 from 0 (background) to 1 (signal).

    The sigmoid is taken in double precision: in single the surest events would all score 1.
    """
    parts = []
    with progress("predict", len(source), "events", quiet=quiet) as advance:
        for raw, count in _batches(source, batch_size):
            log_odds = _log_odds(cfg, state, {name: raw[name] for name in IMAGE})
            parts.append(np.asarray(log_odds, np.float64)[:count])
            advance(count)
    return expit(np.concatenate(parts))


def mean_saliency(
    cfg: TaggerConfig, state: objective.State, source: JetSource, *, quiet: bool = True
) -> Planes:
    """Mean of |d log-odds / d pixel|, the pixel as the network sees it, over the first events.

    Returns:
      for the classes 0 and 1 and each channel (eta, phi).
    """
    fields, batch_size = (*IMAGE, "label"), 64
    total, events = np.zeros((2, *cfg.data.shape, len(cfg.data.names))), np.zeros(2)
    wanted = min(len(source), SALIENCY_EVENTS)
    with progress("saliency", wanted, "events", quiet=quiet) as advance:
        for raw, count in _batches(source, batch_size, wanted):
            raw["label"] = np.where(np.arange(batch_size) < count, raw["label"], -1)
            sums, number = _saliency(cfg, state, {name: raw[name] for name in fields})
            total += np.asarray(sums)
            events += np.asarray(number)
            advance(count)
    means = total / np.maximum(events, 1)[:, None, None, None]
    return [list(np.moveaxis(mean, -1, 0)) for mean in means]


def _batches(
    source: JetSource, batch_size: int, stop: int | None = None
) -> Iterator[tuple[dict[str, Any], int]]:
    """Batches of one shape and their number of events; the last one repeats its last event."""
    stop = len(source) if stop is None else stop
    for start in range(0, stop, batch_size):
        rows = np.minimum(start + np.arange(batch_size), stop - 1)
        yield source[rows], min(batch_size, stop - start)


@partial(jax.jit, static_argnums=0)
def _log_odds(cfg: TaggerConfig, state: objective.State, raw: objective.Batch) -> jax.Array:
    return objective.logits(cfg, state, objective.prepare(cfg, raw)["image"])


@partial(jax.jit, static_argnums=0)
def _saliency(
    cfg: TaggerConfig, state: objective.State, raw: objective.Batch
) -> tuple[jax.Array, jax.Array]:
    image = objective.prepare(cfg, raw)["image"]
    maps = saliency(partial(objective.logits, cfg, state), image)
    return sums_by_class(maps.astype(jnp.float32), raw["label"], 2)
