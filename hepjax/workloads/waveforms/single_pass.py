"""What the state of a single pass remembers: pulses of each shard, scores of held-out pulses.

It is part of the state, so a resumed pass knows it exactly, whatever the number of devices and
processes.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.engine.workload import Batch, Metrics

PERIODS = 32
"""Equal parts of the shards in their order, which is that of data taking, compared for drift."""
LOWEST, HIGHEST, BINS = 0.25, 64.0, 512
"""Histogram of chi2 a sample: logarithmic, 1.1 % a bin."""
SETTLED = 0.1
"""Share of the pass before which scores do not count: the network changes too fast."""
TAIL = 1e-3


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Seen:
    """Counts, int32."""

    read: jax.Array
    """(most_shards,) pulses of each shard that were read."""
    lost: jax.Array
    """(most_shards,) pulses of each shard that could not be read."""
    held: jax.Array
    """() held-out pulses, which did not train."""
    scores: jax.Array
    """(PERIODS, BINS) held-out pulses by chi2."""


def nothing(shards: int) -> Seen:
    """Before the first update."""
    zeros = jnp.zeros((shards,), jnp.int32)
    return Seen(zeros, zeros, jnp.int32(0), jnp.zeros((PERIODS, BINS), jnp.int32))


def held_rows(batch: Batch, share: float) -> jax.Array:
    """Rows of a batch with its held-out pulses first, twice as many as are expected."""
    size = len(batch["held"])
    order = jnp.argsort(~(batch["held"] & batch["there"]), stable=True)
    return order[: min(size, round(2 * share * size) + 8)]


def add(seen: Seen, batch: Batch, rows: jax.Array, chi2: jax.Array, epoch: jax.Array) -> Seen:
    """After a batch.

    Args:
      rows: of ``held_rows``. chi2: their scores. epoch: share of the pass that is done.
    """
    there, shard = batch["there"], batch["shard"]
    held = batch["held"] & there
    counted = held[rows] & (epoch >= SETTLED)
    place = jnp.log(chi2 / LOWEST) * (BINS / np.log(HIGHEST / LOWEST))
    place = jnp.clip(jnp.nan_to_num(place, nan=BINS), 0, BINS - 1).astype(jnp.int32)
    return Seen(
        seen.read.at[shard].add(there.astype(jnp.int32)),
        seen.lost.at[shard].add(batch["lost"].astype(jnp.int32)),
        seen.held + held.sum(dtype=jnp.int32),
        seen.scores.at[batch["period"][rows], place].add(counted.astype(jnp.int32)),
    )


def summary(seen: Seen) -> Metrics:
    """Running numbers of the records: lost pulses, and the chi2 that one held-out pulse in a
    thousand exceeds, to a bin."""
    above = jnp.cumsum(seen.scores.sum(0)[::-1])[::-1]
    place = (above > TAIL * above[0]).sum() / BINS
    return {
        "lost": seen.lost.sum().astype(jnp.float32),
        "held_tail": LOWEST * (HIGHEST / LOWEST) ** place,
    }


def quantile(counts: np.ndarray, above: float) -> np.ndarray:
    """chi2 that a share ``above`` of the pulses exceeds, of histograms (..., BINS); NaN if empty.

    Straight inside a bin.
    """
    edges = np.geomspace(LOWEST, HIGHEST, BINS + 1)

    def one(row: np.ndarray) -> float:
        total = row.sum()
        if total == 0:
            return float("nan")
        below = np.concatenate([[0], np.cumsum(row)]) / total
        return float(np.interp(1 - above, below, edges))

    return np.apply_along_axis(one, -1, np.asarray(counts, np.int64))


def coverage(seen: Seen, events: np.ndarray, sizes: np.ndarray) -> dict[str, Any]:
    """What a pass has read of shards with these numbers of pulses and bytes, exactly."""
    read, lost = (np.asarray(a, np.int64)[: len(events)] for a in (seen.read, seen.lost))
    done = read + lost
    return {
        "shards": len(events), "shards_read": int((read == events).sum()),
        "shards_failed": int((lost > 0).sum()), "failed": np.flatnonzero(lost).tolist(),
        "shards_begun": int(((done > 0) & (done < events)).sum()),
        "pulses": int(events.sum()), "pulses_read": int(read.sum()),
        "pulses_lost": int(lost.sum()), "pulses_held_out": int(seen.held),
        "bytes": int(sizes.sum()), "bytes_read": int((sizes * (read / events)).sum()),
        "complete": bool((done == events).all()),
    }  # fmt: skip


def drift(seen: Seen) -> list[dict[str, float]]:
    """Median and tail of chi2 in each period, and how far its median is off, in errors.

    The error of a median is 1.25 spreads over the root of the pulses; the spread is half of the
    distance between the quantiles at 16 and 84 %.
    """
    counts = np.asarray(seen.scores, np.int64)
    total = counts.sum(0)
    middle = float(quantile(total, 0.5))
    spread = float(quantile(total, 0.16) - quantile(total, 0.84)) / 2
    rows = []
    for period, row in enumerate(counts):
        n = int(row.sum())
        median = float(quantile(row, 0.5)) if n else float("nan")
        error = 1.25 * spread / max(n, 1) ** 0.5
        rows.append({
            "period": period, "pulses": n, "median": median, "tail": float(quantile(row, TAIL)),
            "deviation": (median - middle) / error if n and error > 0 else float("nan"),
        })  # fmt: skip
    return rows
