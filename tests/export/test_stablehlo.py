"""Programs for other runtimes have open sizes and their weights as constants."""

from functools import partial

import jax
import numpy as np
import pytest
from helpers.exporting import CASES

from hepjax.export.program import servable
from hepjax.export.sizes import symbols
from hepjax.export.stablehlo import answers


@pytest.mark.parametrize("name", CASES)
def test_every_workload_is_traced_with_open_sizes_and_constant_weights(name):
    workload, cfg = CASES[name]
    cfg = servable(cfg)
    begun = jax.eval_shape(lambda key: workload.init(cfg, key), jax.random.key(0))
    state = jax.tree.map(lambda a: np.ones(a.shape, a.dtype), begun)
    model = workload.inputs(cfg)
    sizes = symbols(model, workload.name)
    shapes = [jax.ShapeDtypeStruct(sizes.shape(f), f.dtype) for f in model.fields]
    found = jax.eval_shape(
        partial(answers, workload, cfg, state), *shapes, jax.ShapeDtypeStruct((), "int32")
    )
    assert all(np.prod(f.shape) > 0 for f in model.fields if None not in f.shape)  # ONNX has none
    for field in workload.outputs(cfg).spec.fields:
        assert len(found[field.name].shape) == len(field.shape) + 1
