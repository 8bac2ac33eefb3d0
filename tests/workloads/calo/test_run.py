"""From showers to showers: training, generation, report, refusals, collapse."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from helpers import calo

import hepjax
from hepjax import InputError, TrainingError, run
from hepjax.formats.showers.writer import write_showers
from hepjax.physics.calorimeter import distances
from hepjax.workloads.calo import generator, validation
from hepjax.workloads.calo.workload import WORKLOAD


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two epochs on 96 showers of the small box, and its configuration."""
    folder = tmp_path_factory.mktemp("calo")
    made = calo.showers(calo.BOX, 96)
    write_showers(
        folder / "data", iter([made | {"theta": np.full(96, np.pi / 2, np.float32)}]),
        layout="fixed", events_per_file=96, particle="Ele", calorimeter=calo.BOX,
    )  # fmt: skip
    cfg = calo.tiny()
    data = dataclasses.replace(cfg.data, files=(str(folder / "data"),), validation_fraction=1 / 3)
    cfg = dataclasses.replace(cfg, data=data)
    run.train(WORKLOAD, cfg, folder / "run")
    return hepjax.load(folder / "run"), cfg, folder


def test_generated_showers_are_sound_and_the_same_for_any_batch(trained):
    opened, cfg, _ = trained
    energy = np.linspace(10, 100, 7)
    whole = opened.generate(energy=energy, seed=3, batch_size=7)
    assert whole.shape == (7, 5, 5, 3)
    assert np.isfinite(whole).all()
    assert np.all((whole == 0) | (whole >= 0.9999 * cfg.threshold))
    parts = opened.generate(energy=energy, seed=3, batch_size=3)
    np.testing.assert_allclose(parts, whole, rtol=1e-3, atol=1e-5)
    assert not np.allclose(opened.generate(energy=energy, seed=4, batch_size=7), whole)


def test_records_hold_the_score_of_each_epoch(trained):
    _, _, folder = trained
    lines = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    found = [line for line in lines if line["event"] == "validation"]
    assert len(found) == 2
    for line in found:
        parts = sum(line[name] for name in ("layers", "margins", "copula", "window"))
        assert line["score"] == pytest.approx(parts)  # the negative log-likelihood
        assert np.isfinite(line["feature_distance"])


def test_energies_outside_of_the_training_are_refused(trained):
    with pytest.raises(InputError, match="energy: expected 10 to 100 GeV"):
        trained[0].generate(energy=[500.0])
    with pytest.raises(InputError, match="conditions: expected energy, found theta"):
        trained[0].generate(theta=[1.5])


@pytest.mark.slow
def test_a_training_that_leaves_the_finite_numbers_ends(trained, tmp_path):
    _, cfg, _ = trained
    wild = dataclasses.replace(cfg.optimizer, learning_rate=1e30, average=0.0)
    with pytest.raises(TrainingError, match="expected finite losses"):
        run.train(WORKLOAD, dataclasses.replace(cfg, optimizer=wild), tmp_path / "wild")


def test_a_flow_whose_showers_are_not_finite_is_refused_after_the_epoch():
    cfg = calo.tiny()
    sums = dict.fromkeys(("showers", "layers", "margins", "copula"), np.float32(4))
    sums |= {f"{name}_first": np.ones(3) for name in ("real", "fake")}
    sums |= {f"{name}_second": 4 * np.ones((3, 3)) + np.eye(3) for name in ("real", "fake")}
    assert validation.summarise(cfg, sums)[validation.DISTANCE] == pytest.approx(0, abs=1e-9)
    with pytest.raises(TrainingError, match="validation: expected finite showers"):
        validation.summarise(cfg, sums | {"fake_first": np.array([1, np.nan, 1])})


def test_planted_collapse_costs_recall(trained):
    """A generator whose noise is the same for all showers has no diversity."""
    opened, cfg, _ = trained
    energy = np.full(200, 50.0, np.float32)
    keys = jax.random.split(jax.random.key(0), 200)
    params, stats = opened.state.params, opened.state.stats
    make = jax.jit(lambda keys: generator.showers_of(cfg, params, stats, energy, keys))
    sound, other = make(keys), make(jax.random.split(jax.random.key(1), 200))
    collapsed = make(jax.numpy.broadcast_to(keys[:1], keys.shape))
    logs = [distances.log_cells(np.asarray(s)) for s in (sound, other, collapsed)]
    assert distances.prdc(logs[0], logs[1]).recall > 0.5
    assert distances.prdc(logs[0], logs[2]).recall < 0.05
