"""Quantiles of the normal distribution."""

import numpy as np
from scipy import special

from hepjax.ops.normal import quantile


def test_quantiles_are_those_of_the_standard_normal_distribution():
    below = np.logspace(-7, np.log10(0.5), 2000, dtype=np.float32)
    share = np.concatenate([below, 1 - below[below > 1e-6]])
    expected = special.ndtri(share.astype(np.float64))
    np.testing.assert_allclose(quantile(share), expected, atol=2e-6, rtol=0)
