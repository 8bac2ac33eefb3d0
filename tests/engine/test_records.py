"""Records survive crashes and resumes."""

import json

from hepjax.engine import records


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
