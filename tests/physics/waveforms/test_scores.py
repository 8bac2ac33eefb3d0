"""p-values of known backgrounds, their combination, PCA, noise, and the ceiling against theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hepjax.formats.waveforms.layout import DETECTOR, KINDS
from hepjax.physics.waveforms import ceiling, principal, scores
from hepjax.physics.waveforms.noise import chi2, deviations, negative_log_likelihood
from hepjax.simulate.waveforms.pulses import AT_ONCE, simulate_pulses

RNG = np.random.default_rng(4)


def background(n):
    """A score whose median and width follow the area."""
    area = np.exp(RNG.uniform(6, 11, n))
    return 2 + 0.3 * np.log(area) + RNG.normal(size=n) * (1 + 0.1 * np.log(area)), area


def test_p_values_of_normal_pulses_are_flat_at_every_area():
    known = scores.calibrate(*background(20_000))
    score, area = background(20_000)
    for p in (scores.upper(known, score, area), scores.two_sided(known, score, area)):
        for part in (area < np.median(area), area >= np.median(area)):
            assert stats.kstest(p[part], "uniform").statistic < 0.03
            assert (p[part] < 1e-2).mean() == pytest.approx(1e-2, abs=4e-3)


def test_low_scores_are_anomalies_too():
    known = scores.calibrate(*background(5_000))
    area = np.full(2, 3000.0)
    middle = np.interp(np.log(area), known.at, known.median)
    assert (scores.upper(known, middle - 20, area) > 0.9).all()
    assert (scores.two_sided(known, middle - 20, area) < 1e-4).all()
    far, farther = scores.two_sided(known, middle + np.array([15.0, 30.0]), area)
    assert farther < far < 1e-3  # beyond all normal pulses the order is kept


def test_the_combined_p_value_is_flat_where_it_is_small():
    """Also of dependent scores: chi2 and coarse are nearly the same here."""

    def pulses(n):
        score, area = background(n)
        near = score + 0.3 * RNG.normal(size=n)
        others = {name: RNG.normal(size=n) for name in ("spike", "bump", "kl")}
        return {"chi2": score, "coarse": near, "area": area} | others

    known, found = scores.backgrounds(pulses(40_000)), pulses(40_000)
    p = np.exp(-scores.combined(known, found))
    assert (p < 1e-2).mean() == pytest.approx(1e-2, abs=3e-3)
    for name in (*scores.BY_AREA, "kl"):  # each score alone is enough
        one = {k: v[:50].copy() for k, v in found.items()}
        one[name] += 30
        assert np.median(scores.combined(known, one)) > 8
    low = {k: v[:50].copy() for k, v in found.items()}
    low["chi2"] -= 30
    assert np.median(scores.combined(known, low)) > 8  # a chi2 that is too small counts too


def test_deviations_see_what_they_are_for():
    expected = jnp.full((300, 512), 4.0)
    noise = RNG.normal(size=(300, 512)) * (1.5 * 4 + 0.36) ** 0.5
    plain = deviations(expected + noise, expected, 1.5, 0.6)
    assert float(plain["chi2"].mean()) == pytest.approx(1.0, abs=0.02)
    assert float(plain["coarse"].mean()) == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(
        plain["chi2"], chi2(np.asarray(expected + noise), np.asarray(expected), 1.5, 0.6) / 512,
        rtol=1e-4,
    )  # fmt: skip
    place = np.arange(512)
    for name, shape, least in (("spike", abs(place - 100) < 2, 12.0), ("bump", place < 96, 2.0)):
        changed = deviations(expected + noise + least * shape, expected, 1.5, 0.6)

        def gain(score, changed=changed):
            return float((changed[score].mean() - plain[score].mean()) / plain[score].std())

        assert gain(name) > 4
        assert gain(name) > 2 * gain("chi2")


def test_thresholds_and_efficiencies():
    normal = np.arange(1000.0)
    cut = scores.threshold(normal, 1e-2)
    assert (normal > cut).sum() == 10
    share, error = scores.efficiency(np.array([0.0, 995.0, 999.0, 1000.0]), cut)
    assert share == 0.75
    assert error == pytest.approx((0.75 * 0.25 / 4) ** 0.5)


def test_components_find_the_plane_that_made_the_pulses():
    shapes = np.abs(RNG.normal(size=(3, 30))) + 0.1
    weights = RNG.dirichlet([3, 3, 3], 400)
    shapes /= shapes.sum(1, keepdims=True)
    area = RNG.uniform(100, 1000, 400)
    pulses = area[:, None] * (weights @ shapes)
    model = principal.fit(pulses, area, 2)
    np.testing.assert_allclose(principal.expected(model, pulses, area), pulses, rtol=1e-4)
    assert np.abs(principal.expected(model._replace(components=model.components[:1]), pulses, area)
                  - pulses).max() > 1  # fmt: skip


def test_chi2_of_the_model_is_one_a_sample():
    expected = np.full((200, 400), 8.0)
    waveform = expected + RNG.normal(size=expected.shape) * np.sqrt(1.5 * 8 + 0.36)
    found = chi2(waveform, expected, 1.5, 0.6) / 400
    assert found.mean() == pytest.approx(1.0, abs=4 * (2 / expected.size) ** 0.5)


def test_the_likelihood_is_largest_at_the_truth():
    waveform = jnp.asarray(6 + RNG.normal(size=(2000, 8)) * (1.5 * 6 + 0.36) ** 0.5)

    def loss(level):
        expected = jnp.full(waveform.shape, level)
        return negative_log_likelihood(waveform, expected, 1.5, 0.6).mean()

    slope = jax.grad(loss)
    assert float(slope(5.7)) < 0 < float(slope(6.3))
    step = 1e-2
    numerical = (loss(5.0 + step) - loss(5.0 - step)) / (2 * step)
    assert float(slope(5.0)) == pytest.approx(float(numerical), rel=1e-2)


def test_the_ceiling_is_a_likelihood_ratio():
    kinds = np.arange(AT_ONCE) % 2 * KINDS.index("multi")
    made = next(simulate_pulses(kinds, seed=11))
    waveform = made.waveform * np.float32(DETECTOR.count)
    ratio = ceiling.log_ratio(waveform, made._asdict())
    bright = made.electrons > 100
    # The mean of a likelihood ratio over normal pulses is 1; capped, so that its error is small, it
    # is less. That of the waveform is normal, which holds for many electrons alone.
    for found, few in ((made.ratio, True), (ratio, False)):
        known = bright | few
        normal, multi = found[known & (made.kind == 0)], found[known & (made.kind != 0)]
        assert np.median(multi) > 5 > 0 > np.median(normal)
        capped = np.minimum(np.exp(np.minimum(normal, 3.0)), 8.0)
        assert capped.mean() < 1 + 3 * capped.std() / len(capped) ** 0.5
    normal, multi = ratio[made.kind == 0], ratio[made.kind != 0]
    found = [
        (x[made.kind != 0] > scores.threshold(x[made.kind == 0], 0.05)).mean()
        for x in (made.ratio, ratio)
    ]
    assert 0.8 < found[1] < found[0] + 0.03  # electrons tell more
    # Wrong hypotheses are refused: of a multiple scatter its own truth is preferred to another's.
    shuffled = {k: v[::-1] if k in ("separation", "fraction") else v
                for k, v in made._asdict().items()}  # fmt: skip
    other = ceiling.log_ratio(waveform, shuffled)[made.kind != 0]
    assert (multi > other).mean() > 0.8
