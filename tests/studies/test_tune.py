"""Searches over the toy workload: what they leave, how they resume, what they survive."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

import pytest
from helpers.figures import undrawn

from hepjax import InputError
from hepjax.cli import main
from hepjax.engine import records
from hepjax.engine.checkpoint import complete_steps
from hepjax.studies import leases, shared_files
from hepjax.studies import study as studies

EPOCH = 52 // 8


def tune(config, space, out, *more, trials=4, sampler="random", figures=undrawn):
    argv = ["tune", str(config), f"--space={space}", f"--trials={trials}", f"--out={out}"]
    with figures():
        return main([*argv, f"--sampler={sampler}", "--quiet", *more])


def numbers(out):
    return {t.number: t for t in studies.trials(studies.stored_study(out))}


def test_a_search_finds_the_least_noise(toy_config, toy_space, tmp_path, capsys):
    out = tmp_path / "study"
    assert tune(toy_config, toy_space, out, "--json", figures=nullcontext) == 0
    scores = json.loads(capsys.readouterr().out)
    trials = numbers(out)
    assert sorted(trials) == [0, 1, 2, 3]
    assert all(t.last["status"] == "complete" and len(t.curve) == 4 for t in trials.values())
    best = min(trials.values(), key=lambda t: t.score)
    assert scores["best_trial"] == best.number
    assert scores["best_params"] == best.params
    assert scores["accelerator_hours"] > 0
    for number in trials:
        rows = records.read(out / "trials" / f"{number:04d}" / "metrics.jsonl")
        judged = [r["loss"] for r in rows if r["event"] == "validation"]
        assert min(judged) == pytest.approx(trials[number].score)
    page = (out / "report" / "index.html").read_text()
    assert "Parallel coordinates" in page
    assert not list((out / "records").glob("*.beat"))


def test_the_same_command_does_nothing_twice_and_more_trials_go_on(toy_config, toy_space, tmp_path):
    out = tmp_path / "study"
    assert tune(toy_config, toy_space, out, trials=2) == 0
    before = {p: p.stat().st_mtime_ns for p in (out / "trials").rglob("*")}
    assert tune(toy_config, toy_space, out, trials=3) == 0
    assert sorted(numbers(out)) == [0, 1, 2]
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())


@pytest.mark.slow
def test_promoted_trials_go_on_from_their_checkpoints(toy_config, toy_space, tmp_path):
    out = tmp_path / "study"
    assert tune(toy_config, toy_space, out, "--pruner=asha", trials=6) == 0
    trials = numbers(out)
    ends = {n: len(t.results) for n, t in trials.items()}
    assert sorted(ends.values()) == [1, 1, 1, 1, 2, 2]
    first = {n: t.results[0]["score"] for n, t in trials.items()}
    assert {n for n, k in ends.items() if k == 2} >= {min(first, key=first.get)}
    for number, count in ends.items():
        run = out / "trials" / f"{number:04d}"
        rows = records.read(run / "metrics.jsonl")
        assert complete_steps(run / "checkpoints")[-1] == (4 if count == 2 else 1) * EPOCH
        assert sum(r["event"] == "validation" for r in rows) == (4 if count == 2 else 1)
        assert sum(r["event"] == "resume" for r in rows) == count - 1


@pytest.mark.slow
def test_the_median_rule_stops_trials(toy_config, tmp_path, monkeypatch):
    space = tmp_path / "bad.yaml"
    # The first six trials are good, the others bad and slow enough to be looked at.
    space.write_text("noise: {choice: [0.01, 9.0]}\ndelay: {choice: [0.0, 0.1]}\n")
    point = {"noise": 0.01, "delay": 0.0}
    monkeypatch.setattr(
        "hepjax.studies.samplers.propose",
        lambda study, trials, n: point if n < 6 else {"noise": 9.0, "delay": 0.1},
    )
    monkeypatch.setattr("hepjax.studies.worker.LOOK_SECONDS", 0.0)
    out = tmp_path / "study"
    assert tune(toy_config, space, out, "--pruner=median", trials=7) == 0
    last = numbers(out)[6]
    assert last.last["status"] == "stopped"
    assert 1 <= len(last.curve) < 4


def test_failed_trials_are_told_with_their_reasons(toy_config, tmp_path, capsys):
    space = tmp_path / "poison.yaml"
    space.write_text("poison: {choice: [-1, 0]}\n")
    out = tmp_path / "study"
    assert tune(toy_config, space, out, trials=2, sampler="grid") == 0
    trials = numbers(out)
    assert trials[0].failed is None
    assert "expected finite losses" in trials[1].failed
    assert "expected finite losses" in (out / "report" / "index.html").read_text()
    assert "1 failed" in capsys.readouterr().out


def test_no_finished_trial_is_told_in_one_line(toy_config, tmp_path, capsys):
    space = tmp_path / "poison.yaml"
    space.write_text("poison: {choice: [0, 1]}\n")
    assert tune(toy_config, space, tmp_path / "study", trials=2, sampler="grid") == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("hepjax: error:")
    assert "expected a finished trial, found none of 2 (trial 0: train: expected finite" in error


def test_the_folder_of_another_study_is_refused(toy_config, toy_space, tmp_path, capsys):
    out = tmp_path / "study"
    assert tune(toy_config, toy_space, out, trials=1) == 0
    assert tune(toy_config, toy_space, out, "train.batch_size=4", trials=1) == 2
    assert "expected settings.train.batch_size=8 as when the study began" in capsys.readouterr().err
    assert tune(toy_config, toy_space, out, "--seed=3", trials=1) == 2
    assert "expected seed=0" in capsys.readouterr().err


def test_a_folder_with_other_files_is_refused(toy_config, toy_space, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    assert tune(toy_config, toy_space, tmp_path / "mine", trials=1) == 2
    assert "expected the folder of a study or none" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--trials=0", "--trials: expected at least 1"),
        ("--workers=0", "--workers: expected at least 1"),
        ("--lease=0", "--lease: expected 0.5 seconds"),
        ("--first-epochs=0", "--first-epochs: expected at least 1"),
    ],
)
def test_numbers_out_of_range_are_refused(toy_config, toy_space, tmp_path, capsys, option, said):
    assert tune(toy_config, toy_space, tmp_path / "study", option) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_a_damaged_trial_fails_and_the_others_go_on(toy_config, toy_space, tmp_path):
    out = tmp_path / "study"
    assert tune(toy_config, toy_space, out, trials=2) == 0
    run = out / "trials" / "0001"
    (out / "records" / "0001.s0.done").unlink()  # as if its worker had been killed before
    dead = json.dumps(leases.here() | {"start": "0"})
    (out / "records" / "0001.s0.L0").write_text(dead)
    for manifest in run.glob("checkpoints/*/manifest.json"):
        manifest.write_text("{}")
    (out / "records" / "0000.json").write_text("{")
    assert tune(toy_config, toy_space, out, trials=3) == 0
    trials = numbers(out)
    assert trials[0].failed == studies.DAMAGED
    assert "expected a usable checkpoint" in trials[1].failed
    assert trials[2].failed is None


def test_a_full_disk_ends_the_worker_and_fails_no_trial(
    toy_config, toy_space, tmp_path, monkeypatch, capsys
):
    def full(*args, **kwargs):
        raise InputError("checkpoints: expected to write, found: no space left on device")

    out = tmp_path / "study"
    with monkeypatch.context() as patch:
        patch.setattr("hepjax.studies.worker.run.train", full)
        assert tune(toy_config, toy_space, out, trials=1) == 2
    assert "no space left" in capsys.readouterr().err
    assert not list((out / "records").glob("*.done"))
    assert tune(toy_config, toy_space, out, trials=1) == 0


def test_a_trial_that_loses_worker_after_worker_fails(toy_config, toy_space, tmp_path):
    out = tmp_path / "study"
    assert tune(toy_config, toy_space, out, trials=1) == 0
    (out / "records" / "0000.s0.done").unlink()
    dead = leases.here() | {"start": "0", "step": 4 * EPOCH}
    (out / "records" / "0000.s0.L0").write_text(json.dumps(dead))
    for generation in range(1, studies.ATTEMPTS + 1):
        shared_files.create(out / "records" / f"0000.s0.L{generation}", dead)
    assert tune(toy_config, toy_space, out, trials=2) == 0
    assert "workers in a row were lost with it" in numbers(out)[0].failed


@pytest.mark.slow
def test_workers_that_are_killed_lose_no_trial(toy_config, toy_space, toy_environment, tmp_path):
    """Two workers, one killed and one stopped for longer than its lease, then a third."""
    out = tmp_path / "study"
    argv = ["tune", str(toy_config), f"--space={toy_space}", "--trials=3", f"--out={out}"]
    argv += ["--sampler=random", "--lease=10", "delay=0.02", "--quiet"]

    def start():
        return subprocess.Popen(
            [sys.executable, "-m", "hepjax", *argv], env=toy_environment, cwd=tmp_path,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    first, second = start(), start()
    end = time.monotonic() + 120
    while len(list((out / "trials").glob("*/checkpoints/*/manifest.json"))) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    first.kill()
    second.send_signal(signal.SIGSTOP)
    third = start()
    assert third.wait(240) == 0
    second.send_signal(signal.SIGCONT)
    assert second.wait(60) == 0
    first.wait()
    trials = numbers(out)
    assert sorted(trials) == [0, 1, 2]
    assert all(t.last["status"] == "complete" for t in trials.values())
    for number in trials:
        assert complete_steps(out / "trials" / f"{number:04d}" / "checkpoints")[-1] == 4 * EPOCH


@pytest.mark.slow
def test_several_workers_share_a_study(toy_config, toy_space, toy_environment, tmp_path):
    out = tmp_path / "study"
    argv = ["tune", str(toy_config), f"--space={toy_space}", "--trials=4", f"--out={out}"]
    done = subprocess.run(
        [sys.executable, "-m", "hepjax", *argv, "--sampler=random", "--workers=2"],
        env=toy_environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "4 of 4 trials complete" in done.stdout
    assert {"worker 0", "worker 1"} <= {line[8:16] for line in done.stderr.splitlines()}


def test_a_signal_saves_the_trial_and_the_same_command_goes_on(
    toy_config, toy_space, toy_environment, tmp_path
):
    out = tmp_path / "study"
    argv = ["tune", str(toy_config), f"--space={toy_space}", "--trials=1", f"--out={out}"]
    argv += ["--sampler=random", "--quiet", "delay=0.2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hepjax", *argv], env=toy_environment, cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    metrics = out / "trials" / "0000" / "metrics.jsonl"
    end = time.monotonic() + 120
    while not metrics.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM
    assert 0 < complete_steps(out / "trials" / "0000" / "checkpoints")[-1] < 4 * EPOCH
    assert (out / "records" / "0000.s0.L0.left").exists()
    with undrawn():
        assert main(argv) == 0
    assert numbers(out)[0].last["status"] == "complete"


def test_a_study_moves_between_machines(toy_config, toy_space, tmp_path):
    out = tmp_path / "study"
    assert tune(toy_config, toy_space, out, trials=1) == 0
    moved = tmp_path / "elsewhere"
    shutil.move(out, moved)
    assert tune(toy_config, toy_space, moved, trials=2) == 0
    assert sorted(numbers(moved)) == [0, 1]


def test_a_damaged_definition_is_told(toy_config, toy_space, tmp_path, capsys):
    out = tmp_path / "study"
    assert tune(toy_config, toy_space, out, trials=1) == 0
    (out / "study.json").write_text("{")
    assert tune(toy_config, toy_space, out, trials=1) == 2
    assert "expected the definition that hepjax wrote, found damage" in capsys.readouterr().err
    os.remove(out / "study.json")
    assert tune(toy_config, toy_space, out, trials=1) == 0
