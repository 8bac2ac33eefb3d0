"""``hepjax simulate events``: layouts, the toy's name, bytes, refusals."""

import json
import sys

import numpy as np
import pytest

from hepjax.cli import main
from hepjax.formats.particleflow.reader import describe, list_event_files


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    """Pile-up from a few collisions: these tests are not about physics."""
    from hepjax.simulate.collisions import events

    monkeypatch.setattr(events.simulate_events, "__kwdefaults__", {"toy": False, "pool_events": 5})


def simulate(out, *more):
    command = ["simulate", "events", "--events", "3", "--pileup", "2", "--quiet"]
    return main([*command, "--out", str(out), *more])


def test_both_layouts_hold_the_same_events(tmp_path, capsys):
    assert simulate(tmp_path / "a", "--toy", "--format", "both", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    pickle, tfds = report["files"]
    assert pickle.endswith("tev14_toy_ttbar_0_0.pkl.bz2")
    assert tfds.endswith("toy_ttbar_pf/1.2.0")
    assert report["toy"] is True
    assert "toy" in report["generator"]
    assert report["elements_per_event"] > 50
    assert report["unassociated_per_event"] > 50
    import tensorflow_datasets

    source = tensorflow_datasets.builder_from_directory(tfds).as_data_source()["train"]
    assert len(source) == 3
    assert json.loads((tmp_path / "a" / "simulation.json").read_text())["pileup"] == 2


def test_jets_are_numbered_where_fastjet_is_there(tmp_path):
    pytest.importorskip("fastjet")
    import tensorflow_datasets

    assert simulate(tmp_path / "a", "--toy") == 0
    folder = tmp_path / "a" / "toy_ttbar_pf" / "1.2.0"
    source = tensorflow_datasets.builder_from_directory(folder).as_data_source()["train"]
    event = source[0]
    number = event["ygen"][:, 7]
    assert number.max() >= 2
    assert not number[event["ygen"][:, 0] == 0].any()
    # The particles of each jet add up to more than 5 GeV.
    for jet in np.unique(number[number > 0]):
        pt, sin, cos = event["ygen"][number == jet][:, [2, 4, 5]].T
        assert np.hypot((pt * sin).sum(), (pt * cos).sum()) > 4.99


def test_standard_output_is_one_json_object_for_a_program_too(tmp_path):
    import subprocess

    command = ["simulate", "events", "--events", "1", "--pileup", "0", "--toy", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "hepjax", *command, "--out", str(tmp_path / "a")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["events"] == 1


def test_without_pythia_it_is_the_toy_and_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    assert simulate(tmp_path / "a") == 0
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "toy" in captured.err
    assert "pip install 'hepjax[hep]'" in captured.err
    assert "toy events" in captured.out
    assert (tmp_path / "a" / "toy_ttbar_pf").is_dir()


def test_without_fastjet_jets_are_zero_and_the_settings_say_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastjet", None)
    assert simulate(tmp_path / "a", "--toy") == 0
    settings = json.loads((tmp_path / "a" / "simulation.json").read_text())
    assert settings["jet_numbers"] == "none, fastjet is missing"


def test_pythia_writes_under_the_published_names(tmp_path, capsys):
    pytest.importorskip("pythia8mc")
    pytest.importorskip("awkward")
    options = ["--format", "pkl", "--process", "qcd", "--seed", "10", "--pileup", "0"]
    assert simulate(tmp_path / "a", *options) == 0
    assert [f.name for f in (tmp_path / "a").glob("*.bz2")] == ["tev14_pythia8_qcd_10_0.pkl.bz2"]
    (file,) = list_event_files(tmp_path / "a")
    assert len(describe(file).read(0, 3)) == 3


def test_the_same_command_again_finds_its_events(tmp_path, capsys):
    simulate(tmp_path / "a", "--toy", "--format", "both")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*")}
    capsys.readouterr()
    assert simulate(tmp_path / "a", "--toy", "--format", "both", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert [f.rsplit("/", 1)[-1] for f in report["files"]] == [
        "tev14_toy_ttbar_0_0.pkl.bz2", "1.2.0",
    ]  # fmt: skip
    assert report["seconds"] is None
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*")}
    assert simulate(tmp_path / "a", "--toy", "--seed", "1") == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "wrong", [["--events", "0"], ["--seed", "-1"], ["--pileup", "-1"], ["--pileup", "nan"]]
)
def test_wrong_input_is_one_line_and_exit_code_2(wrong, tmp_path, capsys):
    assert simulate(tmp_path / "a", "--toy", *wrong) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"hepjax: error: {wrong[0]}: expected")
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("words", [["simulate"], ["simulate", "higgs"]])
def test_what_to_simulate_must_be_said(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert "THING" in capsys.readouterr().err
