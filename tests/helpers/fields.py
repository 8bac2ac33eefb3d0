"""Boxes and states of the workloads of cosmic fields, drawn by NumPy, which compiles nothing."""

from functools import partial

import jax
import numpy as np


def boxes(n=8, events=2, seed=0):
    """Dark matter and gas (events, n, n, n, c) in physical units, without physics."""
    rng = np.random.default_rng(seed)
    dark = np.concatenate(
        [rng.exponential(1.0, (events, n, n, n, 1)), rng.normal(0, 80, (events, n, n, n, 3))], -1
    )
    hot = rng.uniform(5e3, 5e4, (events, n, n, n, 1))
    gas = np.concatenate([0.5 + dark[..., :1], hot, 0.8 * dark[..., 1:]], -1)
    return {"dark": dark.astype(np.float32), "gas": gas.astype(np.float32)}


def drawn(begin, seed=0):
    """A state as ``begin(key)`` makes it, its floats drawn anew: kernels by the rule of He,
    everything else small."""
    rng = np.random.default_rng(seed)

    def values(path, leaf):
        if "optimizer" in jax.tree_util.keystr(path) or leaf.dtype != np.float32:
            return np.zeros(leaf.shape, leaf.dtype)
        spread = np.sqrt(2 / np.prod(leaf.shape[:-1])) if leaf.ndim > 1 else 0.02
        return rng.normal(0, spread, leaf.shape).astype(leaf.dtype)

    return jax.tree_util.tree_map_with_path(values, jax.eval_shape(begin, jax.random.key(0)))


def state(objective, cfg, seed=0):
    """A state of a workload."""
    return drawn(partial(objective.init, cfg), seed)
