"""The campaign of signals: what it draws, what it would find, and a round of it."""

import subprocess

import pytest

from benchmarks.faults import signal_play, signal_rounds
from benchmarks.faults.signal_commands import COMMANDS, TRAININGS, Ground, unfinished


def test_the_rounds_are_drawn_from_the_seed_and_cover_everything():
    drawn = list(signal_rounds.rounds(200, 0))
    assert drawn == list(signal_rounds.rounds(200, 0)) != list(signal_rounds.rounds(200, 1))
    assert drawn[:50] == list(signal_rounds.rounds(50, 0))
    trainings = {(f"train {w}", moment) for w in TRAININGS for moment in signal_rounds.MOMENTS}
    others = {(command, moment) for command in COMMANDS for moment in signal_rounds.OTHER_MOMENTS}
    assert {(one.command, one.moment) for one in drawn} == trainings | others
    assert {one.signals[0] for one in drawn} == {"SIGINT", "SIGTERM", "SIGHUP"}


@pytest.mark.parametrize("moment", [pytest.param("work", marks=pytest.mark.slow), "end"])
def test_a_round(tmp_path, moment):
    one = signal_rounds.Round("inspect gan3d", moment, 0.5, ["SIGTERM"], 0.0, True)
    signal_play.play(one, Ground(tmp_path))
    assert one.wrong == ""
    assert one.code in (143, -15)
    assert signal_rounds.table([one])[-1].startswith(
        f"| inspect | {moment} | 1 | 0 | 0 | 1 | 0 | 0 | 0 |"
    )


def test_a_process_that_works_is_not_leaving():
    child = subprocess.Popen(["sleep", "60"])
    assert not signal_play.is_leaving(child.pid)
    child.kill()
    child.wait()
    assert not signal_play.is_leaving(child.pid)


def a_round(code, signal="SIGTERM", moment="work", pause=0.7, later=()):
    return signal_rounds.Round("doctor", moment, 0.5, [signal, *later], pause, True, code=code)


@pytest.mark.parametrize(
    ("one", "said", "wrong"),
    [
        (a_round(143), "hepjax: interrupted\n", ""),
        (a_round(-15), "", ""),
        (a_round(0), "", "code 0"),
        (a_round(-11), "", "code -11"),
        (a_round(130, later=["SIGINT"]), "", "code 130"),
        (a_round(130, later=["SIGINT"], pause=0.0), "", ""),
        (a_round(143), "Traceback (most recent call last)", "says Traceback"),
        (a_round(143), "hepjax: bug: KeyError", "says hepjax: bug"),
        (a_round(1, "SIGINT", "start"), "<frozen site>\nKeyboardInterrupt", ""),
        (a_round(1, "SIGINT", "start"), "/a/hepjax/cli.py\nKeyboardInterrupt", "code 1"),
        (a_round(1, "SIGTERM", "start"), "KeyboardInterrupt", "code 1"),
    ],
)
def test_what_is_wrong(one, said, wrong):
    assert signal_play._wrong(one, said).startswith(wrong)
    assert bool(signal_play._wrong(one, said)) == bool(wrong)


def test_half_written_files_are_found(tmp_path):
    whole = {"a.h5": "1", "scores.json": "", "index.html": ""}
    (tmp_path / "scores.json").write_text('{"a": 1}')
    (tmp_path / "index.html").write_text("<html></html>\n")
    assert unfinished({"a.h5": "1", "scores.json": "7", "index.html": "8"}, whole, tmp_path) == []
    (tmp_path / "scores.json").write_text('{"a": ')
    (tmp_path / "index.html").write_text("<html>")
    found = {"a.h5": "2", "scores.json": "7", "index.html": "8", "b.h5": "1"}
    assert unfinished(found, whole, tmp_path) == list(found)


def test_a_plan_that_the_same_command_goes_on_with_is_no_half_written_file(tmp_path):
    (tmp_path / "set").mkdir()
    plan = tmp_path / "set" / "pack.json"
    plan.write_text('{"a": 1}')
    assert unfinished({"set/pack.json": "1"}, {"set/manifest.json": "2"}, tmp_path) == []
    plan.write_text('{"a": ')
    assert unfinished({"set/pack.json": "1"}, {}, tmp_path) == ["set/pack.json"]
