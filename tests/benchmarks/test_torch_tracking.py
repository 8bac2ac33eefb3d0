"""The interaction network in Flax and in PyTorch give the same updates: the benchmark is fair."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.speed import tracking_update  # noqa: E402
from hepjax.workloads.tracking.config import ModelConfig  # noqa: E402


def test_updates_are_the_same():
    cfg, raw = tracking_update.event_of("tracking/demo", 20)
    cfg = replace(cfg, model=ModelConfig(hidden=8, steps=2))
    assert (raw["edges"] < cfg.data.edges[0]).all()  # padding on one side only
    both = tracking_update.forms(cfg, raw)
    for _ in range(3):
        _, metrics = both["hepjax"]()
        np.testing.assert_allclose(float(both["torch"]()), metrics["loss"], rtol=1e-4)
