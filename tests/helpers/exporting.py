"""Models written as ONNX without a run directory, and how far they agree with the run."""

from functools import partial

import jax
import numpy as np

from hepjax.export import parity, program, targets
from hepjax.export.onnx_file import model
from hepjax.export.replay import drawn


def trained(workload, cfg, seed=3):
    """A state with noise in what begins as zeros and ones."""
    state = jax.jit(partial(workload.init, cfg))(jax.random.key(0))
    leaves, tree = jax.tree.flatten(state)
    rng = np.random.default_rng(seed)
    moved = [
        np.asarray(a) * np.float32(rng.uniform(0.8, 1.2)) if np.asarray(a).dtype == np.float32
        else np.asarray(a) for a in leaves
    ]  # fmt: skip
    return jax.tree.unflatten(tree, moved)


def exported(workload, cfg, target="generic", noise=None, opset=16, batch=None, state=None):
    """State, host, graph and file of a model."""
    state = trained(workload, cfg) if state is None else state
    host = targets.host(target, workload, cfg, drawn(workload, cfg, state), noise, batch)
    written = program.write(workload, cfg, state, host, opset)
    return state, host, written, model(written, opset).SerializeToString()


def agreement(workload, cfg, *, judged=None, **kwargs):
    """Parity of the file with its state, or with another one that it is ``judged`` by."""
    state, host, written, content = exported(workload, cfg, **kwargs)
    named = {f.name for f in host.inputs}
    shapes = tuple(tuple(t.shape[1:]) for t in written.graph.inputs if t.name not in named)
    state = state if judged is None else judged
    return parity.check(content, workload, cfg, state, host, shapes)
