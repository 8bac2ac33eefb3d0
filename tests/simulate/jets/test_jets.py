"""Selection and labels of jets, and a few real ones from Pythia."""

import numpy as np
import pytest
from helpers import lost_worker

from hepjax import HepjaxError, InputError
from hepjax.simulate.collisions.detector import FlowObjects
from hepjax.simulate.collisions.pythia import Partons
from hepjax.simulate.jets import jets as simulated
from hepjax.simulate.jets.jets import TASKS, anti_kt, is_available, simulate_jets

needs_pythia = pytest.mark.skipif(not is_available(), reason="the extra hep is not installed")


def partons(rows):
    """From (pdg, parent, eta, phi), 100 GeV each."""
    pdg, parent, eta, phi = map(np.array, zip(*rows, strict=True))
    pt = np.full(len(rows), 100.0)
    return Partons(
        pdg, parent, pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)
    )


TOP = [(5, 6, 0.1, 3.1), (2, 24, 0.3, -3.1), (-1, 24, -0.2, 3.0)]


def test_a_top_counts_with_all_three_quarks_inside():
    matches = TASKS["top"].matches[1]
    assert matches(partons(TOP), 0.0, 3.1)
    assert not matches(partons(TOP), 0.7, 3.1)  # one light quark is 0.9 away
    assert not matches(partons(TOP[1:]), 0.0, 3.1)
    anti = [(-5, -6, 0.1, 3.1), (1, -24, 0.3, 3.1), (-2, -24, 0.0, 3.0)]
    assert matches(partons(anti), 0.0, 3.1)
    # b of one top and W of the other
    assert not matches(partons([anti[0], *TOP[1:]]), 0.0, 3.1)


def test_quarks_and_gluons_by_the_parton_in_0_4():
    event = partons([(21, 21, 0.0, 0.0), (1, 21, 1.0, 2.0)])
    gluon, quark = TASKS["quark-gluon"].matches[1], TASKS["quark-gluon"].matches[0]
    assert gluon(event, 0.1, 0.3)
    assert not gluon(event, 1.0, 2.0)
    assert quark(event, 1.1, 2.0)
    assert not quark(event, 1.5, 2.0)


def test_labels_mean_what_the_public_files_mean():
    assert TASKS["top"].labels == {0: "qcd", 1: "top"}
    assert TASKS["quark-gluon"].labels == {0: "quark", 1: "gluon"}


def flow(pt, phi):
    pt, phi = np.array(pt), np.array(phi)
    zero = np.zeros(len(pt))
    return FlowObjects(np.full(len(pt), 22), zero, pt, zero, phi, pt)


def test_a_killed_worker_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(simulated, "_chunk", lost_worker.killed)
    with pytest.raises(HepjaxError, match=r"one was killed .* fewer --workers"):
        list(simulate_jets("top", 1000, 0, resolution=1, workers=2))


@needs_pythia
def test_anti_kt_joins_what_is_near():
    events = [flow([60.0, 40.0, 30.0], [3.1, -3.1, 1.0]), flow([20.0], [0.0]), flow([50.0], [1.0])]
    jets = anti_kt(events, 0.5, 25.0)
    assert jets.event.tolist() == [0, 0, 2]
    gap = 2 * np.pi - 6.2
    mass = np.sqrt(2 * 60 * 40 * (1 - np.cos(gap)))
    assert jets.mass == pytest.approx([mass, 0.0, 0.0], abs=1e-4)
    assert jets.pt[1:] == pytest.approx([30.0, 50.0])
    assert jets.pt[0] == pytest.approx(np.sqrt(100.0**2 - mass**2))


@needs_pythia
@pytest.mark.slow
@pytest.mark.parametrize("task", ["top", "quark-gluon"])
def test_jets_from_pythia(task):
    (images, columns), *_ = simulate_jets(task, 200, seed=1)
    assert len(images) == 200
    assert columns["label"].sum() == 100
    low, high = TASKS[task].pt
    assert columns["pt"].min() >= low
    assert columns["pt"].max() < high
    assert np.abs(columns["eta"]).max() < TASKS[task].eta_max
    one = columns["label"] == 1
    if task == "top":
        assert np.median(columns["mass"][one]) == pytest.approx(165, abs=15)
        assert np.median(columns["mass"][~one]) < 90
    else:
        assert columns["n_tracks"][one].mean() > 1.15 * columns["n_tracks"][~one].mean()


@needs_pythia
def test_jets_of_both_labels_in_mixed_order():
    ((images, columns),) = simulate_jets("quark-gluon", 12, seed=2)
    assert len(images) == 12
    assert sorted(columns["label"]) == [0] * 6 + [1] * 6
    assert columns["label"].tolist() != sorted(columns["label"])
    assert np.median(np.diff(images.first)) > 20
    low, high = TASKS["quark-gluon"].pt
    assert np.all((columns["pt"] >= low) & (columns["pt"] < high))
    # No event has jets of both labels.
    assert not set(columns["event"][columns["label"] == 0]) & set(
        columns["event"][columns["label"] == 1]
    )


@needs_pythia
@pytest.mark.slow
def test_jets_do_not_depend_on_the_workers():
    alone, together = (
        list(simulate_jets("quark-gluon", 520, seed=2, workers=workers)) for workers in (1, 2)
    )
    assert len(alone) == 2
    for (a, c), (b, d) in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a.value, b.value)
        np.testing.assert_array_equal(a.cell, b.cell)
        assert all(np.array_equal(c[name], d[name]) for name in c)


def test_another_task_is_refused():
    with pytest.raises(InputError, match="top, quark-gluon"):
        next(simulate_jets("higgs", 1, seed=0))
