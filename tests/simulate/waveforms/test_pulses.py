"""Simulated pulses have the charge, the width and the noise that they should, and the anomalies."""

import numpy as np
import pytest

from hepjax.formats.waveforms.layout import DETECTOR, KINDS
from hepjax.simulate.waveforms.events import TEST_FROM, kinds_of_test, training_kinds
from hepjax.simulate.waveforms.pulses import AT_ONCE, simulate_pulses

EACH = AT_ONCE // len(KINDS)


@pytest.fixture(scope="module")
def made():
    """Pulses of all kinds, side by side."""
    kinds = np.repeat(np.arange(len(KINDS)), EACH)
    kinds = np.concatenate([kinds, np.zeros(AT_ONCE - len(kinds), int)])
    return next(simulate_pulses(kinds, seed=5))


def of(made, name):
    rows = made.kind == KINDS.index(name)
    return made.waveform[rows] * DETECTOR.count, {
        field: values[rows] for field, values in made._asdict().items()
    }


def moments(waveform):
    time = np.arange(waveform.shape[1])
    area = waveform.sum(1)
    mean = (waveform * time).sum(1) / area
    return area, np.sqrt(np.maximum((waveform * (time - mean[:, None]) ** 2).sum(1) / area, 0))


def test_charge_is_that_of_the_electrons(made):
    waveform, truth = of(made, "normal")
    area = waveform.sum(1)
    expected = DETECTOR.photons * truth["electrons"]
    assert (area / expected).mean() == pytest.approx(1.0, abs=0.05)
    pull = (area - expected) / np.sqrt(expected * DETECTOR.photons)
    assert pull.std() == pytest.approx(1.0, abs=0.25)  # Poisson numbers of electrons dominate


def test_width_is_that_of_diffusion(made):
    waveform, truth = of(made, "normal")
    bright = truth["electrons"] > 100
    _, width = moments(waveform[bright])
    diffusion = np.array([DETECTOR.width_us(t) for t in truth["drift_time"][bright]])
    expected = np.hypot(diffusion, DETECTOR.transit_us / 12**0.5) / DETECTOR.sample_us
    assert np.median(width / expected) == pytest.approx(1.0, abs=0.06)


def test_the_median_of_the_charge_is_in_the_middle(made):
    waveform, _ = of(made, "normal")
    total = np.cumsum(waveform, axis=1)
    middle = (total >= total[:, -1:] / 2).argmax(1)
    assert np.median(np.abs(middle - DETECTOR.samples // 2)) <= 2


def test_noise_before_the_pulse(made):
    waveform, truth = of(made, "normal")
    shallow = truth["drift_time"] < 300
    assert waveform[shallow, :60].std() == pytest.approx(DETECTOR.noise, rel=0.05)


def test_anomalies_are_what_they_say(made):
    normal = moments(of(made, "normal")[0])[1]
    assert moments(of(made, "multi")[0])[1].mean() > 1.2 * normal.mean()
    gas, truth = of(made, "gas")
    bright = truth["electrons"] > 100
    expected = DETECTOR.gas_transit_us / 12**0.5 / DETECTOR.sample_us
    assert np.median(moments(gas[bright])[1]) == pytest.approx(expected, rel=0.1)
    train, truth = of(made, "train")
    ratio = train.sum(1) / (DETECTOR.photons * truth["electrons"])
    assert ratio.mean() == pytest.approx(1.3, abs=0.08)  # 35 % less what comes after the window
    clipped, truth = of(made, "sat")
    bright = truth["electrons"] > 100
    flat = (clipped > clipped.max(1, keepdims=True) - 6 * DETECTOR.noise).sum(1)
    assert np.median(flat[bright]) > 20
    merged, truth = of(made, "s1merge")
    before = merged[:, : DETECTOR.samples // 2 - 90].max(1)
    early = truth["electrons"] > 300
    assert np.median(before[early]) > 50
    jumped, _ = of(made, "baseline")
    ends = np.abs(jumped[:, -20:].mean(1))
    assert np.median(ends) > 2 * np.median(np.abs(of(made, "normal")[0][:, -20:].mean(1)))


def test_a_pulse_depends_on_seed_and_number_alone(made):
    again = next(simulate_pulses(np.zeros(AT_ONCE, int), seed=5))
    normal = made.kind == 0
    np.testing.assert_array_equal(made.waveform[normal], again.waveform[normal])
    other = next(simulate_pulses(np.zeros(AT_ONCE, int), seed=6))
    assert not np.array_equal(again.waveform, other.waveform)


def test_the_kinds_of_the_sets():
    kinds = kinds_of_test(160)
    assert np.bincount(kinds).tolist() == [160] + [10] * 6
    assert (training_kinds(1000, 0, 0.0) == 0).all()
    planted = training_kinds(4000, 0, 0.1) > 0
    assert planted.mean() == pytest.approx(0.1, abs=0.02)
    assert TEST_FROM > 2**29
