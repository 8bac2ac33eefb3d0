"""How fast this machine is: matrix products, sums over all devices, and reading events."""

import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from hepjax.engine.config import MeshConfig
from hepjax.engine.mesh import DATA, make_mesh
from hepjax.formats.source import Source

REPEATS = 5
SUMMED_BYTES = 2**24
"""On each device; about the gradients of the largest of the networks here."""


def _best(call: Callable[[], object]) -> float:
    """Shortest of some wall times, s; the first call, which may compile, does not count."""
    jax.block_until_ready(call())
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def matmul_rate(dtype: str, n: int = 1024) -> float:
    """GFLOP/s of an n x n matrix product with float32 results, on one device."""
    x = jnp.ones((n, n), dtype)
    product = jax.jit(partial(jnp.matmul, preferred_element_type=jnp.float32))
    return 2e-9 * n**3 / _best(lambda: product(x, x))


def all_reduce_rate() -> float | None:
    """GB/s at which each device sends while all sum their arrays; None for one device.

    Counted as in a ring: 2 (n - 1) / n times the size of the array, over the time it takes.
    """
    n = len(jax.devices())
    if n == 1:
        return None
    mesh = make_mesh(MeshConfig(), n)
    rows = np.ones((n // jax.process_count(), SUMMED_BYTES // 4), np.float32)
    x = jax.make_array_from_process_local_data(NamedSharding(mesh, P(DATA)), rows)
    total = jax.jit(lambda a: a.sum(0), out_shardings=NamedSharding(mesh, P()))
    return 2e-9 * (n - 1) / n * SUMMED_BYTES / _best(lambda: total(x))


def read_rate(source: Source, events: int = 2048, batch: int = 64) -> float:
    """Events/s read in order, once, by one thread."""
    stop = min(events, len(source))
    began = time.perf_counter()
    for start in range(0, stop, batch):
        source[np.arange(start, min(start + batch, stop))]
    return stop / (time.perf_counter() - began)
