"""A run directory: when it has begun, where its data are, what the same data is, who wrote it."""

import dataclasses
import errno
import fcntl
import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from helpers import lines, toy

import hepjax
from hepjax import InputError, TrainingError
from hepjax.engine import records, rundir
from hepjax.engine.checkpoint import complete_steps
from hepjax.engine.settings import build
from hepjax.workloads import table

CONFIGS = Path(__file__).parent / "older"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A working directory with events in it, and the workload that reads them."""
    toy.in_the_table(monkeypatch, "lines = helpers.lines:LINES")
    monkeypatch.chdir(tmp_path)
    lines.write(tmp_path / "events")
    return tmp_path


def train(run="run", files=("events",), **settings):
    return hepjax.train({"workload": "lines", "data": {"files": [*files]}}, run, **settings)


def stored(run="run"):
    return yaml.safe_load(Path(run, "config.yaml").read_text())


def steps(run="run"):
    return complete_steps(Path(run, "checkpoints"))


# When a run has begun.


@pytest.mark.parametrize(
    "mistake",
    [
        {"files": ["evetns"]},
        {"train.batch_size": 512},
        {"train.epochs": 3, "noise": 0.5, "train.steps": 0, "train.batch_size": 500},
    ],
)
def test_a_first_mistake_is_corrected_in_the_same_directory(mistake):
    with pytest.raises(InputError):
        train(**mistake)
    assert not Path("run").exists()  # nothing half-written
    assert train().step == 6


def test_a_mistake_takes_away_nothing_that_was_there():
    Path("run").mkdir()
    with pytest.raises(InputError):
        train(files=["evetns"])
    assert Path("run").is_dir()
    train(**{"train.epochs": 1})
    before = sorted(p.name for p in Path("run").iterdir())
    with pytest.raises(InputError):
        train(files=["evetns"])
    assert sorted(p.name for p in Path("run").iterdir()) == before


def test_a_first_mistake_may_be_the_workload():
    with pytest.raises(InputError):
        hepjax.train({"workload": "gan3d", "data": {"files": ["none"]}}, "run")
    assert train().step == 6
    assert stored()["workload"] == "lines"


def test_a_training_that_failed_before_its_first_checkpoint_has_not_begun():
    with pytest.raises(TrainingError):
        train(**{"noise": 1e30, "train.record_every": 1})
    failed = records.read(Path("run/metrics.jsonl"))
    assert failed
    train(**{"train.record_every": 1})
    rows = records.read(Path("run/metrics.jsonl"))
    assert [r["step"] for r in rows if r["event"] == "train"] == [1, 2, 3, 4, 5, 6]


def test_once_something_is_trained_the_configuration_is_fixed():
    train()
    before = Path("run/config.yaml").read_bytes()
    with pytest.raises(InputError, match=r"^run: expected noise=0.01 as when the run began, found"):
        train(noise=0.5)
    with pytest.raises(InputError, match=r"^run: expected a run of toy, found one of lines"):
        hepjax.train({"workload": "toy"}, "run")
    assert Path("run/config.yaml").read_bytes() == before


def test_files_of_a_user_are_never_taken_for_a_run():
    Path("mine").mkdir()
    Path("mine/config.yaml").write_text("workload: lines\nnoise: 0.5\n")
    with pytest.raises(InputError, match="expected a run directory or none, found other files"):
        train("mine")
    assert Path("mine/config.yaml").read_text() == "workload: lines\nnoise: 0.5\n"
    Path("other").mkdir()
    Path("other/.config.yaml.node.77.tmp").touch()  # of a start that was killed
    assert train("other").step == 6


def test_a_name_that_is_not_there_names_the_nearest():
    Path("runs/first").mkdir(parents=True)
    said = "runs/frist: expected a run directory, found none of this name; did you mean runs/first"
    with pytest.raises(InputError, match=said):
        hepjax.load("runs/frist")
    with pytest.raises(InputError, match=r"runs/first: .* found no config.yaml in it$"):
        hepjax.load("runs/first")


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("file", "a file"),
        ("link", "a link to gone, which is not there"),
        ("below", "run to be a f"),
    ],
)
def test_what_is_no_folder_is_named(kind, found):
    run = Path("run/below" if kind == "below" else "run")
    Path("run").symlink_to("gone") if kind == "link" else Path("run").touch()
    with pytest.raises(InputError, match=f"^{run}: expected a writable folder, found: {found}"):
        train(run)
    with pytest.raises(InputError, match=f"^{run}: expected a run directory, found {found}"):
        hepjax.load(run)


def test_a_read_only_file_system_is_named(monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=r"^run: expected a writable folder, found: Read-only"):
        train()


@pytest.mark.parametrize("kind", ["a file", "no permission to write"])
def test_checkpoints_that_cannot_be_written_are_told_before_training(kind, monkeypatch):
    Path("run").mkdir()
    if kind == "a file":
        Path("run/checkpoints").touch()
    else:
        Path("run/checkpoints").mkdir()
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match=f"^run/checkpoints: expected .*, found: {kind}"):
        train()


@pytest.mark.parametrize("part", ["config.yaml", "checkpoints"])
def test_somebody_elses_run_is_not_called_empty(part, monkeypatch):
    train()

    def refuse(path, *_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(
        *((Path, "read_bytes") if part == "config.yaml" else (os, "listdir")), refuse
    )
    with pytest.raises(InputError, match=f"^run/{part}: expected .* found: Permission denied"):
        hepjax.load("run")


# File systems without locks.


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, 524])
def test_without_flock_a_warning_and_the_training(number, monkeypatch, capfd):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert train().step == 6
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("hepjax: warning: run: its file system has no locks (")


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EWOULDBLOCK, "another process is training in it; wait"),
        (errno.EIO, "found: Input/output error"),
    ],
)
def test_only_a_lock_that_is_held_means_another_process(number, message, monkeypatch):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InputError, match=f"^run: .*{message}"):
        train()


# Data that have other names.


def test_a_run_keeps_absolute_paths(here, monkeypatch):
    train()
    assert stored()["data"]["files"] == [str(here / "events")]
    monkeypatch.chdir("/")
    assert hepjax.load(here / "run").evaluate([], here / "report")["n"] == 12


@pytest.mark.parametrize("spelling", ["./events", "run/../events", "$PWD/events", "event*"])
def test_another_spelling_resumes(here, spelling, monkeypatch):
    monkeypatch.setenv("PWD", str(here))
    train()
    assert train(files=[spelling], **{"train.epochs": 2}).step == 12


def test_the_same_events_elsewhere_resume_and_are_remembered(here):
    train()
    Path("events").rename("moved")
    assert train(files=["moved"], **{"train.epochs": 2}).step == 12
    assert stored()["data"]["files"] == [str(here / "moved")]
    Path("moved").rename("events")  # and back
    assert hepjax.load("run").evaluate([], here / "report")["n"] == 12


def test_run_and_data_may_move_together(here):
    train("project/run", ["events"])
    Path("new").mkdir()
    shutil.move("project", "new/project")
    shutil.move("events", "new/events")
    assert hepjax.load("new/project/run").evaluate([], here / "report")["n"] == 12
    assert train("new/project/run", ["new/events"], **{"train.epochs": 2}).step == 12


@pytest.mark.parametrize(
    ("events", "seed", "found"),
    [(65, 7, "expected the 52 training events .* found 53"), (64, 8, "found as many others")],
)
@pytest.mark.parametrize("name", ["events", "others"])
def test_other_events_are_refused_by_name(here, events, seed, found, name):
    train()
    before = Path("run/config.yaml").read_bytes()
    shutil.rmtree(name, ignore_errors=True)
    lines.write(here / name, events, seed)
    with pytest.raises(InputError, match=f"^data.files: .*{found}.*or another --run"):
        train(files=[name], **{"train.epochs": 2})
    assert Path("run/config.yaml").read_bytes() == before
    assert steps() == [6]
    if name == "events":
        with pytest.raises(InputError, match=r"found .*; give the events with --data"):
            hepjax.load("run").evaluate([], here / "report")


def test_data_that_are_gone_are_named_with_the_way_out(here):
    train()
    shutil.rmtree("events")
    with pytest.raises(InputError, match=r"^run: expected its data.files at .*give the events"):
        hepjax.load("run").evaluate([], here / "report")
    again = lines.write(here / "again")
    assert hepjax.load("run").evaluate([again], here / "report")["n"] == 64


# Runs of other versions.


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        ("gan3d", {"beta2": 0.9, "decay": 1.0, "name": "rmsprop"}),
        ("tagger", {"decay": 0.5, "decay_first": 10.0, "decay_every": 10.0}),
        ("mlpf", {"decay": 0.99, "decay_every": 10000.0, "decay_unit": "updates",
                  "reference_batch": 0.0, "name": "adam"}),
    ],
)  # fmt: skip
def test_a_run_of_before_27_november_opens_under_the_present_names(here, workload, expected):
    run = here / "project" / "old"
    run.mkdir(parents=True)
    shutil.copy(CONFIGS / f"{workload}.yaml", run / "config.yaml")
    settings = rundir.read_settings(run)
    config = table.get(workload).Config
    cfg = rundir.configuration(run, config, settings)
    optimizer = dataclasses.asdict(cfg.optimizer)
    assert {key: optimizer[key] for key in expected} == expected
    name = {"gan3d": "data", "tagger": "jets", "mlpf": "events"}[workload]
    (run.parent / name).mkdir()
    found = rundir.configuration(run, config, settings)
    assert found.data.files == (str(run.parent / name),)


def test_settings_of_before_are_translated_by_what_they_did():
    from hepjax.engine.older import translated

    def optimizer(workload, **old):
        return translated({"workload": workload, "optimizer": old})["optimizer"]

    assert optimizer("mlpf", decay_rate=0.9, decay_steps=7, per_event=True) == {
        "decay": 0.9, "decay_every": 7, "decay_unit": "updates", "reference_batch": 1,
    }  # fmt: skip
    halved = optimizer("tagger", learning_rate=1.0, first_halving=0, halve_every=5)
    assert (halved["learning_rate"], halved["decay_every"]) == (0.5, 5)
    present = {"decay": 0.5, "beta2": 0.9}
    assert optimizer("gan3d", **present) == present
    assert optimizer("lines", decay_rate=1) == {"decay_rate": 1}


def test_a_user_who_gives_an_old_name_is_told_the_new_one():
    config = table.get("mlpf").Config
    with pytest.raises(
        InputError, match=r"per_event: expected a known .*; it is .*reference_batch=1"
    ):
        build(config, {"optimizer": {"per_event": True}})


def without(run: str, *keys: str) -> None:
    """Take settings out of a run, as if its version had not had them."""
    settings = stored(run)
    for key in keys:
        *groups, leaf = key.split(".")
        group = settings
        for name in groups:
            group = group[name]
        del group[leaf]
    Path(run, "config.yaml").write_text(yaml.safe_dump(settings))


def test_settings_that_did_not_exist_then_are_their_defaults(here):
    train()
    without("run", "noise", "train.warm_schedule")
    assert hepjax.load("run").cfg.noise == 0.01
    with pytest.raises(InputError, match=r"expected noise=0.01 as when the run began, found 0.5"):
        train(noise=0.5)
    assert train(**{"train.epochs": 2}).step == 12


def test_a_run_of_another_version_says_which(here):
    train()
    about = json.loads(Path("run/hepjax.json").read_text())
    assert about["hepjax"] == hepjax.__version__
    assert Path("run/config.yaml").read_text().startswith(f"# hepjax {hepjax.__version__}\n")
    Path("run/hepjax.json").write_text(json.dumps(about | {"hepjax": "0.9", "revision": "abc"}))
    Path("run/config.yaml").write_text(yaml.safe_dump(stored() | {"newer": 1}))
    for open_it in (lambda: hepjax.load("run"), lambda: train(**{"train.epochs": 2})):
        with pytest.raises(
            InputError, match=r"newer: expected a known .*; hepjax 0\.9 \(abc\) wrote this"
        ):
            open_it()


def test_readers_of_another_version_may_give_the_same_events_otherwise(here, monkeypatch):
    train()
    monkeypatch.setattr(hepjax, "__version__", "0.2.0")
    shutil.rmtree("events")
    lines.write(here / "events", seed=8)
    assert train(**{"train.epochs": 2}).step == 12
