"""Normal scores: tables gathered from showers of a known distribution, and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax.workloads.calo import scores

UPDATES, BATCH = 16, 1500
to_scores, from_scores = jax.jit(scores.to_scores), jax.jit(scores.from_scores)


@jax.jit
def step(tables, vector, present, t, noise, share):
    return scores.gathered(tables, scores.sums(tables, vector, present, t, noise), share)


def sample(n, seed):
    """Narrow, skewed, depending on the condition, correlated; the last one absent in half."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(-1.7, 1.7, (n, 1)).astype(np.float32)
    a, b = rng.normal(size=(2, n, 1))
    skewed = np.exp(0.4 * (0.9 * a + np.sqrt(1 - 0.81) * b))
    vector = np.concatenate([5 * t + 0.02 * a, 0.3 * t**2 + (0.1 + 0.05 * t) * skewed, b], axis=1)
    present = np.ones((n, 3), bool)
    present[:, 2] = rng.random(n) < 0.5
    return t, np.where(present, vector, 0.0).astype(np.float32), present


@pytest.fixture(scope="module")
def tables():
    """After as many batches as ``objective.statistics`` asks for."""
    found = scores.start(3)
    for k in range(UPDATES):
        t, vector, present = sample(BATCH, k)
        noise = jax.random.normal(jax.random.key(k), vector.shape)
        found = step(found, vector, present, t, noise, jnp.float32(k / UPDATES))
    return found


def test_scores_are_standard_normal_at_every_energy(tables):
    t, vector, present = sample(20_000, 99)
    found = np.asarray(to_scores(tables, vector, t))
    for low in (-1.7, -1.2, 0.0, 1.2):
        here = (t[:, 0] >= low) & (t[:, 0] < low + 0.5)
        for column in range(3):
            z = found[here & present[:, column], column]
            assert z.mean() == pytest.approx(0, abs=0.12)
            assert z.std() == pytest.approx(1, abs=0.12)
            assert (z < -1).mean() == pytest.approx(0.159, abs=0.04)
            assert (z > 1).mean() == pytest.approx(0.159, abs=0.04)


def test_scores_and_back(tables):
    t, vector, _ = sample(20_000, 7)
    vector += np.random.default_rng(0).normal(size=vector.shape).astype(np.float32)  # tails too
    found = to_scores(tables, vector, t)
    assert np.abs(found).max() > 5
    back = from_scores(tables, found, t)
    np.testing.assert_allclose(back, vector, atol=2e-5)
    white = scores.whitened(tables, found)
    np.testing.assert_allclose(scores.coloured(tables, white), found, rtol=1e-4, atol=1e-3)


def test_whitened_scores_are_not_correlated(tables):
    t, vector, present = sample(20_000, 98)
    noise = jax.random.normal(jax.random.key(1), vector.shape)
    found = jnp.where(present, to_scores(tables, vector, t), noise)
    assert np.corrcoef(found.T)[0, 1] > 0.8
    second = np.cov(np.asarray(scores.whitened(tables, found)).T)
    np.testing.assert_allclose(second, np.eye(3), atol=0.06)


def test_energies_without_showers_lie_on_the_line_of_the_others():
    """As in samples of a few fixed incident energies."""
    t = np.tile(np.float32([-1.7, -0.2, 0.3, 1.7]), BATCH // 4)[:, None]
    noise = np.random.default_rng(0).normal(size=(BATCH, 3)).astype(np.float32)
    vector, everywhere = 2 * t + 0.1 * noise, np.ones((BATCH, 3), bool)
    found = scores.start(3)
    for share in (0.0, 0.2):
        found = step(found, vector, everywhere, t, noise, jnp.float32(share))
    line = 2 * np.linspace(-1.7, 1.7, scores.NODES)
    np.testing.assert_allclose(found["mean"][0], line, atol=0.1)
    np.testing.assert_allclose(found["spread"][0], 0.1, rtol=0.2)


def test_a_warm_start_gathers_tables_of_its_own_showers():
    t = np.linspace(-1.7, 1.7, BATCH, dtype=np.float32)[:, None]
    noise, everywhere = np.zeros((BATCH, 3), np.float32), np.ones((BATCH, 3), bool)
    found = scores.start(3)
    for share in (0.0, 0.05):
        found = step(found, 5 * t + noise, everywhere, t, noise, jnp.float32(share))
    again = step(found, -2 * t + noise, everywhere, t, noise, jnp.float32(0))
    line = -2 * np.linspace(-1.7, 1.7, scores.NODES)
    np.testing.assert_allclose(again["mean"][0], line, atol=0.1)


def test_the_first_tables_change_nothing():
    t, x, _ = sample(20_000, 3)
    start = scores.start(3)
    np.testing.assert_allclose(to_scores(start, x, t), x, atol=1e-5)
    np.testing.assert_array_equal(scores.whitened(start, x), x)


def test_a_function_through_points_and_its_inverse():
    xs, ys = jnp.array([0.0, 1.0, 3.0]), jnp.array([10.0, 12.0, 13.0])
    x = jnp.array([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 5.0])
    y = scores.piecewise(x, xs, ys)
    np.testing.assert_allclose(y, [8, 10, 11, 12, 12.5, 13, 14])
    np.testing.assert_allclose(scores.piecewise(y, ys, xs), x, atol=1e-6)
