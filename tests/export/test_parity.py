"""The gate that an exported model passes before any file is written."""

import numpy as np
import pytest
from helpers.gan3d import TINY

from hepjax.engine.workload import Field, Range
from hepjax.export import parity


def test_examples_are_within_ranges_and_edges_join_two_hits():
    hits, edges = ("hits",), ("edges",)
    fields = (
        Field("z", (None, 2), "float32", "mm", hits), Field("layer", (None,), "int32", axes=hits),
        Field("senders", (None,), "int32", axes=edges),
        Field("receivers", (None,), "int32", axes=edges),
    )  # fmt: skip
    ranges = {"z": Range(-5, 5, "mm"), "layer": Range(0, 7, "1")}
    rng = np.random.default_rng(0)
    made = parity.examples(fields, 3, {"hits": 9, "edges": 50}, ranges, rng)
    assert {k: a.shape for k, a in made.items()} == {
        "z": (3, 9, 2), "layer": (3, 9), "senders": (3, 50), "receivers": (3, 50),
    }  # fmt: skip
    assert -5 <= made["z"].min() < -3
    assert set(np.unique(made["layer"])) <= set(range(8))
    assert max(made["senders"].max(), made["receivers"].max()) < 9
    assert (made["senders"] != made["receivers"]).all()


def test_no_file_has_to_agree_better_than_the_run_with_itself():
    wanted = np.linspace(0, 1, 1000)
    still, shaken, jumping = np.zeros(1000), np.full(1000, 8e-5), np.zeros(1000)
    jumping[3] = 0.4
    off, far = wanted.copy(), wanted.copy()
    off[5] += 5e-5
    far[3] += 0.3

    def judged(found, moved):
        return parity.require(TINY, [parity.difference(TINY, found, wanted, moved)], 1000)

    assert judged(wanted + 9e-6, still).error == pytest.approx(9e-6)
    assert judged(off, shaken) == pytest.approx((5e-5, 0.001, 8e-5))
    assert judged(far, jumping) == pytest.approx((0, 0.001, 0))
    for found, moved in ((off, still), (off, shaken / 9), (far, shaken), (wanted + 5e-5, shaken)):
        with pytest.raises(parity.ParityError, match="expected the answers of the run to 1e-05"):
            judged(found, moved)
