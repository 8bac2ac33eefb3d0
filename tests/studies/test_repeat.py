"""Seeds and folds: what differs, what is combined."""

import json

import numpy as np
import pytest
from helpers.figures import undrawn
from helpers.gan3d import TINY

from hepjax import InputError
from hepjax.cli import main
from hepjax.formats.source import Part, Without, divided
from hepjax.studies import repeat
from hepjax.workloads.tagger.config import TaggerConfig


def test_seeds_are_combined(toy_config, tmp_path, capsys):
    out = tmp_path / "seeds"
    argv = ["repeat", str(toy_config), "--seeds=2", f"--out={out}", "--json", "--quiet"]
    assert main([*argv, "train.seed=5"]) == 0
    scores = json.loads(capsys.readouterr().out)
    each = [
        json.loads((out / f"trials/{k:04d}/report/scores.json").read_text())["loss"]
        for k in range(2)
    ]
    row = scores["scores"]["loss"]
    assert row["values"] == pytest.approx(each)
    assert row["mean"] == pytest.approx(np.mean(each))
    assert row["spread"] == pytest.approx(np.std(each, ddof=1))
    assert len(set(each)) == 2
    assert "mean ± spread" in (out / "report" / "index.html").read_text()
    with undrawn():
        assert main([*argv[:2], "--seeds=3", *argv[3:], "train.seed=5"]) == 0
    assert len(json.loads(capsys.readouterr().out)["scores"]["loss"]["values"]) == 3


@pytest.mark.parametrize("option", ["--seeds=0", "--folds=1"])
def test_too_few_are_refused(toy_config, tmp_path, capsys, option):
    assert main(["repeat", str(toy_config), option, f"--out={tmp_path / 'x'}"]) == 2
    assert "expected at least" in capsys.readouterr().err


def test_folds_need_events_that_can_be_divided(toy_config, tmp_path, capsys):
    assert main(["repeat", str(toy_config), "--folds=3", f"--out={tmp_path / 'x'}"]) == 2
    assert "--folds: expected a workload whose events can be divided" in capsys.readouterr().err


class Numbers:
    """Events that are their numbers, in blocks of seven."""

    def __init__(self, count):
        self.count = count
        self.blocks = np.unique([*range(0, count, 7), count])
        self.bucket = np.arange(count) % 2

    def __len__(self):
        return self.count

    def __getitem__(self, indices):
        return {"x": np.asarray(indices)}

    def padded(self, indices, bucket):
        return {"x": np.asarray(indices), "bucket": np.full(len(indices), bucket)}


@pytest.mark.parametrize(("count", "folds"), [(60, 3), (61, 4), (100, 7)])
def test_each_event_is_judged_in_one_fold_and_trained_on_in_the_others(count, folds):
    source, seen = Numbers(count), []
    for point in repeat.of_folds(TINY, folds):
        fraction, turn = point["data.validation_fraction"], point["data.rotate"]
        training, validation = divided(source, fraction, "events", turn)
        judged, trained = (part[np.arange(len(part))]["x"] for part in (validation, training))
        assert sorted([*judged, *trained]) == list(range(count))
        for part in (training, validation):
            assert part.blocks[0] == 0
            assert part.blocks[-1] == len(part)
            assert (np.diff(part.blocks) > 0).all()
            rows = np.arange(len(part))
            np.testing.assert_array_equal(part.bucket, part[rows]["x"] % 2)
            np.testing.assert_array_equal(part.padded(rows, 1)["x"], part[rows]["x"])
        seen += [*judged]
    assert len(set(seen)) == count
    assert len(seen) <= count + folds


def test_without_rotation_the_division_is_as_ever():
    training, validation = divided(Numbers(50), 0.2, "events")
    assert isinstance(training, Part)
    assert not isinstance(training, Without)
    assert (validation.start, validation.stop) == (40, 50)


def test_a_rotation_beyond_the_ends_is_refused():
    with pytest.raises(InputError, match=r"data.rotate: expected 0 to 0.8"):
        divided(Numbers(50), 0.2, "events", 0.9)


def test_folds_of_a_tagger_test_on_a_share_each():
    points = repeat.of_folds(TaggerConfig(), 5)
    assert [p["data.rotate"] for p in points] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert all(p["data.fractions"] == pytest.approx([0.7, 0.1, 0.2]) for p in points)
