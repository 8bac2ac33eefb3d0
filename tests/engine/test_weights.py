"""Models that come with the package: what ``pretrained/NAME`` opens, and what it refuses."""

import dataclasses
import hashlib

import jax
import numpy as np
import pytest
import yaml
from helpers import calo
from helpers.models import initial

import hepjax
from benchmarks.physics import pretrained
from hepjax import InputError, run
from hepjax.engine import weights
from hepjax.engine.settings import to_settings
from hepjax.export.exported import export_onnx
from hepjax.formats.showers.writer import write_showers
from hepjax.workloads.calo import objective
from hepjax.workloads.calo.workload import WORKLOAD


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A packaged model with the initial weights of a small generator."""
    cfg = calo.tiny()
    cfg = dataclasses.replace(cfg, optimizer=dataclasses.replace(cfg.optimizer, average=0.0))
    state = initial(objective, cfg)
    folder = tmp_path / "tiny"
    folder.mkdir()
    settings = {"workload": "calo"} | to_settings(cfg)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    weights.save(folder / weights.FILE, pretrained.needed(state.params, state.stats))
    monkeypatch.setattr(weights, "_folder", lambda: tmp_path)
    return folder, state


def test_a_packaged_model_has_the_weights_in_half_precision(model):
    opened = hepjax.load("pretrained/tiny")
    pairs = zip(jax.tree.leaves(opened.state.params), jax.tree.leaves(model[1].params), strict=True)
    for found, stored in pairs:
        np.testing.assert_array_equal(found, np.float32(np.float16(stored)))
    assert opened.generate(energy=[20.0, 30.0]).shape == (2, 5, 5, 3)


def test_unknown_names_and_steps_are_refused(model):
    with pytest.raises(InputError, match="pretrained/other: expected pretrained/ and one of tiny"):
        hepjax.load("pretrained/other")
    with pytest.raises(InputError, match="step: expected none with pretrained/tiny"):
        hepjax.load("pretrained/tiny", step=3)


def test_damaged_weights_are_refused(model):
    path = model[0] / weights.FILE
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="expected the weights of a pretrained model"):
        hepjax.load("pretrained/tiny")


def test_weights_of_another_model_are_refused(model):
    weights.save(model[0] / weights.FILE, {"params": {"layers": {"bias_0": np.zeros((1, 2))}}})
    with pytest.raises(InputError, match="params/layers/bias_0: expected shape"):
        hepjax.load("pretrained/tiny")


def test_a_folder_of_the_user_comes_first(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained" / "tiny").mkdir(parents=True)
    with pytest.raises(InputError, match="pretrained/tiny: expected a run directory"):
        hepjax.load("pretrained/tiny")


@pytest.mark.slow
def test_a_training_begins_with_a_packaged_model(model, tmp_path, capsys):
    made = calo.showers(calo.BOX, 32) | {"theta": np.full(32, np.pi / 2, np.float32)}
    write_showers(
        tmp_path / "data", iter([made]), layout="fixed", events_per_file=32, particle="Ele",
        calorimeter=calo.BOX,
    )  # fmt: skip
    packaged = hepjax.load("pretrained/tiny")
    train = dataclasses.replace(packaged.cfg.train, warm_start="pretrained/tiny", steps=1)
    data = dataclasses.replace(
        packaged.cfg.data, files=(str(tmp_path / "data"),), validation_fraction=0.5
    )
    # Its first updates gather tables, and leave the weights as they are.
    run.train(
        WORKLOAD, dataclasses.replace(packaged.cfg, train=train, data=data), tmp_path / "run",
        quiet=False,
    )  # fmt: skip
    assert "warm start from pretrained/tiny:" in capsys.readouterr().err
    trained = hepjax.load(tmp_path / "run").state.params
    for found, stored in zip(
        jax.tree.leaves(trained), jax.tree.leaves(packaged.state.params), strict=True
    ):
        np.testing.assert_array_equal(found, stored)


def test_a_packaged_model_is_exported_with_the_checksum_of_its_weights(model, tmp_path):
    about = export_onnx(hepjax.load("pretrained/tiny"), tmp_path / "tiny.onnx")
    content = (model[0] / weights.FILE).read_bytes()
    assert about["run_sha256"] == hashlib.sha256(content).hexdigest()
    assert about["parity"]["error"] < 1e-3
