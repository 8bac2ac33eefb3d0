"""Zero suppression by channel, on the absolute value."""

import numpy as np
import pytest
from jet_samples import GRID, jets

from hepjax.errors import InputError
from hepjax.formats.zero_suppression import zero_suppress


def test_signed_channels_are_kept_unless_named():
    images, _ = jets()
    kept = zero_suppress(images, GRID, {"pT": 0.5, "ECAL": 1.0})
    for name, low in (("pT", 0.5), ("d0", 0.0), ("ECAL", 1.0)):
        k = GRID.names.index(name)
        before, after = (
            i.value[(i.cell >= GRID.starts[k]) & (i.cell < GRID.starts[k + 1])]
            for i in (images, kept)
        )
        np.testing.assert_array_equal(after, before[np.abs(before) >= low])
    assert (kept.value < 0).sum() == (images.value < 0).sum() > 0
    assert len(kept) == len(images)
    assert kept.first[-1] == len(kept.value) < len(images.value)


def test_a_named_signed_channel_loses_small_values_of_both_signs():
    images, _ = jets()
    kept = zero_suppress(images, GRID, {"d0": 0.7})
    d0 = (kept.cell >= 81) & (kept.cell < 162)
    assert np.abs(kept.value[d0]).min() >= 0.7
    assert (kept.value[d0] < 0).any()


@pytest.mark.parametrize("thresholds", [{"HCAL": 0.1}, {"pT": -1.0}, {"pT": np.nan}])
def test_thresholds_that_make_no_sense(thresholds):
    with pytest.raises(InputError, match="expected positive thresholds for pT, d0, ECAL, found "):
        zero_suppress(jets()[0], GRID, thresholds)
