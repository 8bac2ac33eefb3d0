"""``hepjax bench``: fixed events, a report of what was done, and options that are checked."""

import json
import os
import shutil
from pathlib import Path

import pytest

from hepjax.bench import data, definition
from hepjax.bench.definition import settings
from hepjax.cli import main
from hepjax.formats.packed.reader import open_packed


def bench(out: Path, *words: str) -> dict:
    """Run the command on one device unless told otherwise; the report it wrote."""
    words = words if "--devices" in words else (*words, "--devices", "1")
    assert main(["bench", *words, "--out", str(out), "--quiet"]) == 0
    return json.loads((out / f"{words[0]}_summary.json").read_text())


def course(summary: dict) -> list[float]:
    """Every loss and score of every epoch."""
    stats = summary["report"]["wl-stats"]
    series = [*stats["losses"].values(), *stats["validation"].values()]
    return [value for values in series for value in values]


def test_the_report_says_what_was_done(tagger_bench):
    jets, out, summary = tagger_bench
    stats = summary["report"]["wl-stats"]
    assert (stats["num_epochs"], stats["seed"], stats["precision"]) == (2, 1234, "float32")
    assert stats["batch_size_total"] == stats["batch_size_per_device"] == 16
    assert stats["events_per_epoch"] == 16 * stats["steps_per_epoch"] <= 80
    assert summary["report"]["wl-scores"] == {
        "mean_throughput": stats["throughput_per_epoch"][1],
        "mean_epoch_time": stats["epoch_times"][1],
    }
    assert len(stats["validation"]["accuracy"]) == len(stats["losses"]["loss"]) == 2
    assert stats["resources"]["events"] == stats["events_per_epoch"]  # of the second epoch
    assert stats["resources"]["peak_host_bytes"] > 2**24
    assert summary["run_info"]["threads_per_copy"] == len(os.sched_getaffinity(0))
    assert summary["app"]["bmkdata_checksum"] == data.checksum([jets])
    assert [d["platform"] for d in summary["app"]["devices"]] == ["cpu"]
    assert [p.name for p in out.iterdir()] == ["tagger_summary.json"]  # nothing was simulated


def test_it_trains_on_all_events_of_a_set(event_set):
    files, validation_files, _ = data.locate("mlpf", [event_set])
    workload, cfg = settings(
        definition.benchmark("mlpf"), files, validation_files, batch_size=None, epochs=3, devices=0,
        precision="bf16", seed=7,
    )  # fmt: skip
    sources = workload.sources(cfg)
    assert (len(sources.train), len(sources.validation)) == (11, 2)
    assert (cfg.train.precision, cfg.train.seed, cfg.train.batch_size) == ("bfloat16", 7, 5)


def test_events_made_again_are_the_same_bytes(event_set, tmp_path):
    again = data.prepare("mlpf", 11, tmp_path, quiet=True)
    assert data.checksum([again]) == data.checksum([event_set])
    before = {path: path.stat().st_mtime_ns for path in again.rglob("*")}
    assert data.prepare("mlpf", 11, tmp_path, quiet=True) == again
    assert {path: path.stat().st_mtime_ns for path in again.rglob("*")} == before


def test_simulated_jets_have_both_classes(tmp_path):
    folder = data.prepare("tagger", 2, tmp_path, quiet=True)
    for part in ("train", "validation"):
        assert sorted(open_packed([folder / part]).column("label")) == [0, 1]


@pytest.mark.slow
def test_particle_flow_on_two_devices_and_again_on_one(event_set, tmp_path):
    words = ("mlpf", "--data", str(event_set), "--batch-size", "4", "--epochs", "2")
    one = bench(tmp_path / "one", *words)
    assert course(bench(tmp_path / "again", *words)) == course(one)
    two = bench(tmp_path / "two", *words, "--devices", "2")
    assert course(two) == pytest.approx(course(one), rel=1e-4, abs=1e-4)
    scores = one["report"]["wl-stats"]["validation"]
    pairs = zip(scores["accuracy"], scores["accuracy_padded"], strict=True)
    assert all(0 < masked <= padded for masked, padded in pairs)


@pytest.mark.slow
def test_showers_in_half_precision(tmp_path, capsys):
    words = ("gan3d", "--events", "8", "--batch-size", "4", "--epochs", "2", "--precision", "bf16")
    stats = bench(tmp_path, *words)["report"]["wl-stats"]
    assert stats["precision"] == "bfloat16"
    assert {"gen_loss", "real_loss"} <= {*stats["losses"], *stats["validation"]}
    assert "events/s" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "gan3d_summary.json"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epochs", "1"], "--epochs: expected 2 to"),
        (["--events", "1"], "--events: expected 2 to"),
        (["--events", "0"], "--events: expected 2 to"),
        (["--batch-size", "0"], "--batch-size: expected 1 to"),
        (["--events", "4", "--batch-size", "5"], "--batch-size: expected 1 to 4, found 5"),
        (["--devices", "-1"], "--devices: expected 0 to"),
        (["--seed", "-1"], "--seed: expected 0 to"),
        (["--seed", "4294967296"], "--seed: expected 0 to"),
        (["--data", "no/such/place"], "no/such/place: expected a file or folder, found none"),
    ],
)
def test_options_out_of_range_end_in_one_line(words, message, tmp_path, capsys):
    assert main(["bench", "mlpf", *words, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "mlpf_summary.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--devices", "9", "--batch-size", "9"], "mesh.devices: expected at most 8"),
        (["--devices", "2", "--batch-size", "3"], "train.batch_size: expected a multiple of the 2"),
        (["--devices", "1", "--batch-size", "12"], "expected at most the 11 training events"),
    ],
)
def test_what_the_engine_refuses_leaves_nothing(words, message, event_set, tmp_path, capsys):
    assert main(["bench", "mlpf", "--data", str(event_set), *words, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_damaged_or_foreign_events_are_refused(event_set, tmp_path, capsys):
    events, out = tmp_path / "data" / "mlpf-11", ["--out", str(tmp_path)]
    shutil.copytree(event_set, events)
    assert main(["bench", "tagger", "--data", str(events), *out]) == 2
    assert "expected events for tagger, found some for mlpf" in capsys.readouterr().err
    file = next((events / "train").rglob("*.array_record*"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert main(["bench", "mlpf", "--events", "11", "--batch-size", "4", *out]) == 2
    assert "expected the events as they were written, found damage" in capsys.readouterr().err
    (events / "data.json").write_text("[")
    assert main(["bench", "mlpf", "--data", str(events), *out]) == 2
    assert "found damage" in capsys.readouterr().err
