"""``hepjax profile``: a table that adds up, a trace that stays, and runs that are left alone."""

import json

import jax
import pytest
from helpers.toy import in_the_table

from hepjax.bench.operations import CLASSES
from hepjax.cli import main


@pytest.fixture
def toy(monkeypatch, tmp_path):
    in_the_table(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text("workload: toy\ntrain: {batch_size: 8, epochs: 1}\n")
    return tmp_path


def profiled(capsys, *words: str) -> dict:
    assert main(["profile", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_run_is_profiled_and_left_as_it_is(toy, capsys):
    assert main(["train", "toy.yaml", "--run", "run", "--quiet"]) == 0
    before = {path: path.read_bytes() for path in toy.rglob("*") if path.is_file()}
    capsys.readouterr()
    report = profiled(capsys, "run", "noise=0.5", "--updates", "3", "--quiet", "--out", "traces")
    assert {path: path.read_bytes() for path in before} == before
    assert (report["workload"], report["updates"], report["platform"]) == ("toy", 3, "cpu")
    times = report["time_ms"]
    assert tuple(times) == CLASSES
    assert sum(times.values()) == pytest.approx(report["traced_ms_per_update"], rel=0.2)
    assert all(ms >= 0 for ms in times.values())
    assert report["top"] == sorted(report["top"], key=lambda kernel: -kernel["ms"])
    assert {kernel["class"] for kernel in report["top"]} <= set(CLASSES)
    assert report["compilation"]["programs"] == 1
    (trace,) = toy.rglob("*.xplane.pb")
    assert report["trace"] == str(trace.parent.relative_to(toy))
    planes = [plane.name for plane in jax.profiler.ProfileData.from_file(str(trace)).planes]
    assert "/host:CPU" in planes


@pytest.mark.slow
def test_convolutions_of_a_run_in_half_precision(tiny_run, tmp_path, capsys):
    words = [str(tiny_run), "train.precision=bfloat16", "--updates", "3", "--out", str(tmp_path)]
    report = profiled(capsys, *words, "--quiet")
    assert report["precision"] == "bfloat16"
    assert report["time_ms"]["convolutions"] > 0
    assert any("Conv3D" in kernel["source"] for kernel in report["top"])


def test_reading_that_bounds_is_found(toy, capsys):
    report = profiled(capsys, "toy.yaml", "delay=0.02", "--updates", "4", "input.threads=1")
    assert report["time_ms"]["input"] > 0.5 * sum(report["time_ms"].values())
    assert report["bound"].startswith("Input bounds the update")
    assert report["trace"].startswith("profiles/toy/")


def test_sums_over_devices_and_the_text(toy, capsys):
    assert main(["profile", "toy.yaml", "--devices", "2", "--updates", "2"]) == 0
    out, err = capsys.readouterr()
    rows = {line[:40].strip(): line for line in out.splitlines()}
    assert float(rows["sums over devices"].split()[3]) > 0
    assert "2 x cpu" in out
    assert all(name in rows for name in CLASSES)
    assert out.splitlines()[-1].startswith("trace: profiles/toy/")
    assert err.startswith("hepjax: compiling the update\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "nothing: no such file or packaged configuration"),
        (["toy.yaml", "--updates", "0"], "--updates: expected 1 to 10000, found 0"),
        (["toy.yaml", "nois=1"], "nois: expected a known setting, found another; "),
        (["toy.yaml", "noise"], "noise: expected key.path=value"),
        (["toy.yaml", "train.batch_size=9999"], "train.batch_size: expected at most the 52"),
        (["toy.yaml", "--out", "toy.yaml"], "toy.yaml: expected a folder for a trace, found: "),
        (["run"], "run/config.yaml: expected the configuration of a run"),
    ],
)
def test_what_cannot_be_profiled_is_one_line(words, message, toy, capsys):
    (toy / "run").mkdir()
    (toy / "run" / "config.yaml").write_text("train: {}\n")
    before = sorted(toy.rglob("*"))
    assert main(["profile", *words, "--quiet"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"hepjax: error: {message}")
    assert error.count("\n") == 1
    assert sorted(toy.rglob("*")) == before


def test_a_trace_without_kernels_is_told(toy, monkeypatch, capsys):
    from hepjax.bench import traces

    monkeypatch.setattr(traces, "gather", lambda planes, known: traces.Trace((0, 1), [], {}, {}))
    assert main(["profile", "toy.yaml", "--updates", "1", "--quiet"]) == 2
    assert "expected kernels in the trace, found none" in capsys.readouterr().err
