"""Records survive crashes and resumes."""

import json
import time
from pathlib import Path

import pytest

from hepjax import InputError
from hepjax.engine import records
from hepjax.engine.provenance import Goodput


def test_append_and_read(tmp_path):
    path = tmp_path / "m.jsonl"
    records.append(path, {"step": 1, "loss": 0.5})
    records.append(path, {"step": 2, "loss": float("nan")})
    assert records.read(path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": None}]


def test_a_torn_line_is_closed_and_skipped(tmp_path):
    path = tmp_path / "m.jsonl"
    records.append(path, {"step": 1})
    with path.open("a") as file:
        file.write('{"step": 2, "lo')
    records.append(path, {"step": 2})
    assert records.read(path) == [{"step": 1}, {"step": 2}]


def test_steps_repeated_after_a_resume_supersede(tmp_path):
    path = tmp_path / "m.jsonl"
    for record in ({"step": 1}, {"step": 2, "try": 1}, {"event": "resume", "step": 1},
                   {"step": 2, "try": 2}):  # fmt: skip
        records.append(path, record)
    assert [r.get("try") for r in records.read(path) if r["step"] == 2] == [2]


def test_no_file_no_records(tmp_path):
    assert records.read(tmp_path / "none") == []


def test_json_is_written_whole(tmp_path):
    records.write_json(tmp_path / "a.json", {"x": [1.0, float("inf")]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1.0, None]}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_is_one_line():
    with pytest.raises(InputError, match=r"^/dev/full: expected to write it, found: No space left"):
        records.append(Path("/dev/full"), {"step": 1})


def test_a_refused_file_leaves_nothing(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(InputError, match=r"a\.json: expected to write it, found: Is a directory"):
        records.write_json(tmp_path / "a.json", {})
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_goodput_counts_saved_updates_over_all_sessions(tmp_path):
    def goodput():
        return json.loads((tmp_path / "hepjax.json").read_text())["goodput"]

    first = Goodput(tmp_path, {}, began=time.monotonic() - 10)
    first.worked(4, saved=True)
    first.worked(3, saved=False)  # lost with the session
    second = Goodput(tmp_path, {}, began=time.monotonic() - 6)
    second.worked(4, saved=True)
    assert goodput()["sessions"] == 2
    assert goodput()["productive_seconds"] == 8
    assert goodput()["fraction"] == pytest.approx(0.5, abs=0.05)
    for damage in ("", "[]", '{"goodput": 3}', '{"goodput": {"seconds": "x"}}'):
        (tmp_path / "hepjax.json").write_text(damage)
        assert Goodput(tmp_path, {}, time.monotonic()).sessions == 1
