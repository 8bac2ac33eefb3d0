"""The relativistic pairing loss and its gradient penalties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import calo

from hepjax.workloads.calo import critic


def setting(known=calo.BOX):
    cfg = calo.tiny(known, critic_from=1.0)
    module = critic.Critic(known, 4)
    seen = jax.random.uniform(jax.random.key(0), (3, len(known.layers), 25))
    if known is not calo.BOX:
        seen = jax.random.uniform(jax.random.key(0), (3, len(known.layers), 24))
    logs = jnp.ones((3, len(known.layers)))
    params = jax.jit(module.init)(jax.random.key(1), seen, logs)["params"]
    return cfg, module, params, seen, logs


def test_equal_showers_cost_log_two():
    _, module, params, seen, logs = setting()

    @jax.jit
    def both(seen):
        def score(x):
            return module.apply({"params": params}, x, logs)

        return (
            critic.generator_loss(score, seen, seen),
            critic.critic_loss(score, seen, seen, 0.0),
        )

    assert list(map(float, both(seen))) == pytest.approx([np.log(2)] * 2, rel=1e-6)


def test_penalty_of_a_linear_score_is_its_squared_slope():
    slope = jnp.arange(6.0).reshape(2, 3)
    found = critic.penalty(lambda x: (x * slope).sum((1, 2)), jnp.ones((5, 2, 3)))
    assert float(found) == pytest.approx(float((slope**2).sum()))


@pytest.mark.parametrize("kind", ["box", pytest.param("ragged", marks=pytest.mark.slow)])
def test_second_derivatives_of_the_penalties_are_right(kind):
    """The gradient of R1 + R2 in the critic's parameters against central differences along a random
    direction."""
    _, module, params, real, logs = setting(calo.KINDS[kind])
    fake = real[::-1] * 0.7

    def loss(params):
        def score(x):
            return module.apply({"params": params}, x, logs)

        return critic.critic_loss(score, real, fake, 3.0)

    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(5), len(leaves))
    way = [jax.random.normal(k, p.shape) for k, p in zip(keys, leaves, strict=True)]
    gradient = jax.tree.leaves(jax.jit(jax.grad(loss))(params))
    found = sum(float((g * w).sum()) for g, w in zip(gradient, way, strict=True))
    step, compiled = 3e-3, jax.jit(loss)

    def at(by):
        moved = [p + by * w for p, w in zip(leaves, way, strict=True)]
        return float(compiled(jax.tree.unflatten(tree, moved)))

    assert found == pytest.approx((at(step) - at(-step)) / (2 * step), rel=2e-2)
