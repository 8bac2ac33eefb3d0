"""The formulas of gas: filters, shocks, and where they are local."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax.ops import boxes, gas

RATE = 50.0
GAS, PLAIN = jax.jit(gas.gas), jax.jit(gas.fluctuating)
SMOOTH = jax.jit(gas.smooth, static_argnums=1)


def dark(seed=0, n=12):
    rng = np.random.default_rng(seed)
    density = rng.exponential(1.0, (n, n, n, 1))
    return jnp.asarray(np.concatenate([density, rng.normal(0, 80, (n, n, n, 3))], -1), jnp.float32)


def test_the_filter_keeps_the_mean_and_never_makes_a_negative():
    field = dark()[..., 0]
    made = SMOOTH(field, 3)
    assert float(made.mean()) == pytest.approx(float(field.mean()), rel=1e-6)
    assert float(made.min()) > 0
    point = SMOOTH(jnp.zeros((6, 6, 6)).at[0, 0, 0].set(64.0), 1)
    assert float(point[0, 0, 0]) == 8
    assert float(point[5, 1, 0]) == 2
    assert float(point[2, 0, 0]) == 0


def test_gas_at_rest_is_the_approximation():
    box = dark().at[..., 1:].set(0.0)
    np.testing.assert_allclose(GAS(box, RATE), PLAIN(box), rtol=1e-6)


def test_converging_gas_is_heated_and_spread():
    n, wave = 12, 2 * np.pi / 12
    speed = -4 * RATE / wave * np.sin(wave * np.arange(n))  # converges on cell 0
    box = dark().at[..., 1].set(jnp.asarray(speed, jnp.float32)[:, None, None])
    box = box.at[..., 2:].set(0.0)
    weight = np.asarray(gas.shock(box[..., 1:], RATE))
    convergence = -(np.roll(speed, -1) - np.roll(speed, 1)) / 2 / RATE
    np.testing.assert_allclose(weight[:, 3, 3], np.clip((convergence - 1) / 3, 0, 1), atol=1e-5)
    made, plain = GAS(box, RATE), PLAIN(box)
    hotter = np.asarray(made[..., 1] / gas.temperature(made[..., 0]))
    np.testing.assert_allclose(hotter, 10 ** (gas.HEAT * weight), rtol=1e-4)
    assert np.asarray(plain[..., 0])[0].std() > np.asarray(made[..., 0])[0].std()


def test_gas_depends_on_its_neighbourhood_alone():
    box = dark(n=16)
    other = box.at[8, 8, 8].multiply(3.0)
    changed = np.abs(np.asarray(GAS(box, RATE) - GAS(other, RATE))).max(-1) > 0
    far = np.abs(np.argwhere(changed) - 8).max()
    assert 1 <= far <= gas.REACH


def test_a_box_depends_on_its_key_alone_and_has_its_mass():
    setting = boxes.Setting(cells=8, length=6.25, steps=2)
    plan = boxes.plan(setting)
    make = jax.jit(lambda key: boxes.make(key, plan))
    (a, made), (b, _), (c, _) = (make(jax.random.key(k)) for k in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert float(jnp.abs(a - c).max()) > 0
    assert float(a[..., 0].sum()) == pytest.approx(512, rel=1e-5)
    assert np.isfinite(np.asarray(made)).all()
    np.testing.assert_allclose(made, GAS(a, plan.rate), rtol=1e-5, atol=1e-3)
