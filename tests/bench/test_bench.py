"""``hepjax bench``: what it measures is repeatable, and its report says what was done."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_tagger import write_toy

from hepjax.bench import data
from hepjax.cli import main
from hepjax.formats.packed import open_packed


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


def test_throughput_is_events_over_epoch_time_without_the_first(mlpf_bench):
    report = mlpf_bench[1]["report"]
    stats, scores = report["wl-stats"], report["wl-scores"]
    assert stats["steps_per_epoch"] == 2
    assert stats["events_per_epoch"] == 8  # three of the 11 make no batch
    seconds = stats["epoch_times"]
    assert len(seconds) == stats["num_epochs"] == 3
    assert sum(seconds) <= stats["train_time"]
    assert scores["mean_epoch_time"] == pytest.approx(np.mean(seconds[1:]), abs=1e-4)
    rates = [8 / s for s in seconds]
    assert stats["throughput_per_epoch"] == pytest.approx(rates, rel=0.05)  # times are rounded
    assert scores["mean_throughput"] == pytest.approx(
        np.mean(stats["throughput_per_epoch"][1:]), abs=1e-4
    )


def test_both_accuracies_are_there_and_padding_flatters(mlpf_bench):
    scores = mlpf_bench[1]["report"]["wl-stats"]["validation"]
    assert len(scores["accuracy"]) == 3
    assert all(
        0 < a <= p for a, p in zip(scores["accuracy"], scores["accuracy_padded"], strict=True)
    )


def test_the_same_seed_gives_the_same_bits_from_the_same_events(mlpf_bench):
    out, first = mlpf_bench
    before = {p: p.stat().st_mtime_ns for p in (out / "data").rglob("*")}
    again = bench(out, "mlpf", "--events", "11", "--batch-size", "4", "--epochs", "3")
    assert course(again) == course(first)
    assert {p: p.stat().st_mtime_ns for p in (out / "data").rglob("*")} == before
    assert again["app"]["bmkdata_checksum"] == first["app"]["bmkdata_checksum"]
    other = bench(
        out, "mlpf", "--events", "11", "--batch-size", "4", "--epochs", "3", "--seed", "5"
    )
    assert course(other) != course(first)


def test_two_devices_agree_with_one_to_rounding(mlpf_bench):
    out, one = mlpf_bench
    words = ("--data", str(out / "data" / "mlpf-11"), "--batch-size", "4", "--epochs", "3")
    two = bench(out.parent / "two", "mlpf", *words, "--devices", "2")
    assert course(two) == pytest.approx(course(one), rel=1e-4, abs=1e-4)
    stats = two["report"]["wl-stats"]
    assert (stats["batch_size_total"], stats["batch_size_per_device"]) == (4, 2)
    assert len(two["app"]["devices"]) == 2
    assert two["app"]["bmkdata_checksum"] == one["app"]["bmkdata_checksum"]


def test_events_made_again_are_the_same_bytes(mlpf_bench, tmp_path):
    again = data.prepare("mlpf", 11, tmp_path, quiet=True)
    assert data.checksum([again]) == mlpf_bench[1]["app"]["bmkdata_checksum"]


def test_showers_in_half_precision(tmp_path, capsys):
    words = ("gan3d", "--events", "8", "--batch-size", "4", "--epochs", "2", "--precision", "bf16")
    stats = bench(tmp_path, *words)["report"]["wl-stats"]
    assert stats["precision"] == "bfloat16"
    assert {"gen_loss", "disc_loss"} & set(stats["losses"])
    assert len(stats["validation"]["sampling_fraction_mre"]) == 2
    assert "events/s" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "gan3d_summary.json"]


def test_jets_of_the_user_are_taken_as_they_are(tmp_path, capsys):
    folder = write_toy(tmp_path / "jets", 80)
    out = tmp_path / "out"
    words = ["bench", "tagger", "--data", str(folder), "--batch-size", "16", "--epochs", "2"]
    assert main([*words, "--devices", "1", "--out", str(out), "--json", "--quiet"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads((out / "tagger_summary.json").read_text())
    assert summary["app"]["bmkdata_checksum"] == data.checksum([folder])
    assert [p.name for p in out.iterdir()] == ["tagger_summary.json"]  # nothing was simulated


def test_simulated_jets_have_both_classes(tmp_path):
    folder = data.prepare("tagger", 2, tmp_path, quiet=True)
    for part in ("train", "validation"):
        assert sorted(open_packed([folder / part]).column("label")) == [0, 1]


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
)  # fmt: skip
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
def test_what_the_engine_refuses_leaves_nothing_behind(
    words, message, mlpf_bench, tmp_path, capsys
):
    events = str(mlpf_bench[0] / "data" / "mlpf-11")
    assert main(["bench", "mlpf", "--data", events, *words, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_damaged_or_foreign_events_are_refused(mlpf_bench, tmp_path, capsys):
    events = tmp_path / "data" / "mlpf-11"
    shutil.copytree(mlpf_bench[0] / "data" / "mlpf-11", events)
    assert main(["bench", "tagger", "--data", str(events), "--out", str(tmp_path)]) == 2
    assert "expected events for tagger, found some for mlpf" in capsys.readouterr().err
    (events / "validation").rename(events / "gone")
    assert (
        main(["bench", "mlpf", "--events", "11", "--batch-size", "4", "--out", str(tmp_path)]) == 2
    )
    assert "expected the events as they were written, found damage" in capsys.readouterr().err
    (events / "data.json").write_text("[")
    assert main(["bench", "mlpf", "--data", str(events), "--out", str(tmp_path)]) == 2
    assert "found damage" in capsys.readouterr().err
