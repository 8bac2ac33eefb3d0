"""Early stopping: when a training ends, that it stays ended, and that a longer patience goes on."""

from dataclasses import replace

import pytest
from helpers.toy import TOY, ToyConfig

from hepjax.engine import records
from hepjax.engine.checkpoint import complete_steps
from hepjax.engine.config import TrainConfig
from hepjax.engine.stopping import epochs_without_better, is_enough, known_scores
from hepjax.engine.train import train

WORSE = replace(TOY, summarise=lambda cfg, sums: {"loss": 1.0, "n": 12.0})
"""Its score never improves after the first epoch."""


@pytest.mark.parametrize(
    ("scores", "since"),
    [
        ([], 0), ([3.0], 0), ([3.0, 2.0, 1.0], 0), ([1.0, 2.0, 3.0], 2), ([2.0, 2.0], 1),
        ([2.0, None, 3.0], 2), ([None, None], 2), ([None, 5.0], 0), ([float("nan"), 1.0, 4.0], 1),
        ([[1.0, 9.0], [2.0, 8.0]], 0), ([[1.0, 8.0], [2.0, 9.0], [3.0, None]], 2),
    ],
)  # fmt: skip
def test_epochs_since_the_best(scores, since):
    assert epochs_without_better(scores) == since
    assert is_enough(scores, 2) == (since >= 2)
    assert not is_enough(scores, 0)


def config(patience):
    return ToyConfig(train=TrainConfig(batch_size=8, epochs=6, stop_after=patience))


def test_ends_stays_ended_and_goes_on(tmp_path, capsys):
    ended = train(WORSE, config(2), tmp_path)
    steps = ended.step // ended.epochs
    assert (ended.epochs, ended.signal) == (3, None)  # the best and two that are no better
    assert "no better loss in 2 epochs: training ends early" in capsys.readouterr().err
    before = (tmp_path / "metrics.jsonl").read_text()
    assert train(WORSE, config(2), tmp_path).epochs == 3
    assert known_scores(tmp_path, "loss", 3 * steps) == [1.0] * 3
    assert known_scores(tmp_path, "loss", 2 * steps) == [1.0] * 2
    assert train(WORSE, config(4), tmp_path, quiet=True).epochs == 5
    assert (tmp_path / "metrics.jsonl").read_text().startswith(before)
    assert train(WORSE, config(0), tmp_path, quiet=True).epochs == 6
    rows = [r for r in records.read(tmp_path / "metrics.jsonl") if r["event"] == "validation"]
    assert [r["epoch"] for r in rows] == [1, 2, 3, 4, 5, 6]
    assert complete_steps(tmp_path / "checkpoints")[-1] == 6 * steps
