"""Classifiers of density ratios: start, order and padding of particles."""

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.nn.ratio import Ratio


def test_order_and_padding_of_particles_change_nothing():
    net = Ratio((8,), (8, 8))
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(3, 5, 4)), jnp.float32)
    there = jnp.ones((3, 5))
    params, apply = jax.jit(net.init)(jax.random.key(0), x, there), jax.jit(net.apply)
    assert (np.asarray(apply(params, x, there)) == 0).all()  # ratio 1 before the first update
    params = jax.tree.map(lambda p: p + 0.3, params)
    known = apply(params, x, there)
    np.testing.assert_allclose(apply(params, x[:, ::-1], there), known, atol=1e-5)
    more = jnp.concatenate([x, 9 * jnp.ones((3, 2, 4))], axis=1)
    padded = apply(params, more, jnp.pad(there, ((0, 0), (0, 2))))
    np.testing.assert_allclose(padded, known, atol=1e-5)
    assert np.std(known) > 0
