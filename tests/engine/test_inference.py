"""The one loop that applies a model: order, padding, keys, devices, streaming."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.toy import TOY, Line, ToyConfig, in_the_table
from jax.sharding import PartitionSpec as P

import hepjax
import hepjax.run
from hepjax import InputError
from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.engine.inference import Placed, mesh_config, place
from hepjax.engine.input import for_devices

W = np.random.default_rng(1).normal(size=(32, 64)).astype("f4")


def placed(devices=1, layout="replicated", second=1):
    cfg = ToyConfig(mesh=mesh_config(MeshConfig(layout, model_devices=second), devices))
    mesh, abstract = place(cfg, {"w": jax.ShapeDtypeStruct(W.shape, W.dtype)}, devices)
    return Placed(mesh, {"w": jax.device_put(W, abstract["w"].sharding)})


def noisy(state, batch, keys):
    """The answer of the toy, and noise of each event."""
    noise = jax.vmap(lambda key: jax.random.normal(key, (3,)))(keys)
    return {"y": (batch["x"] @ state["w"]).mean(1), "noise": noise}


def all_of(pairs):
    events, answers = zip(*pairs, strict=True)
    return tuple(
        {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
        for parts in (events, answers)
    )


@pytest.fixture(scope="module")
def wanted():
    return all_of(placed().over(noisy, Line(), 64, seed=5))


@pytest.mark.parametrize(
    ("devices", "layout", "second"),
    [(1, "replicated", 1), (8, "replicated", 1), (8, "fsdp", 1), (8, "hybrid", 2),
     (8, "channel", 2), (8, "spatial", 2)],
)  # fmt: skip
@pytest.mark.parametrize("batch_size", [5, 24, 1000])
def test_an_answer_depends_on_its_event_alone(wanted, devices, layout, second, batch_size):
    events, answers = all_of(
        placed(devices, layout, second).over(noisy, Line(), batch_size, seed=5)
    )
    np.testing.assert_array_equal(events["x"], Line().x)  # in order, without padding
    np.testing.assert_allclose(answers["y"], wanted[1]["y"], atol=1e-5)
    np.testing.assert_allclose(answers["noise"], wanted[1]["noise"], rtol=1e-6)


def test_the_key_of_an_event_is_that_of_its_number(wanted):
    key = jax.random.fold_in(jax.random.key(5), 17)
    np.testing.assert_array_equal(wanted[1]["noise"][17], jax.random.normal(key, (3,)))
    np.testing.assert_allclose(wanted[1]["y"], (Line().x @ W).mean(1), atol=1e-5)
    other = all_of(placed().over(noisy, Line(), 64, seed=6))[1]
    assert (other["noise"] != wanted[1]["noise"]).all()


def test_arrays_that_are_there_give_the_same_answers(wanted):
    for devices, batch_size in ((1, 7), (8, 20)):
        parts = list(placed(devices).given(noisy, {"x": Line().x}, batch_size, seed=5))
        for name, values in wanted[1].items():
            np.testing.assert_allclose(
                np.concatenate([p[name] for p in parts]), values, rtol=1e-6, atol=1e-5
            )


def test_the_first_events_alone(wanted):
    told = []
    events, answers = all_of(placed().over(noisy, Line(), 8, seed=5, stop=19, advance=told.append))
    assert len(events["x"]) == len(answers["y"]) == 19
    assert told == [8, 8, 3]
    np.testing.assert_allclose(answers["y"], wanted[1]["y"][:19], atol=1e-5)
    assert len(all_of(placed().over(noisy, Line(), 8, stop=999))[0]["x"]) == 64


def test_answers_stream_one_batch_ahead():
    class Counted(Line):
        read = 0

        def __getitem__(self, indices):
            self.read += 1
            return super().__getitem__(indices)

    source = Counted()
    answers = placed().over(noisy, source, 8)
    assert source.read == 0
    for number in range(1, 8):
        next(answers)
        assert source.read == number + 1


def test_events_of_many_lengths_are_padded_to_those_of_their_batch():
    class Ragged(Line):
        def __getitem__(self, indices):
            n = 1 + np.asarray(indices) % 5
            x = np.arange(n.max()) < n[:, None]
            return {"x": np.pad(x.astype("f4"), ((0, 0), (0, 3 * (n.max() > 4)))), "n": n}

    answers = placed(2).over(lambda s, b, k: {"sum": b["x"].sum(1)}, Ragged(), 4)
    for events, answer in answers:
        np.testing.assert_array_equal(answer["sum"], events["n"])


def test_devices_get_numbers_of_at_most_32_bits():
    batch = {
        "x": np.zeros(2, "f4"), "y": np.zeros(2, "f2"), "n": np.zeros(2, "i4"),
        "inside": np.zeros(2, bool), "cell": np.zeros(2, "u4"), "event": np.zeros(2, "i8"),
        "energy": np.zeros(2, "f8"), "name": np.array(["a", "b"]),
        "word": np.array(["a", None], object),
    }  # fmt: skip
    sent = {name: str(values.dtype) for name, values in for_devices(batch).items()}
    assert sent == {
        "x": "float32", "y": "float16", "n": "int32", "inside": "bool", "cell": "uint32",
        "event": "int32", "energy": "float32",
    }  # fmt: skip


def test_the_layout_of_the_training_is_kept_where_it_fits():
    trained = MeshConfig("channel", devices=8, model_devices=4)
    kept, other = mesh_config(trained, 4), mesh_config(trained, 6)
    assert (kept.layout, kept.model_devices, kept.devices) == ("channel", 4, 0)
    assert (other.layout, other.model_devices) == ("replicated", 1)
    explicit = MeshConfig(devices=8, program="explicit", batch_norm="local", overlap=True)
    assert mesh_config(explicit, 8) == MeshConfig()
    assert placed(8, "fsdp").state["w"].sharding.spec != P()


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory):
    run = tmp_path_factory.mktemp("toy") / "run"
    hepjax.run.train(TOY, ToyConfig(TrainConfig(batch_size=8, epochs=3)), run)
    return run


@pytest.fixture
def run(toy_run, monkeypatch):
    in_the_table(monkeypatch)
    return hepjax.load(toy_run)


def test_a_workload_without_rows_has_one_an_event(run):
    parts = list(run.predict([]))
    assert [len(part["index"]) for part in parts] == [16] * 4  # Answer.at_once
    joined = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    assert list(joined) == ["index", "y"]
    np.testing.assert_array_equal(joined["index"], np.arange(64))
    expected = (Line().x @ np.asarray(run.state["w"])).mean(1)
    np.testing.assert_allclose(joined["y"], expected, atol=1e-5)
    small = np.concatenate([p["y"] for p in run.predict([], batch_size=7)])
    np.testing.assert_allclose(small, joined["y"], atol=1e-6)


def test_a_workload_without_a_report_gets_its_validation_metrics(run, tmp_path):
    scores = run.evaluate([], tmp_path / "report")
    from hepjax.engine import records

    best = [r for r in records.read(run.directory / "metrics.jsonl") if r["event"] == "validation"]
    best = next(r for r in best if r["step"] == run.step)
    assert scores["loss"] == pytest.approx(best["loss"], rel=1e-3)
    assert scores["n"] == 12
    assert scores["provenance"]["data"] == "validation events of the run"
    text = next((tmp_path / "report").glob("*.html")).read_text()
    assert "12 events" in text
    whole = run.evaluate([tmp_path], tmp_path / "all")
    assert (whole["n"], whole["provenance"]["data"]) == (64, [str(tmp_path)])


def test_a_table_is_not_generated(run):
    with pytest.raises(InputError, match="expected a run that simulates events, found one of toy"):
        run.generate(energy=[1.0])


def test_functions_of_python_train_and_open(tmp_path, monkeypatch):
    in_the_table(monkeypatch)
    settings = {"workload": "toy", "train": {"batch_size": 8}}
    made = hepjax.train(settings, tmp_path / "run", **{"train.steps": 6, "noise": 0.0})
    assert (made.step, made.epoch, made.cfg.noise, made.cfg.train.steps) == (6, 1.0, 0.0, 6)
    assert settings == {"workload": "toy", "train": {"batch_size": 8}}
    longer = hepjax.train(settings, tmp_path / "run", **{"train.steps": 12, "noise": 0.0})
    assert longer.cfg.train.steps == 12
    np.testing.assert_array_equal(hepjax.load(tmp_path / "run", step=6).state["w"], made.state["w"])
    with pytest.raises(
        InputError, match=r"^train.stepps: expected a known setting, found another; did you mean"
    ):
        hepjax.train(settings, tmp_path / "other", **{"train.stepps": 6})


def test_the_function_of_answers_is_compiled_once_a_shape(wanted):
    calls = []

    def counted(state, batch, keys):
        calls.append(jnp.shape(batch["x"]))
        return noisy(state, batch, keys)

    function = partial(counted)
    model = placed()
    for _ in range(2):
        all_of(model.over(function, Line(), 24))
    assert calls == [(24, 32)]
