"""The score of the best epoch, of many validation showers and of few."""

import numpy as np
import pytest

from hepjax.workloads.gan3d import validation
from hepjax.workloads.gan3d.config import Gan3DConfig


def summary(counts, ratio):
    """Of sums in eight bins, whose generated sampling fractions are ``ratio`` times the real."""
    counts = np.asarray(counts, np.float32)
    real = np.stack([counts, 0.02 * counts, 0.0004 * counts], axis=1)
    some = np.ones((2, 3), np.float32)
    sums = {"showers": counts.sum(), "gen_loss": 1.0, "real_fraction": real,
            "fake_fraction": real * np.stack([np.ones(8), ratio, np.square(ratio)], 1)}  # fmt: skip
    for name in ("real", "fake"):
        sums |= {f"{name}_loss": 1.0, f"{name}_moments": some}
        sums |= {f"{name}_profile_{axis}": np.ones(25, np.float32) for axis in "xyz"}
    return validation.summarise(Gan3DConfig(), sums)


def test_all_bins_count_where_they_can():
    scores = summary([30] * 8, np.linspace(1.1, 1.8, 8))
    assert scores["sampling_fraction_mre"] == pytest.approx(0.45)
    assert "energy_bins" not in scores


def test_an_empty_bin_is_left_out_and_said():
    scores = summary([0, *[30] * 7], [9, *[1.2] * 7])
    assert scores["sampling_fraction_mre"] == pytest.approx(0.2)
    assert scores["energy_bins"] == 7


def test_bins_of_few_showers_are_joined_and_said():
    """As of 900 showers, of which 90 are for validation."""
    scores = summary([11] * 8, [1.1] * 4 + [0.9] * 4)
    assert scores["sampling_fraction_mre"] == pytest.approx(0.1)
    assert scores["energy_bins"] == 4


def test_too_few_showers_have_no_score():
    scores = summary([3] * 8, [1.0] * 8)
    assert np.isnan(scores["sampling_fraction_mre"])
    assert "energy_bins" not in scores
