"""Models written as ONNX without a run directory, and how far they agree with the run."""

from functools import partial

import jax
import numpy as np

from helpers import calo
from helpers.gan3d import TINY, TINY_ANGLE
from helpers.mlpf import MODELS, config
from helpers.tagger import TINY as TAGGER
from hepjax.export import parity, program, targets
from hepjax.export.onnx_file import model
from hepjax.export.replay import drawn
from hepjax.workloads import table

WGAN = table.configure({
    "workload": "wgan", "model": {"latent": 3, "generator": [8], "critic": [8]},
    "data": {"calorimeter": "atlas-photons", "files": ["a"], "energies": [1.0, 2.0],
             "eta": [0.2, 0.25]},
})[1]  # fmt: skip
CASES = {
    "gan3d": (table.get("gan3d"), TINY), "angle": (table.get("gan3d"), TINY_ANGLE),
    "tagger": (table.get("tagger"), TAGGER),
    **{f"mlpf-{name}": (table.get("mlpf"), config(m)) for name, m in MODELS.items()},
    "calo": (table.get("calo"), calo.tiny(calo.CYLINDER)), "wgan": (table.get("wgan"), WGAN),
    "tracking": table.configure({
        "workload": "tracking", "model": {"hidden": 4, "layers": 2, "steps": 2},
    }),
    "fields": table.configure({
        "workload": "fields", "model": {"channels": [3], "residual": True},
    }),
    **{f"waveforms-{kind}": table.configure({
        "workload": "waveforms", "data": {"samples": 130},
        "model": {"kind": kind, "widths": [9], "channels": [3, 4], "latent": 2},
    }) for kind in ("dense", "conv")},
    "cosmoflow": table.configure({
        "workload": "cosmoflow", "model": {"channels": [2, 3], "dense": [4]},
        "data": {"cells": 8},
    }),
    "trigger": table.configure({"workload": "trigger", "model": {"hidden": [4]}}),
    "nsbi": table.configure({
        "workload": "nsbi", "model": {"hidden": [4]},
        "data": {"observables": ["x0", "x1"], "reference": ["r"], "processes": ["s", "b"],
                 "files": ["s", "b"], "coefficients": [[0, 0, 1], [1, 0, 0]]},
    }),
    "unfold": table.configure({
        "workload": "unfold", "model": {"hidden": [4]},
        "data": {"observables": ["m", "w"], "measured": ["a"], "simulation": ["b"]},
    }),
}  # fmt: skip
"""A small network of each workload."""


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
