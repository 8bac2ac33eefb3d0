"""``hepjax active``: a known contour, simulations that fail and hang, studies that go on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hepjax.cli import main
from hepjax.studies import leases, shared_files
from hepjax.studies import study as studies
from hepjax.studies.active import loop
from hepjax.studies.study import Stage, Trial

ROOT = Path(__file__).parents[3]


@pytest.fixture
def simulator(tmp_path):
    """A disc of radius 0.7 in a square of 1.4: 27.5 % of it is below 0.49. Two points go wrong."""
    script = tmp_path / "simulate.sh"
    script.write_text(
        "case $3 in 3) echo no licence >&2; exit 7;; 9) sleep 60;; esac\n"
        "awk -v x=$1 -v y=$2 'BEGIN { print x * x + y * y }'\n"
    )
    return f"sh {script} {{x}} {{y}} {{number}}"


@pytest.fixture
def square(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("x: {low: 0.0, high: 1.4}\ny: {low: 0.0, high: 1.0}\n")
    return path


def active(simulator, space, out, *more, points=14):
    argv = ["active", simulator, f"--space={space}", "--threshold=0.49", f"--points={points}"]
    return main([*argv, "--initial=8", "--timeout=3", f"--out={out}", "--quiet", *more])


def stored(out):
    found = loop.ActiveStudy(Path(out), **shared_files.read(out / "study.json"))
    return studies.trials(found)


@pytest.mark.slow
def test_a_disc_is_found_although_simulations_fail_and_hang(simulator, square, tmp_path, capsys):
    out = tmp_path / "study"
    assert active(simulator, square, out, "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["simulations"] == loop.simulations(14, 8) == 17
    assert scores["failed"] == 2
    disc = np.pi * 0.49 / 4 / 1.4
    assert 1 - scores["share_above"] == pytest.approx(disc, abs=0.03)
    trials = stored(out)
    assert "ended with code 7: no licence" in trials[3].failed
    assert "no end after 3 seconds" in trials[9].failed
    kinds = [trial.kind for trial in trials]
    assert kinds == ["initial"] * 8 + ["asked", "filling"] * 3 + ["beside"] * 3
    page = (out / "report" / "index.html").read_text()
    assert "no licence" in page
    assert "with a Sobol scan of equal cost" in page
    assert not list((out / "records").glob("*.beat"))

    # The same command does nothing twice, more points go on, another study is refused.
    before = {p: p.stat().st_mtime_ns for p in (out / "records").iterdir()}
    assert active(simulator, square, out, points=16) == 0
    assert all(p.stat().st_mtime_ns == t for p, t in before.items())
    assert [t.kind for t in stored(out)][17:] == ["asked", "filling", "beside"]
    other = tmp_path / "other.yaml"
    other.write_text("x: {low: 0.0, high: 2.0}\ny: {low: 0.0, high: 1.0}\n")
    capsys.readouterr()
    assert active(simulator, other, out) == 2
    said = capsys.readouterr().err
    assert "expected space.x.high=1.4 as when the study began, found 2.0" in said
    assert active(simulator, square, out, "--seed=3") == 2
    assert "expected seed=0" in capsys.readouterr().err


def test_a_simulation_whose_worker_died_is_done_again(simulator, square, tmp_path):
    """Its first attempt may still run and write: the second has a folder of its own."""
    out = tmp_path / "study"
    study = loop.ActiveStudy(
        out, simulator, {"x": {"low": 0.0, "high": 1.4}, "y": {"low": 0.0, "high": 1.0}}, 0.49
    )
    studies.open_study(study)
    shared_files.create(
        out / "records" / "0000.json",
        {"number": 0, "params": {"x": 1.0, "y": 0.5}, "kind": "initial"},
    )
    shared_files.create(out / "records" / "0000.s0.L0", leases.here() | {"start": "0", "step": 0})
    worker = loop.ActiveWorker(study, 1, 60.0)
    assert worker._next(studies.trials(study)) == (0, 0, 1)
    assert worker.work() is None
    assert studies.trials(study)[0].last["value"] == 1.25
    assert [p.name for p in (out / "trials" / "0000").iterdir()] == ["attempt-1"]


def trial(number, kind, params=None, value=None):
    ended = None if value is None else {"status": "complete", "value": value, "error": 0.0}
    return Trial(number, params, (Stage(ended, 1, 0),), kind)


def test_the_order_of_reasons_and_the_cost_of_the_scan():
    kinds = []
    for _ in range(12):
        known = [trial(k, kind) for k, kind in enumerate(kinds)]
        kinds.append(loop.kind_of_next(known, 9, 4))
    assert kinds[:9] == ["initial"] * 4 + ["asked", "filling"] * 2 + ["asked"]
    assert kinds[9:] == ["beside"] * 3
    assert loop.simulations(9, 4) == 12
    assert kinds.count("initial") + kinds.count("filling") + kinds.count("beside") == 9


def test_points_that_run_or_failed_are_not_asked_for_again(tmp_path):
    study = loop.ActiveStudy(
        tmp_path, "toy", {"x": {"low": 0.0, "high": 1.0}}, 0.5, initial=4
    )  # fmt: skip
    known = [trial(k, "initial", {"x": x}, x) for k, x in enumerate((0.05, 0.3, 0.7, 0.95))]
    first = float(loop.asked(study, known, 12)[0])
    runs = trial(4, "asked", {"x": first})
    second = float(loop.asked(study, [*known, runs], 12)[0])
    assert abs(first - 0.5) < 0.21
    assert second != first


def test_whole_numbers_are_asked_for_as_such(tmp_path):
    said = {"low": 1, "high": 9, "whole": True}
    study = loop.ActiveStudy(tmp_path, "toy", {"n": said}, 5.0, initial=4)
    known = [trial(k, "initial", {"n": n}, float(n)) for k, n in enumerate((1, 3, 7, 9))]
    share = float(loop.asked(study, known, 12)[0])
    assert study.axes[0].inside(share) in (4, 5, 6)
    full = [trial(n, "initial", {"n": n}, float(n)) for n in range(1, 10)]
    assert loop.asked(study, full, 12) is None


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--points=8"], "--points: expected more than --initial=8, found 8"),
        (["--points=900"], "--points: expected at most 512 simulations"),
        (["--initial=2"], "--initial: expected at least 4, found 2"),
        (["--timeout=0"], "--timeout: expected seconds above 0"),
        (["--threshold=nan"], "--threshold: expected a finite number"),
        (["--seeds=3"], "--seeds: expected a simulator with a known contour"),
        (["--workers=0"], "--workers: expected at least 1"),
        (["--lease=0"], "--lease: expected 0.5 seconds"),
        (["--acquisition=ucb"], "--acquisition: expected one of"),
    ],
)
def test_arguments_out_of_range_are_refused(simulator, square, tmp_path, capsys, argv, said):
    try:
        code = active(simulator, square, tmp_path / "study", *argv)
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("simulator", "space", "said"),
    [
        ("toy/2d", "m1: {low: 400, high: 900}", "expected ranges of m1, ratio, found m1"),
        ("toy/2d", "m1: {low: 1, high: 900}\nratio: {low: 0, high: 1}", "within 400 to 2400"),
        ("run {a}", "a: {choice: [1, 2]}", "a: expected a range {low: .., high: ..}, found a cho"),
        ("run {a}", "a: {low: 1, high: 1}", "a: expected low below high"),
        ("run {b}", "a: {low: 1, high: 2}", "found {b}"),
        ("run", "a: {low: 1, high: 2}", "told the point as {params} or {a}"),
        ("run {a}", "a: [1, 2]", "expected {low: .., high: ..}"),
    ],
)
def test_spaces_that_do_not_fit_the_simulator(tmp_path, capsys, simulator, space, said):
    path = tmp_path / "space.yaml"
    path.write_text(space)
    assert active(simulator, path, tmp_path / "study") == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "study").exists()


def test_what_a_command_needs_is_told(tmp_path, capsys):
    argv = ["active", "run {params}", f"--out={tmp_path / 'study'}"]
    assert main([*argv, "--threshold=1"]) == 2
    assert "--space: expected a file with the ranges" in capsys.readouterr().err
    path = tmp_path / "space.yaml"
    path.write_text("a: {low: 1, high: 2}")
    assert main([*argv, f"--space={path}"]) == 2
    assert "--threshold: expected the value on the contour, found none" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_the_folder_of_a_search_is_refused(square, simulator, tmp_path, capsys):
    (tmp_path / "study").mkdir()
    content = {"workload": "gan3d", "settings": {}, "sampler": "tpe", "seed": 0}
    (tmp_path / "study" / "study.json").write_text(json.dumps(content))
    assert active(simulator, square, tmp_path / "study") == 2
    assert "expected a study of hepjax active, found one of another" in capsys.readouterr().err


def test_no_value_at_all_is_told_in_one_line(square, tmp_path, capsys):
    assert active("false {x} {y}", square, tmp_path / "study", points=9) == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert "expected 4 simulations or more with a value, found 0 of 9" in error
    assert "ended with code 1" in error


@pytest.mark.slow
def test_workers_that_are_killed_lose_no_point(square, tmp_path):
    """Two workers, one killed in a simulation, a tenth of which fail and a tenth hang."""
    script = tmp_path / "simulate.sh"
    script.write_text(
        "case $3 in *3) exit 7;; *9) sleep 600;; esac\n"
        "sleep 0.3; awk -v x=$1 -v y=$2 'BEGIN { print x * x + y * y }'\n"
    )
    out = tmp_path / "study"
    argv = ["active", f"sh {script} {{x}} {{y}} {{number}}", f"--space={square}"]
    argv += ["--threshold=0.49", "--points=24", "--timeout=5", "--lease=10", f"--out={out}"]

    def start():
        return subprocess.Popen(
            [sys.executable, "-m", "hepjax", *argv], cwd=tmp_path, stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip

    first, second = start(), start()
    end = time.monotonic() + 120
    while len(list((out / "records").glob("*.done"))) < 4:
        assert time.monotonic() < end
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    third = start()
    assert third.wait(900) == 0
    assert second.wait(300) == 0
    first.wait()
    trials = stored(out)
    assert [t.number for t in trials] == list(range(loop.simulations(24, 12)))
    assert all(t.last for t in trials)
    failed = [t.number for t in trials if t.failed]
    assert failed == [n for n in range(len(trials)) if n % 10 in (3, 9)]
    scores = json.loads((out / "report" / "scores.json").read_text())
    assert 1 - scores["share_above"] == pytest.approx(np.pi * 0.49 / 4 / 1.4, abs=0.03)
