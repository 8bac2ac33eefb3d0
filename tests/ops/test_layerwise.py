"""LAMB and LARS against the published formulas, written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax.ops.layerwise import LAYERWISE

RNG = np.random.default_rng(4)
MATRIX, VECTOR = RNG.normal(size=(3, 4)), RNG.normal(size=4)
GRADIENTS = [(RNG.normal(size=(3, 4)), RNG.normal(size=4)) for _ in range(2)]


def steps_of(name):
    """The steps for two gradients in turn, at unit rate and at the same parameters."""
    transform, params = LAYERWISE[name](), {"w": jnp.array(MATRIX), "b": jnp.array(VECTOR)}
    state, steps = transform.init(params), []
    for w, b in GRADIENTS:
        step, state = transform.update({"w": jnp.array(w), "b": jnp.array(b)}, state, params)
        steps.append(step)
    return steps


def test_lamb_is_adam_with_steps_of_the_size_of_the_array():
    m, v = np.zeros((3, 4)), np.zeros((3, 4))
    for count, ((g, _), step) in enumerate(zip(GRADIENTS, steps_of("lamb"), strict=True), 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        adam = m / (1 - 0.9**count) / (np.sqrt(v / (1 - 0.999**count)) + 1e-6)
        wanted = adam * np.linalg.norm(MATRIX) / np.linalg.norm(adam)
        np.testing.assert_allclose(step["w"], wanted, rtol=1e-5)
    # A vector takes Adam's first step, the sign of its gradient.
    np.testing.assert_allclose(steps_of("lamb")[0]["b"], np.sign(GRADIENTS[0][1]), rtol=1e-4)


def test_lars_is_the_gradient_at_the_size_of_the_array_with_momentum():
    velocity, of_vector = 0.0, 0.0
    for (g, b), step in zip(GRADIENTS, steps_of("lars"), strict=True):
        velocity = 0.9 * velocity + 1e-3 * np.linalg.norm(MATRIX) / np.linalg.norm(g) * g
        of_vector = 0.9 * of_vector + b
        np.testing.assert_allclose(step["w"], velocity, rtol=1e-5)
        np.testing.assert_allclose(step["b"], of_vector, rtol=1e-5)


@pytest.mark.parametrize("name", LAYERWISE)
def test_an_array_of_zeros_can_leave_them_and_no_gradient_moves_nothing(name):
    zero, one = {"w": jnp.zeros((2, 2))}, {"w": jnp.ones((2, 2))}
    transform = LAYERWISE[name]()
    step = transform.update(one, transform.init(zero), zero)[0]
    assert float(jnp.abs(step["w"]).min()) > 0
    still = transform.update(zero, transform.init(one), one)[0]
    assert jax.tree.leaves(still)[0].tolist() == [[0, 0], [0, 0]]
