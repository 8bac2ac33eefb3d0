"""Layer norm: that of Flax, its gradients too."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hepjax.nn.norm import LayerNorm


def test_it_is_that_of_flax_with_its_gradients():
    x = 3.0 + 2.0 * jax.random.normal(jax.random.key(0), (2, 50, 7))
    weight = jax.random.normal(jax.random.key(1), x.shape)
    keys = jax.random.split(jax.random.key(2))
    params = {"params": {
        "scale": jax.random.normal(keys[0], (7,)), "bias": jax.random.normal(keys[1], (7,)),
    }}  # fmt: skip

    def loss(module, params, x):
        return (weight * jnp.tanh(module.apply(params, x))).sum()

    assert jax.tree.map(jnp.shape, LayerNorm().init(keys[0], x)) == jax.tree.map(
        jnp.shape, nn.LayerNorm().init(keys[0], x)
    )
    own, flax = (
        jax.value_and_grad(lambda p, x, m=module: loss(m, p, x), (0, 1))(params, x)
        for module in (LayerNorm(), nn.LayerNorm())
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), own, flax)
