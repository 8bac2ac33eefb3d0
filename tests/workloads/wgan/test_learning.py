"""The pieces of a Wasserstein GAN on showers of a few voxels, where it is known what they give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax.engine import optimizers
from hepjax.engine.settings import build
from hepjax.engine.workload import Clock
from hepjax.workloads.wgan import objective
from hepjax.workloads.wgan.config import WganConfig

CALORIMETER = """
name: ring
particle: photon
energy: [1, 1000]
layers: [{slabs: [{lead: 1.5}, {argon: 4.2, active: true}], rings: [0, 10], sectors: SECTORS}]
"""
START = Clock(jnp.float32(0), jnp.float32(0))


@pytest.fixture
def configured(tmp_path):
    """A configuration of a calorimeter with so many voxels."""

    def make(voxels, **more):
        path = tmp_path / "ring.yaml"
        path.write_text(CALORIMETER.replace("SECTORS", f"{voxels}"))
        settings = {
            "model": {"latent": 4, "generator": [16], "critic": [32, 32], "norm": "none",
                      "activation": "relu", "output": "swish"},
            "optimizer": {"learning_rate": 2e-3, "beta1": 0.5},
            "objective": {"restart_every": 0},
            "train": {"batch_size": 320, "steps": 1},
            "data": {"calorimeter": str(path), "energies": [1.0, 1000.0]},
        }  # fmt: skip
        return build(WganConfig, settings | more)

    return make


def born(cfg):
    return jax.jit(lambda: objective.born(cfg, jax.random.key(0)))()


def test_the_penalty_is_that_of_numerical_slopes(configured):
    cfg = configured(3)
    one = born(cfg)
    real = jax.random.uniform(jax.random.key(1), (8, 3))
    condition = jnp.zeros((8, 2))
    # Between a shower and itself there is only that shower, whatever the share.
    loss = jax.jit(lambda p: objective.critic_loss(
        cfg, p, real, real, condition, jax.random.key(2)))(one.critic)  # fmt: skip
    critic, step = objective.networks(cfg)[1], 1e-2

    @jax.jit
    def judged(x):
        return critic.apply({"params": one.critic}, x, condition)

    sides = [judged(real + step * e) - judged(real - step * e) for e in jnp.eye(3)]
    norm = np.linalg.norm(np.stack(sides) / (2 * step), axis=0)
    assert loss == pytest.approx(10 * np.mean((norm - 1) ** 2), rel=0.05)


def test_a_critic_alone_finds_the_distance(configured):
    """Between showers of 0.8 and of 0 the Wasserstein distance is 0.8; a penalty of weight 10 lets
    the slope be 1 + 1/20."""
    cfg = configured(1)
    one = born(cfg)
    silent = jax.tree.map(jnp.zeros_like, one.generator)
    real, condition = jnp.full((64, 1), 0.8), jnp.zeros((64, 2))
    start = objective.Critics(one.critic, optimizers.init(cfg.optimizer, one.critic))

    def step(state, key):
        return objective.critic_step(cfg, silent, state, real, condition, key, jnp.float32(2e-3))

    judge, losses = jax.lax.scan(step, start, jax.random.split(jax.random.key(1), 300))
    critic = objective.networks(cfg)[1]
    high, low = (critic.apply({"params": judge.params}, x, condition)[0]
                 for x in (real, 0 * real))  # fmt: skip
    assert high - low == pytest.approx(0.8 * 1.05, rel=0.05)
    assert losses[-1] == pytest.approx(-0.8 * (1.05 - 0.025), rel=0.05)


def test_a_generator_of_a_normal_distribution_converges(configured):
    """Shares of a total energy that is N(0.8, 0.1) at the lowest energy and N(0.5, 0.1) at the
    highest. In one dimension it could not: there a slope cannot turn without a penalty."""
    shares = jnp.array([0.5, 0.3, 0.15, 0.05])
    cfg = configured(4, optimizer={"learning_rate": 1e-3, "beta1": 0.5})
    one = born(cfg)

    def step(one, key):
        k_energy, k_real, k_step = jax.random.split(key, 3)
        high = jax.random.bernoulli(k_energy, 0.5, (320,))
        total = jnp.where(high, 0.5, 0.8) + 0.1 * jax.random.normal(k_real, (320,))
        energy = jnp.where(high, 1000.0, 1.0)
        return objective.member_step(cfg, one, total[:, None] * shares, energy, k_step, START)

    one, metrics = jax.lax.scan(step, one, jax.random.split(jax.random.key(1), 1000))
    noise = objective.noise_of(cfg, jax.random.key(2), 2000)
    totals = []
    for energy, mean in ((1.0, 0.8), (1000.0, 0.5)):
        made = objective.generated(
            cfg, objective.generators(cfg, one), jnp.full(2000, energy), noise
        )
        totals.append(made.sum(-1))
        assert totals[-1].mean() == pytest.approx(mean, abs=0.12)
        assert 0.04 < totals[-1].std() < 0.2  # 0.45 at first
        np.testing.assert_allclose(made.mean(0), shares * mean, atol=0.08)
    assert totals[0].mean() - totals[1].mean() == pytest.approx(0.3, abs=0.1)
    assert abs(metrics["critic_loss"][-50:].mean()) < 0.06
