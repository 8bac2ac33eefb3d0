"""Heads of the dense models before training."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.mlpf import ADDITIVE, CONCAT, config, raw_events
from helpers.models import initial

from hepjax.formats.particleflow.columns import Element
from hepjax.workloads.mlpf import objective


@pytest.mark.parametrize(
    "model", [pytest.param(CONCAT, marks=pytest.mark.slow), ADDITIVE], ids=["concat", "additive"]
)
def test_directions_begin_as_those_of_the_element(model):
    cfg = config(model)
    raw = {k: jnp.asarray(v) for k, v in raw_events([14, 11], 16).items()}
    batch = objective.prepare(cfg, objective.Spec(), raw)
    out = jax.jit(partial(objective.answer, cfg))(initial(objective, cfg), batch)
    for name, column in (("eta", "ETA"), ("sin_phi", "SIN_PHI"), ("cos_phi", "COS_PHI")):
        np.testing.assert_array_equal(out[name], batch["X"][..., Element[column]])
    assert float(jnp.abs(out["pt"]).max()) > 0
