"""The workload: one program for all networks, pruning, the anomaly score, and from events to a
report and a file."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest

import hepjax
from hepjax import InputError
from hepjax.cli import main
from hepjax.engine.workload import Clock
from hepjax.formats.trigger.tables import Events
from hepjax.formats.trigger.writer import write_events
from hepjax.simulate.trigger.files import write_trigger
from hepjax.workloads import table
from hepjax.workloads.trigger import answer, data, objective
from hepjax.workloads.trigger.config import CurveConfig, DataConfig, ModelConfig, TriggerConfig
from hepjax.workloads.trigger.model import decoder

WORKLOAD = table.get("trigger")
TINY = TriggerConfig(
    model=ModelConfig(hidden=(8, 6)), curve=CurveConfig(costs=(0.0, 1e-3), ramp_epochs=1.0),
    data=DataConfig(task="linear"),
)  # fmt: skip
CLOCK = Clock(jnp.float32(0.5), jnp.int32(5))
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("linear")
    write_trigger(out, "linear", 600, 1, lambda n: None)
    return out


def batch_of(cfg, source, count=64):
    return objective.prepare(cfg, WORKLOAD.spec(cfg, source), source[np.arange(count)])


def stepped(cfg, source, updates=1):
    state = jax.jit(lambda: objective.init(cfg, jax.random.key(0)))()
    batch = batch_of(cfg, source)
    step = jax.jit(lambda s: objective.train_step(cfg, s, batch, KEY, CLOCK))
    for _ in range(updates):
        state, metrics = step(state)
    return state, metrics


@pytest.fixture(scope="module")
def trained(folder):
    source = data.open_events(TINY, [folder])
    return source, *stepped(TINY, source, 60)


def test_networks_train_side_by_side_as_they_do_alone(folder, trained):
    source, state, metrics = trained
    alone = replace(TINY, curve=replace(TINY.curve, costs=(1e-3,)))
    one, said = stepped(alone, source, 60)
    for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(one.params), strict=True):
        np.testing.assert_allclose(a[1], b[0], atol=2e-5)
    assert float(metrics["ebops"][1]) == pytest.approx(float(said["ebops"]), rel=1e-3)


def test_a_price_makes_networks_smaller(trained):
    _, state, metrics = trained
    assert metrics["ebops"][1] < 0.8 * metrics["ebops"][0]
    assert metrics["loss"].shape == (2,)
    assert (state.cost == jnp.array([0.0, 1e-3])).all()


def test_inputs_are_standardised_by_the_events_of_the_first_epoch(trained):
    source, state, _ = trained
    x = answer.given(TINY, state, batch_of(TINY, source)).x[1]
    np.testing.assert_allclose(x.mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose(x.std(0), 1.0, atol=1e-3)
    later = Clock(jnp.float32(1.5), jnp.int32(9))
    one = jax.tree.map(lambda a: a[0], state)
    after = objective._moments(TINY, one, batch_of(TINY, source), later)
    np.testing.assert_array_equal(after["count"], one.moments["count"])


def test_integers_agree_with_the_answers(trained):
    source, state, _ = trained
    some = answer.given(TINY, state, batch_of(TINY, source, 64))
    for member in (0, 1):
        size = answer.size(TINY, state, member, some)
        assert size["mismatches"] == 0
        assert size["compared"] == 64 * 5


def test_pruning_follows_its_schedule():
    curve = replace(TINY.curve, pruned=(0.0, 0.9), prune_from=0.2, prune_until=0.7)
    cfg = replace(TINY, curve=curve, train=replace(TINY.train, epochs=10))
    share = [float(objective.share_pruned(cfg, jnp.float32(0.9), jnp.float32(e)))
             for e in (0, 2, 4.5, 7, 9)]  # fmt: skip
    assert share == pytest.approx([0, 0, 0.9 * (1 - 0.5**3), 0.9, 0.9])
    state = jax.jit(lambda: objective.init(cfg, jax.random.key(0)))()
    for member, least in ((0, 0.0), (1, 0.88)):
        layers = answer.fixed(cfg, state, member).layers
        zeros = [float(np.mean(layer.weight == 0)) for layer in layers]
        assert least <= zeros[1] < 0.95
        assert zeros[2] < 0.2  # the last layer is not pruned


def test_the_anomaly_score_is_the_sum_of_squared_means_and_absent_objects_do_not_count():
    cfg = TriggerConfig(model=ModelConfig(hidden=(6,), latent=2), data=DataConfig(task="anomaly"))
    sums = np.array([[1.0, -2.0, 5.0, 5.0]], np.float32)
    assert objective.score_of(cfg, sums).tolist() == [5.0]
    params = jax.tree.map(lambda a: np.asarray(a[0]), jax.jit(
        lambda: objective.init(cfg, jax.random.key(0)).params)())  # fmt: skip
    x = np.random.default_rng(0).normal(size=(1, 57)).astype(np.float32)
    there = np.arange(57)[None] < 30
    losses = jax.jit(lambda x: objective.losses(cfg, params, sums, {"x": x, "there": there}, None))
    first, second = losses(x), losses(x + 100.0 * ~there)
    assert float(first[0]) == float(second[0])
    # Divergence of a normal of mean m and variance v from the standard one.
    made = jax.jit(lambda z: decoder(cfg).apply({"params": params["decoder"]}, z))(sums[:, :2])
    error = float((np.where(there, made - x, 0.0) ** 2).sum())
    kl = 0.5 * (1 + 4 + 2 * np.exp(5) - 10 - 2)
    assert float(first[0]) == pytest.approx(0.5 * error + cfg.model.kl * kl, rel=1e-5)


def test_the_background_alone_trains_the_anomaly_task(tmp_path):
    write_trigger(tmp_path, "anomaly", 200, 1, lambda n: None)
    files = (str(tmp_path),)
    cfg = TriggerConfig(data=DataConfig(task="anomaly", files=files, validation_fraction=0.25))
    found = data.sources(cfg)
    assert (len(found.train), len(found.validation)) == (120, 40)
    assert (found.train[np.arange(120)]["label"] == 0).all()
    judged = found.test[np.arange(len(found.test))]["label"]
    assert np.bincount(judged).tolist() == [40, 10, 10, 10, 10]
    signal = tmp_path / "signal.parquet"
    write_events(
        signal, [Events(np.zeros((3, 57), np.float32), np.ones(3, np.int32))], "anomaly", {}
    )
    cfg = replace(cfg, data=replace(cfg.data, files=(str(signal),)))
    with pytest.raises(InputError, match="expected events of the class sm to train on, found none"):
        data.sources(cfg)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("curve.costs=[]", "curve.costs: expected at least one"),
        ("curve.pruned=[0.5]", "curve.pruned: expected none, or one for each of the 6 costs"),
        ("curve.costs=[-1]", "curve.costs: expected 0 or more"),
        ("train.members=2", "train.members: expected 1, as the networks of curve.costs"),
        ("data.task=tau", "data.task: expected "),
    ],
)
def test_bad_settings(tmp_path, capsys, words, message):
    assert main(["train", "trigger/demo", words, "--run", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_from_simulation_to_the_report_and_the_file(tmp_path, capsys):
    pytest.importorskip("onnx")
    events, run, file = tmp_path / "events", tmp_path / "run", tmp_path / "network.onnx"
    words = ["--task", "toy", "--events", "1500", "--out", str(events), "--quiet"]
    assert main(["simulate", "trigger", *words]) == 0
    assert main(["simulate", "trigger", *words]) == 0  # they are there
    assert main(["inspect", str(events), "--plot", str(tmp_path / "x.png")]) == 0
    settings = ["data.task=toy", f"data.files=[{events}]", "model.hidden=[8]", "train.epochs=3",
                "curve.costs=[0,1e-4]", "curve.ramp_epochs=1", "train.batch_size=64",
                "optimizer.learning_rate=0.02", "mesh.layout=members",
                "mesh.devices=2"]  # fmt: skip
    assert main(["train", "trigger/demo", *settings, "--run", str(run), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json", "--quiet"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["mismatches"] == 0
    assert scores["events"] == 300
    assert 0.25 < scores["networks"][0]["accuracy"] <= scores["bayes"] + 0.1
    page = (run / "report" / "index.html").read_text()
    assert "Size against performance" in page
    table_file = tmp_path / "said.parquet"
    command = ["predict", str(run), "--data", str(events), "--out", str(table_file), "--quiet"]
    assert main(command) == 0
    rows = pq.read_table(table_file).to_pydict()
    assert set(rows) == {"index", *(f"c{k}_{m}" for k in range(5) for m in (0, 1))}
    assert sum(rows[f"c{k}_1"][0] for k in range(5)) == pytest.approx(1.0, abs=1e-5)
    assert hepjax.load(run, member=1).cfg.members == 2
    export = ["export", str(run), "--format", "qonnx", "--out", str(file)]
    assert main(export) == 2
    assert "--member: expected 0 to 1, one of the networks" in capsys.readouterr().err
    assert main([*export, "--member", "1"]) == 0
    about = json.loads(file.with_suffix(".json").read_text())
    assert about["parity"] == {"compared": 5000, "differ": 0}
    assert [i["name"] for i in about["inputs"]] == [f"x{k}" for k in range(16)]
    capsys.readouterr()
    assert main(["inspect", str(file)]) == 0
    assert f"fixed point           values {about['grids'][0]}, ap_ufixed" in capsys.readouterr().out
