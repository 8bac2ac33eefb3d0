"""``hepjax train --params in.json --result out.json``, as a workflow system calls it."""

import json

import pytest

from hepjax.cli import main


def called(tmp_path, point, *more):
    given, result = tmp_path / "in.json", tmp_path / "out.json"
    given.write_text(json.dumps(point) if not isinstance(point, str) else point)
    argv = ["train", f"--params={given}", f"--result={result}", f"--run={tmp_path / 'run'}"]
    code = main([*argv, "--quiet", *more])
    return code, json.loads(result.read_text()) if result.exists() else None


def test_a_point_is_trained_and_scored(toy_config, tmp_path):
    point = {"config": str(toy_config), "noise": 0.5, "train": {"epochs": 2}}
    code, result = called(tmp_path, point)
    assert code == 0
    assert result["status"] == "complete"
    assert result["metric"] == "loss"
    assert result["epochs"] == 2
    assert 0 < result["score"] < 1
    assert "noise: 0.5" in (tmp_path / "run" / "config.yaml").read_text()


def test_the_command_line_has_the_last_word(toy_config, tmp_path):
    code, result = called(tmp_path, {"train.epochs": 3}, str(toy_config), "train.epochs=1")
    assert (code, result["epochs"]) == (0, 1)


def test_a_training_that_goes_wrong_says_why(toy_config, tmp_path):
    code, result = called(tmp_path, {"config": str(toy_config), "poison": 0})
    assert code == result["exit_code"] == 3
    assert result["status"] == "failed"
    assert "expected finite losses" in result["reason"]


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({"noise": 0.5}, "CONFIG: expected one name of a configuration, found none"),
        ({"config": 3}, "CONFIG: expected one name"),
        ("[1]", "expected a JSON object of settings"),
        ("{", "expected a JSON object of settings"),
        ({"config": "CONFIG", "nose": 1}, "nose: expected a known setting"),
    ],
)
def test_bad_points_are_refused(toy_config, tmp_path, capsys, point, said):
    if isinstance(point, dict) and point.get("config") == "CONFIG":
        point["config"] = str(toy_config)
    code, result = called(tmp_path, point)
    assert code == 2
    assert said in result["reason"]
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_result_that_cannot_be_written_is_told_first(toy_config, tmp_path, capsys):
    argv = ["train", str(toy_config), f"--result={tmp_path}/no/out.json", f"--run={tmp_path}/run"]
    assert main(argv) == 2
    assert "expected the name of a file in an existing folder" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
