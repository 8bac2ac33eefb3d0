"""The ResNet-15 in Flax and in PyTorch give the same loss and updates, so the benchmark is fair."""

from dataclasses import replace

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from helpers.tagger import TINY  # noqa: E402

from benchmarks.speed import torch_tagger as twin  # noqa: E402
from hepjax.engine.workload import Clock  # noqa: E402
from hepjax.workloads.tagger import objective  # noqa: E402
from hepjax.workloads.tagger.config import ModelConfig  # noqa: E402

CLOCK = Clock(0.0, 0)


@pytest.mark.parametrize("head", ["flatten", "global"])
def test_updates_are_the_same(head):
    cfg = replace(
        TINY,
        model=ModelConfig(head=head),
        data=replace(TINY.data, shape=(33, 40), channels=("pT",)),
    )
    draw = np.random.default_rng(0)
    image = draw.normal(size=(4, 33, 40, 1)).astype(np.float32)
    label = np.array([0, 1, 1, 0], np.int32)
    state = objective.init(cfg, jax.random.key(0))
    update = twin.make_update(cfg, state.params)
    step = jax.jit(lambda s: objective.train_step(cfg, s, batch, jax.random.key(1), CLOCK))
    batch = {"image": image, "label": label}
    for _ in range(3):
        state, metrics = step(state)
        loss = update(torch.tensor(image).permute(0, 3, 1, 2), torch.tensor(label))
        np.testing.assert_allclose(loss, metrics["loss"], rtol=1e-4)
