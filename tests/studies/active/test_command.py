"""Commands as simulators: what they are told, what is read, and how they fail."""

import sys
import time
from pathlib import Path

import pytest

from hepjax import InputError
from hepjax.studies.active import command
from hepjax.studies.active.command import FailedError

AXES = ("mass", "width.total")


def run(text, tmp_path, params=None, **more):
    words = command.words(text, AXES)
    told = {"mass": 120.5, "width.total": 2} if params is None else params
    return command.simulate(words, told, 7, tmp_path / "a folder", **more)


def test_a_command_gets_values_and_its_last_line_is_read(tmp_path):
    text = "sh -c 'echo started; echo {mass}; echo; exit 0' "
    assert run(text, tmp_path) == (120.5, 0.0)


def test_a_command_gets_files_and_a_key_is_found(tmp_path):
    script = tmp_path / "simulate.py"
    script.write_text(
        "import json, sys\n"
        "point = json.load(open(sys.argv[1]))\n"
        "found = {'scores': {'auc': 2 * point['mass'], 'auc_error': int(sys.argv[3])}}\n"
        "json.dump(found, open(sys.argv[2], 'w'))\n"
    )
    text = f"{sys.executable} {script} {{params}} {{result}} {{number}}"
    assert run(text, tmp_path, key="scores.auc") == (241.0, 7.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sh -c 'echo no disk >&2; exit 3' {params}", "ended with code 3: no disk"),
        ("sh -c 'kill -9 $$' {params}", "ended with code -9"),
        ("echo {mass} GeV", "expected JSON with 'value', found '120.5 GeV'"),
        ("""echo '{"found": {mass}}'""", "expected a number 'value', found None"),
        ("""echo '{"value": NaN, "x": {mass}}'""", "expected a finite 'value'"),
        ("""echo '{"value": true, "x": {mass}}'""", "expected a number 'value', found True"),
        ("""echo '{"value": 1, "value_error": -1, "x": {mass}}'""", "at least 0"),
        ("""echo '{"status": "failed", "reason": "{mass} too heavy"}'""", "120.5 too heavy"),
        ("true {params} {result}", "expected its result.json"),
        ("no-such-program-anywhere {mass}", "No such file"),
    ],
)
def test_a_simulation_that_gives_no_value_says_why(tmp_path, text, said):
    with pytest.raises(FailedError, match="^.*" + said.replace(".", r"\.")):
        run(text, tmp_path)


def test_one_that_hangs_is_ended_with_all_that_it_started(tmp_path):
    alive = tmp_path / "alive"
    text = f"sh -c '(sleep 1; touch {alive}) & sleep 30' {{mass}}"
    began = time.monotonic()
    with pytest.raises(FailedError, match=r"no end after 0\.2 seconds"):
        run(text, tmp_path, timeout=0.2)
    assert time.monotonic() - began < 20
    time.sleep(1.2)
    assert not alive.exists()


def test_what_is_raised_while_it_runs_ends_it(tmp_path):
    def lost():
        raise RuntimeError("the lease is lost")

    with pytest.raises(RuntimeError, match="the lease is lost"):
        run("sleep 30 {mass}", tmp_path, check=lost)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("simulate", "told the point as {params} or {mass}"),
        ("simulate {number}", "told the point as {params} or {mass}"),
        ("simulate {mas}", "found {mas}"),
        ("simulate '{mass}", "expected a command"),
    ],
)
def test_commands_that_cannot_work_are_refused_before(text, said):
    with pytest.raises(InputError) as error:
        command.words(text, AXES)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_paths_with_spaces_stay_one_word(tmp_path):
    assert run("sh -c 'test -f \"$0\" && echo 3' {params}", tmp_path) == (3.0, 0.0)
    assert Path(tmp_path / "a folder" / "params.json").exists()
