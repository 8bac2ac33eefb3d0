"""The learning-rate finder: which rate is best, by hand and in a training."""

import json
from dataclasses import dataclass, field, replace

import pytest
from helpers import toy
from helpers.toy import ToyConfig

from hepjax import InputError
from hepjax.cli import main
from hepjax.engine.optimizers import OptimizerConfig
from hepjax.engine.settings import build, override
from hepjax.studies.rates import grid, judged


def test_grid():
    assert grid(1e-4, 1e-2, 3) == [1e-4, 1e-3, 1e-2]
    for low, high, count in ((0, 1, 3), (1, 1, 3), (1e-3, 1e-2, 1), (1, float("inf"), 3)):
        with pytest.raises(InputError):
            grid(low, high, count)


def test_judged_by_the_score_among_those_that_stay_finite():
    history = [
        {"event": "train", "loss": [1.0, 1.0, 1.0, 9.0], "skipped": [0, 0, 0, 0.5]},
        {"event": "train", "loss": [0.9, 0.4, None, 8.0], "skipped": [0, 0, 0, 1.0]},
        {"event": "validation", "score": [0.8, 0.3, None, 0.1]},
    ]
    rows = judged(history, "score", [1e-3, 1e-2, 1e-1, 1.0])
    assert [row["best"] for row in rows] == [False, True, False, False]
    assert [row["loss"] for row in rows] == [0.9, 0.4, None, 8.0]
    assert [row["score"] for row in rows] == [0.8, 0.3, None, 0.1]
    assert not any(row["best"] for row in judged([], "score", [1.0]))


@dataclass(frozen=True)
class Config(ToyConfig):
    """The toy with a learning rate."""

    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig("adam", 0.3))


def step(cfg, state, batch, key, clock):
    """Momentum as in the toy, with the rate of the configuration."""
    loss, grad = toy.gradient(cfg, state["w"], batch, key)
    v = 0.9 * state["v"] + grad
    return {"w": state["w"] - cfg.optimizer.learning_rate * v, "v": v}, {"loss": loss}


RATED = replace(toy.TOY, Config=Config, train_step=step)


def test_command(tmp_path, monkeypatch, capsys):
    """A line is fitted: a small rate hardly begins, a large one diverges, one between is best."""

    def configured(config, overrides):
        settings = {}
        override(settings, list(overrides))
        return RATED, build(Config, settings)

    monkeypatch.setattr("hepjax.run.configured", configured)
    command = ["rates", "toy", "--range", "1e-3:1e3", "--rates", "3", "--steps", "12", "--quiet"]
    assert main([*command, "--out", str(tmp_path / "a"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["best"] == 1.0
    slow, good, fast = report["rates"]
    assert slow["score"] > 1.5 * good["score"]
    assert fast["score"] is None or fast["score"] > slow["score"]
    assert main([*command, "--out", str(tmp_path / "a")]) == 0  # resumed: nothing to do
    assert "after 12 updates: optimizer.learning_rate=1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["--range", "1:0.1"], ["--range", "0:1"], ["--rates", "1"], ["--steps", "0"]]
)
def test_bad_input(tmp_path, capsys, words):
    assert main(["rates", "gan3d/demo", "--out", str(tmp_path / "x"), *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "x").exists()
