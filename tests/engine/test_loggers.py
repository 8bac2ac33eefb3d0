"""Records for TensorBoard, MLflow and W&B, read back with these packages where they are."""

import json
import struct

import pytest
from helpers.toy import TOY, ToyConfig

from hepjax import InputError, MissingExtraError
from hepjax.engine import loggers, records
from hepjax.engine.config import TrainConfig
from hepjax.engine.settings import build
from hepjax.engine.train import train
from hepjax.formats.tfrecord import read_records

STEPS = 8


def config(*names, epochs=2):
    return ToyConfig(train=TrainConfig(batch_size=8, epochs=epochs, log=names))


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of a protobuf message; numbers and bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        size = {0: 0, 1: 8, 5: 4}.get(key & 7)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            if size is None:
                size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        yield key >> 3, value


def scalars(folder):
    """(step, tag, number) of all event files, in order."""
    found = []
    for path in sorted(folder.iterdir()):
        for event in read_records(path):
            message = dict(fields(event))
            for _, value in fields(message.get(5, b"")):
                inner = dict(fields(value))
                number = struct.unpack("<f", inner[2])[0]
                found.append((message.get(2, 0), inner[1].decode(), number))
    return found


def test_tensorboard(tmp_path):
    train(TOY, config("tensorboard"), tmp_path, quiet=True)
    rows = records.read(tmp_path / "metrics.jsonl")
    expected = [
        (r["step"], f"{r['event']}/{name}", number)
        for r in rows for name, number in r.items()
        if name not in ("event", "step", "time")
    ]  # fmt: skip
    found = scalars(tmp_path / "tensorboard")
    assert [(step, tag) for step, tag, _ in found] == [(step, tag) for step, tag, _ in expected]
    assert [n for *_, n in found] == pytest.approx([n for *_, n in expected], rel=1e-6)
    assert tuple(tag for tag in dict.fromkeys(t for _, t, _ in found) if tag.endswith("loss")) == (
        "train/loss",
        "validation/loss",
    )


def test_tensorboard_reads_it(tmp_path):
    """A later session makes the numbers of its steps in older files void."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with loggers.following(["tensorboard"], tmp_path, 0) as follow:
        for step in (1, 2, 3):
            follow({"event": "train", "step": step, "loss": float(step)})
    with loggers.following(["tensorboard"], tmp_path, 2) as follow:
        follow({"event": "train", "step": 3, "loss": 30.0})
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    read = [(e.step, e.value) for e in events.Scalars("train/loss")]
    assert read[-1] == (3, 30.0)


def test_numbers_of_records():
    numbers = loggers.numbers_of(
        {"event": "train", "step": 3, "time": 1.0, "epoch": 0.5, "loss": [1, None, 2.5],
         "name": "x", "flag": True, "none": None}
    )  # fmt: skip
    assert numbers == {"train/epoch": 0.5, "train/loss/0": 1.0, "train/loss/2": 2.5}
    assert loggers.numbers_of({"event": "resume", "step": 3}) == {}


def test_a_logger_that_fails_is_left_out(tmp_path, monkeypatch, capsys):
    from contextlib import nullcontext

    def log(step, at, numbers):
        raise ConnectionError("no\nserver")

    monkeypatch.setitem(loggers.OPEN, "mlflow", lambda run, start: nullcontext(log))
    train(TOY, config("mlflow", "tensorboard"), tmp_path, quiet=True)
    said = capsys.readouterr().err
    assert said.count("train.log: mlflow failed and is left out: no server") == 1
    assert len(scalars(tmp_path / "tensorboard")) > 4


def test_missing_packages_and_unknown_loggers(tmp_path, monkeypatch):
    for name, module in (("mlflow", "mlflow"), ("wandb", "wandb")):
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(MissingExtraError, match=f"hepjax\\[{name}\\]"):
            train(TOY, config(name), tmp_path / name, quiet=True)
    with pytest.raises(InputError, match="expected one of tensorboard, mlflow, wandb"):
        build(ToyConfig, {"train": {"log": ["tensorbord"]}})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of libraries below it
def test_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    train(TOY, config("mlflow"), tmp_path, quiet=True)
    train(TOY, config("mlflow", epochs=3), tmp_path, quiet=True)
    ((uri, number),) = json.loads((tmp_path / "mlflow.json").read_text()).items()
    client = mlflow.MlflowClient(tracking_uri=uri)
    history = client.get_metric_history(number, "validation/loss")
    rows = [r for r in records.read(tmp_path / "metrics.jsonl") if r["event"] == "validation"]
    assert [(m.step, m.value) for m in history] == [(r["step"], r["loss"]) for r in rows]
    assert client.get_run(number).info.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    train(TOY, config("wandb"), tmp_path, quiet=True)
    (log,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    assert b"validation/loss" in log.read_bytes()
