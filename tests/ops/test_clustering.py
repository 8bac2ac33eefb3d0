"""Anti-kt jets of several events, and which particle is in which jet."""

import sys

import numpy as np
import pytest

from hepjax import MissingExtraError
from hepjax.ops import clustering

PHI = np.array([0.0, 0.1, 2.0, 0.0, 1.0])
MOMENTA = clustering.momenta(
    np.array([20.0, 10.0, 40.0, 3.0, 50.0]), np.zeros(5), np.cos(PHI), np.sin(PHI),
    np.array([20.0, 10.0, 40.0, 3.0, 50.0]),
)  # fmt: skip


def test_jets_by_event_and_falling_pt():
    pytest.importorskip("fastjet")
    jets = clustering.anti_kt(MOMENTA, np.array([3, 0, 2]), 0.4, 5.0)
    assert jets.event.tolist() == [0, 0, 2]
    mass = np.sqrt(2 * 20 * 10 * (1 - np.cos(0.1)))
    assert jets.pt == pytest.approx([40, np.sqrt(30**2 - mass**2), 50])
    assert jets.mass == pytest.approx([0, mass, 0], abs=1e-4)
    assert jets.phi == pytest.approx([2, 0.1 / 3, 1], abs=1e-3)


def test_numbers_of_jets_follow_the_clustering():
    pytest.importorskip("fastjet")
    number = clustering.jet_numbers(MOMENTA[:4], 0.4, 35.0)
    assert number.tolist() == [0, 0, 1, 0]
    assert set(clustering.jet_numbers(MOMENTA[:4], 0.4, 5.0)) == {1, 2}
    assert clustering.jet_numbers(MOMENTA[:0], 0.4, 5.0).size == 0


def test_without_fastjet(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastjet", None)
    assert not clustering.is_available()
    with pytest.raises(MissingExtraError, match=r"hepjax\[hep\]"):
        clustering.anti_kt(MOMENTA, np.array([5]), 0.4, 5.0)
