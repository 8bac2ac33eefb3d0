"""``hepjax clean``: only what hepjax left is named, and nothing goes without --yes."""

import json
import os

import pytest
from helpers.toy import TOY, ToyConfig

from hepjax.cli import main
from hepjax.engine import rundir
from hepjax.engine.checkpoint import best_first, complete_steps
from hepjax.engine.config import TrainConfig
from hepjax.engine.train import train

NODE = os.uname().nodename
DEAD = 2**22 + 1
"""More than the numbers of processes of Linux."""


@pytest.fixture
def run(tmp_path):
    """A finished run of four epochs, and rests of killed commands around it."""
    run = tmp_path / "runs/a"
    run.mkdir(parents=True)
    cfg = ToyConfig(train=TrainConfig(batch_size=8, epochs=4))
    train(TOY, cfg, run, quiet=True)
    rundir.save_settings(run, rundir.stored_settings("tagger", cfg))
    (run / "checkpoints/step_99").mkdir()
    (run / "checkpoints/step_98.orbax-checkpoint-tmp-1").mkdir()
    (tmp_path / "runs" / f".scores.json.{NODE}.{DEAD}.tmp").write_bytes(b"12345")
    (tmp_path / "runs" / f".set.{NODE}.{DEAD}.tmp/inside").mkdir(parents=True)
    for mine in (
        f".alive.{NODE}.{os.getpid()}.tmp",
        f".far.elsewhere.{DEAD}.tmp",
        ".my.tmp",
        "a.tmp",
    ):
        (tmp_path / "runs" / mine).touch()
    return run


def test_listed_then_removed(run, tmp_path, capsys):
    folder = run.parent
    before = sorted(folder.rglob("*"))
    assert main(["clean", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "4 things" in said
    assert "--yes removes it" in said
    assert sorted(folder.rglob("*")) == before
    steps = complete_steps(run / "checkpoints")
    kept = {steps[-1], best_first(run / "checkpoints")[0]}
    assert main(["clean", str(folder), "--checkpoints", "--yes", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["found"]) == 4 + len(steps) - len(kept)
    assert set(complete_steps(run / "checkpoints")) == kept
    assert {p.name for p in folder.iterdir()} == {
        "a", f".alive.{NODE}.{os.getpid()}.tmp", f".far.elsewhere.{DEAD}.tmp", ".my.tmp", "a.tmp",
    }  # fmt: skip
    assert main(["clean", str(folder), "--yes"]) == 0
    assert "nothing to clean" in capsys.readouterr().out


def test_a_run_in_use_is_left_alone(run, capsys):
    with rundir.locked(run):
        assert main(["clean", str(run), "--checkpoints", "--yes"]) == 0
    assert "nothing to clean" in capsys.readouterr().out
    assert main(["clean", str(run.parent / "none")]) == 2
