"""scores.json holds plain numbers that any JSON reader takes, and is whole or absent."""

import json

import numpy as np
import pytest

from hepjax.formats.atomic import plain, write_json


def test_numbers_become_plain_and_non_finite_null():
    scores = {
        "a": np.float32(0.5), "b": np.array([1, 2]), "c": float("nan"),
        "d": [np.inf, (np.int64(3), True)], "e": {"f": np.bool_(False), 1: "text"},
    }  # fmt: skip
    expected = {"a": 0.5, "b": [1, 2], "c": None, "d": [None, [3, True]]}
    assert plain(scores) == expected | {"e": {"f": False, "1": "text"}}


def test_file_reads_back(tmp_path):
    write_json(tmp_path / "scores.json", {"x": np.float64(0.25), "y": np.nan})
    assert json.loads((tmp_path / "scores.json").read_text()) == {"x": 0.25, "y": None}


def test_failure_keeps_the_old_file(tmp_path):
    path = tmp_path / "scores.json"
    write_json(path, {"x": 1})
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert json.loads(path.read_text()) == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["scores.json"]
