"""The script for a short loan of a GPU: its plan, its limits, and what becomes of bad parts."""

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from benchmarks.gpu import loan
from benchmarks.gpu.agreement import compared
from benchmarks.gpu.events import setting
from benchmarks.gpu.parts import FLAGS, FULL, REHEARSAL, Part, parts, settings
from benchmarks.gpu.table import table
from benchmarks.setting import ROOT, environment

SCRIPT = """
import json, sys, time
path = sys.argv[sys.argv.index("--json") + 1]
what = sys.argv[1]
if what == "silent":
    sys.exit(0)
json.dump({"device": "none", "agrees": True, "limit": 1, "worst": {}}, open(path, "w"))
print("said", what)
if what == "slow":
    time.sleep(60)
if what == "bad":
    raise ValueError("as wanted")
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Parts that take no time; they end well, badly, late, or without figures."""
    (tmp_path / "stand_in.py").write_text(SCRIPT)
    known = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(tmp_path), *([known] if known else [])])
    monkeypatch.setenv("PYTHONPATH", path)

    def part(name, limit=20, least=0, needs=()):
        return Part(name, f"{name}?", "stand_in", (name,), limit, least, {}, needs)

    return part


def run(planned, out, minutes=1.0, lacking=()):
    args = argparse.Namespace(out=out, minutes=minutes, rehearse=True)
    out.mkdir()
    return loan.run(planned, args, dict.fromkeys(lacking, "package"), out)


def test_bad_parts_are_named_and_the_others_go_on(stand_in, tmp_path):
    planned = [stand_in("bad"), stand_in("silent"), stand_in("good")]
    results = run(planned, tmp_path / "out")
    assert [r["status"] for r in results["parts"].values()] == ["failed", "failed", "done"]
    assert results["parts"]["bad"]["last_lines"][-1] == "ValueError: as wanted"
    assert results["parts"]["bad"]["result"]["agrees"]  # what was measured stays
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == results
    text = (tmp_path / "out" / "table.md").read_text()
    assert "- bad: failed. ValueError: as wanted" in text
    assert "said good" in (tmp_path / "out" / "log.txt").read_text()
    assert not [p for p in (tmp_path / "out").iterdir() if p.suffix == ".part"]


def test_a_part_ends_at_its_limit_and_its_figures_stay(stand_in, tmp_path):
    began = time.monotonic()
    results = run([stand_in("slow", limit=3), stand_in("good")], tmp_path / "out")
    assert time.monotonic() - began < 50
    assert [r["status"] for r in results["parts"].values()] == ["out of time", "done"]
    assert results["parts"]["slow"]["result"]["device"] == "none"


def test_the_end_of_the_loan_cuts_a_part_off(stand_in, tmp_path):
    planned = [stand_in("slow", limit=60), stand_in("good", least=1)]
    results = run(planned, tmp_path / "out", minutes=0.15)
    assert [r["status"] for r in results["parts"].values()] == ["cut off by the end", "skipped"]
    assert "- good: skipped, 0 s left" in (tmp_path / "out" / "table.md").read_text()


def test_what_has_no_time_or_no_package_is_skipped_by_name(stand_in, tmp_path):
    planned = [stand_in("good"), stand_in("long", least=90), stand_in("peer", needs=("torch",))]
    results = run(planned, tmp_path / "out", lacking=("torch",))
    assert [r["status"] for r in results["parts"].values()] == ["done", "skipped", "skipped"]
    text = (tmp_path / "out" / "table.md").read_text()
    assert "- long: skipped, 5" in text
    assert "- peer: skipped, no torch" in text


@pytest.mark.parametrize("sizes", [FULL, REHEARSAL])
def test_parts_have_names_modules_and_time(sizes):
    planned = parts(sizes)
    assert len({part.name for part in planned}) == len(planned) > 15
    for part in planned:
        assert (ROOT / (part.module.replace(".", "/") + ".py")).is_file()
        assert 0 < part.least < part.limit
    assert planned[0].name == "ceilings"
    goals = ("gan3d", "mlpf", "tagger")
    assert [p.name for p in planned if p.name in goals] == list(goals)
    assert all(f"torch {name}" in {p.name for p in planned} for name in goals)
    assert all(f"agreement {name}" in {p.name for p in planned} for name in goals)
    assert {name for pair in settings() for name in pair[:2]} <= {p.name for p in parts(FULL)}
    # What decides comes first: goals, peers and correctness fit into nine minutes at the least.
    assert sum(part.least for part in planned[:9]) < 9 * 60


def test_parts_with_an_option_of_xla_keep_those_of_the_user_and_no_programs(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=a")
    found = {part.name: part.environment for part in parts(FULL)}
    assert found["gan3d nhwc"]["XLA_FLAGS"] == "--xla_dump_to=a --xla_gpu_force_conv_nhwc=true"
    assert found["gan3d nhwc"]["HEPJAX_COMPILATION_CACHE"] == "off"
    assert found["gan3d"] == {}


@pytest.mark.parametrize("config", ["gan3d/small", "tagger/top", "mlpf/demo"])
def test_events_in_memory_are_repeated_as_often_as_asked(config, tmp_path):
    size = ["train.batch_size=2"] + ["data.buckets=[64]"] * config.startswith("mlpf")
    workload, cfg = setting(config, 70, size, 64, tmp_path)
    train = workload.sources(cfg).train
    assert len(train) == 70
    assert train.blocks[-1] == 70
    batch = train[np.array([0, 1])]
    assert {len(values) for values in batch.values()} == {2}
    arrays, take = train.resident()
    for name, values in take(arrays, np.array([0, 1])).items():
        np.testing.assert_array_equal(values, batch[name])
    jax.eval_shape(partial(workload.prepare, cfg, workload.spec(cfg, train)), batch)


def script(*words: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", ROOT / "benchmarks/gpu.sh", *words], check=False, text=True, capture_output=True,
        env=environment() | {"PYTHON": sys.executable} | env,
    )  # fmt: skip


def test_the_plan_of_a_rehearsal_and_a_part_that_is_not_there(tmp_path):
    out = str(tmp_path / "out")
    done = script(out, "--rehearse", "--plan", "--only", "ceilings", "gan3d")
    assert done.returncode == 0, done.stderr
    assert "missing, hepjax needs them" not in done.stdout  # the tests have all of it
    assert [line.split()[0] for line in done.stdout.splitlines()[-3:]] == [
        "ceilings", "gan3d", "all",
    ]  # fmt: skip
    for words, message in (
        (["--only", "nothing"], "--only: expected parts of the plan (--plan shows them), found"),
        (["--minutes", "-1"], "--minutes: expected more than 0, found -1"),
        (["--wheels", str(tmp_path)], "--wheels: expected a folder with wheels, found none in"),
    ):
        done = script(out, "--plan", *words)
        assert done.returncode == 2
        assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_said_with_a_way_out():
    assert loan.missing({"json": "json", "no_such.part": "some-package"}) == {
        "no_such.part": "some-package"
    }
    text = loan.said({"grain": "grain", "portpicker": "portpicker", "torch": "torch"})
    assert "missing, hepjax needs them: grain portpicker\n" in text
    assert "missing, parts are skipped without them: torch\n" in text
    assert "--wheels wheels" in text
    assert loan.said({}) == ""


def test_a_python_without_jax_is_refused_before_the_minutes_are_spent(tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # no site-packages
    bare.chmod(0o755)
    done = script(str(tmp_path / "out"), "--rehearse", PYTHON=str(bare))
    assert done.returncode == 2
    assert "expected a Python with jax (PYTHON names it), found" in done.stderr
    assert not (tmp_path / "out").exists()


def test_agreement_names_the_array_that_is_furthest_off():
    theirs = {
        "metrics/loss": np.float32(2.0), ".params['a']": np.ones(4, np.float32),
        ".optimizer.mu['a']": np.full(4, 2.0), ".optimizer.mu['b']": np.ones(2),
        ".stats['mean']": np.zeros(3), "device": np.array("cpu"),
    }  # fmt: skip
    same = compared(theirs, theirs)
    assert same["agrees"]
    assert {w["difference"] for w in same["worst"].values()} == {0.0}
    moved = theirs | {".params['a']": np.full(4, 1.5), ".optimizer.mu['b']": np.full(2, 1 + 5e-5)}
    found = compared(moved, theirs)
    assert found["agrees"]  # parameters move by the learning rate whatever the gradient
    assert found["worst"]["parameters"]["difference"] == pytest.approx(0.5)
    assert found["worst"]["moments"]["array"] == ".optimizer.mu['b']"
    for wrong in (2.001, np.nan, np.inf):
        off = compared(theirs | {"metrics/loss": np.float32(wrong)}, theirs)
        assert not off["agrees"]
    assert not compared(theirs | {".stats['mean']": np.full(3, 0.1)}, theirs)["agrees"]


def test_the_table_shows_what_there_is():
    update = {
        "device": "H", "config": "c", "precision": "bfloat16", "batch": 256, "ms_per_update": 50.0,
        "events_per_second": 5120.0, "first_update_s": 30.0, "compile_s": 20.0, "tflops": 97.4,
        "engine_over_bare": 0.96, "epoch_s_of_180000_showers": 36.6,
        "profile": {"time_ms": {"input": 0.0, "convolutions": 3.0, "rest": 1.0}, "bound": "So."},
        "resources": {"joules_per_event": {"gpu": 0.123}, "peak_device_bytes": 5 * 10**9},
    }  # fmt: skip
    peer = {"eager": {"ms_per_update": 100.0, "events_per_second": 2560.0},
            "compiled": {"error": "RuntimeError: no"}}  # fmt: skip
    nhwc = update | {"events_per_second": 6400.0, "first_update_s": 60.0}
    generation = {"rows": [{"batch": 1, "ms_per_shower": 0.9, "start_up_s": 2.0}]}
    graphs = {"rows": [{"batch": 1, "ms_per_shower": 0.3, "start_up_s": 2.0}]}
    done = {"gan3d": update, "torch gan3d": peer, "gan3d nhwc": nhwc,
            "generation": generation, "generation graphs": graphs,
            "ceilings": {"bfloat16 TFLOP/s": 800.0, "size": 8}}  # fmt: skip
    results = {"rehearsal": False, "parts": {n: {"status": "done", "result": r}
                                             for n, r in done.items()}}  # fmt: skip
    lines = table(results).splitlines()
    assert lines[0] == "On H"
    assert (
        "| gan3d | bfloat16 | 256 | 50.00 | 5,120.0 | 97.4 | 30.0 (20.0) | 0.96 | 0.123 | 5.0 |"
        in lines
    )
    assert "An epoch of 180,000 showers at the rate of the engine: 36.6 s." in lines
    assert "| gan3d | eager | 100.00 | 2,560.0 | 2.00 |" in lines
    assert "Ceilings: bfloat16 TFLOP/s 800." in lines
    nhwc_flag, graphs_flag = (f"| `XLA_FLAGS={FLAGS[name]}` |" for name in ("nhwc", "graphs"))
    assert f"{nhwc_flag} gan3d | 1.25 | take it |" in lines
    assert f"{nhwc_flag} gan3d, first update | 0.50 | no gain |" in lines
    assert f"{graphs_flag} generation, batch 1 | 3.00 | take it |" in lines
    assert "gan3d: So. (convolutions 75%, rest 25%)" in lines


@pytest.mark.slow
def test_a_rehearsal(tmp_path):
    out = tmp_path / "out"
    only = ["ceilings", "gan3d", "mlpf", "tagger", "agreement gan3d", "generation", "starts"]
    done = script(str(out), "--rehearse", "--minutes", "30", "--only", *only, JAX_PLATFORMS="cpu")
    assert done.returncode == 0, (out / "log.txt").read_text()[-3000:]
    results = json.loads((out / "results.json").read_text())
    assert {part["status"] for part in results["parts"].values()} == {"done"}
    gan = results["parts"]["gan3d"]["result"]
    assert gan["engine_over_bare"] > 0
    assert gan["resources"]["events"] == 2 * gan["batch"]
    assert gan["profile"]["time_ms"]["convolutions"] > 0
    assert results["parts"]["agreement gan3d"]["result"]["agrees"]
    (start,) = results["parts"]["starts"]["result"]["rows"]
    assert start["kept_bytes"] > 0
    assert (out / "table.md").read_text() in done.stdout
    assert Path(out / "log.txt").stat().st_size > 0
