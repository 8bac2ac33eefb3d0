"""Replicas of the bootstrap: the distribution, independence, and one number a row and replica."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax.ops.bootstrap import drawn


def test_replicas_are_poisson_independent_and_of_the_row():
    rows = jnp.arange(20_000)
    replicas = jax.jit(jax.vmap(lambda k: drawn(3, k, rows)))(jnp.arange(2))
    for weights in np.asarray(replicas):
        assert weights.mean() == pytest.approx(1.0, abs=0.03)
        assert weights.var() == pytest.approx(1.0, abs=0.06)
        assert (weights == 0).mean() == pytest.approx(np.exp(-1), abs=0.02)
    assert abs(np.corrcoef(replicas)[0, 1]) < 0.03
    again = drawn(3, jnp.int32(1), rows[::-1])
    np.testing.assert_array_equal(np.asarray(again)[::-1], np.asarray(replicas)[1])
