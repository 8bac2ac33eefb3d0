"""The MLPF networks in Flax and in PyTorch give the same outputs, losses and gradients.

That makes the benchmark fair, and checks ours against code that shares nothing with Flax: hashing,
binning, masks, kernels, degree normalisation, heads, losses.
"""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers.mlpf import MODELS, config, raw_events  # noqa: E402

from benchmarks.speed import torch_mlpf as twin  # noqa: E402
from hepjax.engine.workload import Clock, Spec  # noqa: E402
from hepjax.workloads.mlpf import objective  # noqa: E402
from hepjax.workloads.mlpf.config import ObjectiveConfig  # noqa: E402

BATCH = objective.prepare(
    config(MODELS["concat"]),
    Spec(),
    {k: jnp.asarray(v) for k, v in raw_events([21, 14], 24).items()},
)
CASES = [
    (name, slips) for name in MODELS for slips in (False, True) if (name, slips) != ("sparse", True)
]


def settings(name, slips=False):
    losses = ObjectiveConfig(regression="mse") if name == "sparse" else ObjectiveConfig()
    return config(replace(MODELS[name], published_slips=slips), objective=losses)


def double(tree):
    return jax.tree.map(
        lambda a: torch.tensor(np.array(a), dtype=None if a.dtype == bool else torch.float64), tree
    )


@pytest.mark.parametrize(("name", "slips"), CASES)
def test_outputs_losses_and_gradients_are_the_same(name, slips):
    cfg = settings(name, slips)
    state = objective.init(cfg, jax.random.key(1))

    def loss(params):
        outputs = objective.apply(cfg, params, state.codebooks, BATCH)
        sums = objective.loss_sums(cfg, outputs, BATCH, jnp.ones(2))
        return objective.total_loss(cfg, {k: v / n for k, (v, n) in sums.items()}), outputs

    (value, outputs), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(state.params)

    weights, codebooks = (double(t["inner"]) for t in (state.params, state.codebooks))
    leaves = [leaf.requires_grad_() for leaf in jax.tree.leaves(weights)]
    batch = double(BATCH)
    found = twin.apply(cfg.model, weights, codebooks, batch["X"], batch["elements"])
    for key, expected in outputs.items():
        np.testing.assert_allclose(found[key].detach(), expected, rtol=1e-4, atol=1e-4)
    total = twin.loss_of(cfg, found, batch)
    np.testing.assert_allclose(total.detach(), value, rtol=1e-5)
    total.backward()
    for leaf, expected in zip(leaves, jax.tree.leaves(gradients["inner"]), strict=True):
        got = np.zeros(expected.shape) if leaf.grad is None else leaf.grad.numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4 * abs(got).max() + 1e-5)


@pytest.mark.parametrize(
    ("name", "precision"), [("concat", "float32"), ("additive", "bfloat16"), ("sparse", "float32")]
)
def test_updates_lower_the_loss_alike(name, precision):
    cfg = settings(name)
    cfg = replace(cfg, train=replace(cfg.train, precision=precision))
    state = objective.init(cfg, jax.random.key(1))
    step = jax.jit(partial(objective.train_step, cfg))
    ours = []
    after = state
    for k in range(3):
        after, metrics = step(after, BATCH, jax.random.key(k), Clock(0.0, k))
        ours.append(float(metrics["loss"]))
    tensors = {k: torch.tensor(np.array(v)) for k, v in BATCH.items()}
    update = twin.make_update(cfg, state, tensors)
    theirs = [float(update()) for _ in range(3)]
    np.testing.assert_allclose(theirs, ours, rtol=1e-3 if precision == "float32" else 0.05)
    assert ours[2] < ours[0]
