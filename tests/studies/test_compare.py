"""Runs side by side: what is found, the table, the settings that differ, the page."""

import json

import pytest
import yaml

from hepjax import InputError
from hepjax.cli import main
from hepjax.studies.compare import course, differing, find, summary


def make(run, settings, scores, event=None):
    """A run directory as far as ``hepjax runs`` reads it."""
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump({"workload": "tagger"} | settings))
    rows = [{"event": "train", "step": 1, "epoch": 0.5, "loss": 1.0, "events_per_second": 50.0}]
    for k, score in enumerate(scores):
        about = {"event": "validation", "step": 10 * (k + 1), "epoch": k + 1.0, "time": 1000.0}
        rows.append(about | {"misranking": score, "auc": 0.9})
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


@pytest.fixture
def runs(tmp_path):
    make(tmp_path / "a", {"train": {"seed": 0}, "optimizer": {"learning_rate": 1e-3}}, [0.5, 0.4])
    make(tmp_path / "deep/er/π b", {"train": {"seed": 1}, "optimizer": {"learning_rate": 1e-3}},
         [[0.9, 0.3], [None, 0.35]])  # fmt: skip
    make(tmp_path / "new", {"train": {"seed": 0}, "more": {"x": 1}}, [])
    (tmp_path / "a/checkpoints/config.yaml").write_text("")  # not a run
    (tmp_path / "data").mkdir()
    return tmp_path


def test_find(runs):
    found = [str(run.relative_to(runs)) for run in find(runs)]
    assert found == ["a", "deep/er/π b", "new"]
    assert find(runs / "a") == [runs / "a"]
    with pytest.raises(InputError, match="expected run directories in this folder, found none"):
        find(runs / "data")


def test_rows_best_first(runs):
    courses = [course(run, runs) for run in find(runs)]
    assert courses[0].metric == "misranking"
    assert courses[1].curve == [(1.0, 0.3), (2.0, 0.35)]
    rows = summary(courses, now=1000.0 + 7200)
    assert [row["run"] for row in rows] == ["deep/er/π b", "a", "new"]
    assert (rows[1]["best"], rows[1]["best_epoch"], rows[1]["updates"]) == (0.4, 2.0, 20)
    assert rows[1]["hours_since"] == 2.0
    assert rows[2]["best"] is None
    assert differing(courses) == ["more.x", "optimizer.learning_rate", "train.seed"]


def test_command(runs, capsys):
    assert main(["runs", str(runs)]) == 0
    said = capsys.readouterr().out
    assert "misranking 0.3" in said
    assert "none yet" in said
    assert "train.seed" in said
    assert main(["runs", str(runs / "a"), str(runs / "new"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["run"] for row in report["runs"]] == ["a", "new"]
    assert report["settings"]["a"]["optimizer.learning_rate"] == 1e-3
    (runs / "a/config.yaml").write_text(":")
    assert main(["runs", str(runs)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_page(runs, tmp_path, capsys):
    assert main(["runs", str(runs), "--page", str(tmp_path / "page")]) == 0
    text = (tmp_path / "page/index.html").read_text()
    assert "optimizer.learning_rate" in text
    assert "π b" in text
    assert json.loads((tmp_path / "page/scores.json").read_text())["runs"][0]["best"] == 0.3
