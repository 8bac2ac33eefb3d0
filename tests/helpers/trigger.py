"""A small trained-like trigger network, its events, and what it says of them."""

import jax
import numpy as np

from hepjax.nn.quantised import UNIT, QuantisedMlp, network

HIDDEN = (8, 6)
INPUTS, OUTPUTS, INTEGER = 7, 3, 3


def quantised(events=300, seed=5):
    """A network with bits and ranges of its own everywhere: module, variables, events (n, 7)."""
    mlp = QuantisedMlp(HIDDEN, OUTPUTS, 6.0, 5.0, INTEGER)
    rng = np.random.default_rng(seed)
    x = 2.0 * rng.normal(size=(events, INPUTS)).astype(np.float32)
    x[2 * events // 3 :] *= 4.0  # beyond what the ranges have seen
    variables = jax.jit(mlp.init)(jax.random.key(0), x[:1])

    def moved(path, leaf):
        if "fraction" in path[-1].key:
            return np.float32(leaf + rng.integers(-3, 3, leaf.shape) / UNIT)
        return np.float32(rng.normal(0, 0.6, leaf.shape))

    params = jax.tree_util.tree_map_with_path(moved, variables["params"])
    apply = jax.jit(lambda v, x: mlp.apply(v, x, train=True, mutable=["ranges"]))
    _, changed = apply({"params": params, "ranges": variables["ranges"]}, x[: 2 * events // 3])
    return mlp, {"params": params, "ranges": changed["ranges"]}, x


def integers(variables):
    """The same network as integers."""
    return network(variables["params"], variables["ranges"], INTEGER, None, hidden=len(HIDDEN))
