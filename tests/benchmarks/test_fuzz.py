"""A small run of the fuzzer, which is reproducible, and proof that it notices what is wrong.

The fuzzer forks, so it runs in a process that has no threads: not in that of the tests.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.faults import fuzz, fuzz_child, fuzz_read
from benchmarks.faults.fuzz_child import Said
from benchmarks.faults.fuzz_samples import SAMPLES
from benchmarks.setting import environment


def run(folder, *argv):
    done = subprocess.run(
        [sys.executable, "-m", *argv], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def played(folder, kind, count, start=0):
    """Cases of seed 5, none of them wrong."""
    options = [f"--count={count}", f"--start={start}", "--seed=5", "--json=cases.json"]
    run(folder, "benchmarks.faults.fuzz", kind, *options, f"--work={folder}", "--untrained")
    cases = json.loads((folder / "cases.json").read_text())["cases"]
    assert [case["number"] for case in cases] == list(range(start, start + count))
    assert sorted(p.name for p in folder.iterdir()) == ["cases.json"]
    return cases


def test_mutated_files(tmp_path):
    cases = played(tmp_path, "files", 40)
    assert {case["read"] for case in cases} == {"read", "refused"}
    assert len({case["subject"] for case in cases}) > len(SAMPLES) - 4
    again = played(tmp_path, "files", 1, start=39)
    words = ("subject", "done", "read", "said")
    assert [[c[w] for w in words] for c in again] == [[c[w] for w in words] for c in cases[39:]]


def test_mutated_configurations_and_command_lines(tmp_path):
    cases = played(tmp_path, "configs", 20)
    assert len({case["subject"] for case in cases}) > 4


def test_mutated_environments(tmp_path):
    played(tmp_path, "environments", 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "count"), [("files", 600), ("configs", 150), ("environments", 40)]
)
def test_more_of_them(tmp_path, kind, count):
    played(tmp_path, kind, count)


CHILDREN = """
import json, os, sys, time
from pathlib import Path
from benchmarks.faults import fuzz_child
from benchmarks.faults.fuzz_child import in_child

fuzz_child.MEMORY, fuzz_child.WAITING = 2**28, 0.6

right = "read", "", ""
plays = {
    "": lambda: right,
    "ended with 3": lambda: os._exit(3),
    "ended with -6": lambda: os.abort(),
    "ZeroDivisionError": lambda: 1 / 0,
    "waits for 0.6 s": lambda: time.sleep(60),
    "still running after 0.6 s of processor time": lambda: [None for _ in iter(int, 1)],
    "output past Python: noise": lambda: os.write(2, b"noise") and right,
    "took": lambda: (b"x" * 2**28, right)[1],
}
folder = Path(sys.argv[1]) / "case"
print(json.dumps({wrong: in_child(play, folder, 0.6).wrong for wrong, play in plays.items()}))
"""


def test_what_a_child_may_not_do(tmp_path):
    script = tmp_path / "children.py"
    script.write_text(CHILDREN)
    done = subprocess.run(
        [sys.executable, script, tmp_path], env=environment(), capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert len(found) == 8
    for expected, wrong in found.items():
        assert expected in wrong
        assert bool(expected) == bool(wrong)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (Said(0, "{}", "hepjax: note: a.h5: something\n"), ""),
        (Said(2, "", "hepjax: error: a.h5: expected this, found that\n"), ""),
        (Said(2, "", "hepjax: error: b.h5: expected this, found that\n"), "names neither"),
        (Said(2, "", ""), "0 lines in place of one"),
        (Said(2, "", "usage: hepjax\nhepjax: error: a.h5\n"), "2 lines in place of one"),
        (Said(1, "", "hepjax: bug: KeyError: 'a.h5'\n"), "exit code 1"),
        (Said(0, "", "Traceback (most recent call last):\nKeyError\n"), "traceback"),
        (Said(0, "", "a.h5: UserWarning: no\n"), "exit code 0, but said"),
        (Said(2, "", f"hepjax: error: a.h5: {'x' * 5000}\n"), "a line of"),
    ],
)
def test_what_a_command_may_not_say(said, wrong):
    found = said.wrong(("a.h5",))
    assert wrong in found
    assert bool(found) == bool(wrong)


def test_values_that_change_are_noticed():
    sample = next(s for s in SAMPLES if s.family == "jets")
    known = {"images": np.ones((3, 2, 2, 1), "f4"), "label": np.arange(3), "pt": np.ones(3)}
    other = known | {"images": np.zeros((3, 2, 2, 1), "f4")}
    few = {k: v[:2] for k, v in known.items()}

    def judged(read, right, touched=()):
        return fuzz_read.judged(read, sample, right, set(touched), known)

    assert not judged(known, "must")
    assert judged(other, "same") == "images differs from the sound file"
    assert judged(other, "any", {"pt"}) == "images differs from the sound file"
    assert not judged(other, "any", {"X_jets"})
    assert not judged(few, "any", {"*"})
    assert judged(known | {"pt": np.full(3, np.nan)}, "any", {"*"}) == "pt is not finite"
    assert judged(known, "refuse").startswith("read, but")
    assert judged(known | {"pt": np.ones(2)}, "any", {"*"}) == "arrays of {2, 3} events"


def test_the_table_counts_by_subject():
    ended = {"seconds": 1.0, "bytes": 10**8, "said": ""}
    cases = [
        fuzz.Case("files", 0, "jets", "cut", "read", "", **ended),
        fuzz.Case("files", 1, "jets", "flip", "refused", "", **ended),
        fuzz.Case("files", 2, "events", "flip", "killed", "hang", **ended),
    ]
    lines = fuzz.table(cases)
    assert "| files | jets | 2 | 1 | 1 | 0 | 1.0 | 100 |" in lines
    assert lines[-1] == "| all |  | 3 | 1 | 1 | 1 | 1.0 | 100 |"
    assert fuzz_child.MEMORY == 2**30
