"""The guard against updates that are not finite."""

import jax
import jax.numpy as jnp
import pytest

from hepjax.engine.step import _finite, _finite_by_shape, _finite_each

SHAPES = [(3,), (3,), (2, 2), (), (3,), (2, 2)]


@pytest.mark.parametrize("finite", [_finite_each, _finite_by_shape])
@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_one_number_that_is_not_finite_is_found_in_any_array(finite, bad):
    leaves = [jnp.full(shape, 3e38) for shape in SHAPES]
    assert finite(leaves)
    for number, leaf in enumerate(leaves):
        spoilt = leaf.ravel().at[-1].set(bad).reshape(leaf.shape)
        assert not finite([*leaves[:number], spoilt, *leaves[number + 1 :]])


def test_a_gpu_reduces_the_arrays_of_a_shape_together():
    leaves = [jnp.zeros(shape) for shape in SHAPES]
    traced = jax.jit(lambda leaves: _finite(leaves, 1)).trace(leaves)
    found = {
        platform: traced.lower(lowering_platforms=(platform,)).as_text().count("stablehlo.reduce(")
        for platform in ("cpu", "cuda")
    }
    assert found["cuda"] == len(set(SHAPES)) + 1
    assert found["cpu"] == len(SHAPES)
