"""``hepjax simulate jets`` and ``photons``: packed sets, found again, refused."""

import json
import os
import subprocess

import numpy as np
import pytest

from hepjax.cli import main
from hepjax.formats.packed.manifest import read_manifest
from hepjax.formats.packed.reader import open_packed

JETS = ["simulate", "jets", "--task", "top", "--toy", "--events", "40", "--quiet"]
PHOTONS = ["simulate", "photons", "--events", "10", "--quiet"]


def test_toy_jets_say_that_they_are_one(tmp_path, capsys):
    assert main([*JETS, "--out", str(tmp_path), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["toy"] is True
    assert said.err == "hepjax: these jets are from the built-in toy\n"
    assert read_manifest(tmp_path).made_from["generator"] == "built-in toy"


def test_a_packed_set_with_channels_labels_and_columns(tmp_path):
    assert main([*JETS, "--out", str(tmp_path), "--resolution", "3"]) == 0
    packed = open_packed([tmp_path])
    assert len(packed) == 40
    assert packed.labels == {0: "qcd", 1: "top"}
    assert packed.grid.shape == (375, 375)
    assert packed.grid.names == ("pT", "d0", "dz", "ECAL", "HCAL", "BPIX1", "BPIX2", "BPIX3")
    assert {"label", "pt", "mass", "eta", "phi", "event", "n_tracks"} <= set(packed.columns)
    assert np.bincount(packed.column("label")).tolist() == [20, 20]


@pytest.mark.parametrize("command", [JETS, PHOTONS])
def test_the_same_command_again_finds_its_images(command, tmp_path, capsys):
    assert main([*command, "--out", str(tmp_path)]) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert "already" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert main([*command, "--out", str(tmp_path), "--seed", "1"]) == 2
    assert "found another packed set" in capsys.readouterr().err
    next(tmp_path.glob("*.parquet")).unlink()
    assert main([*command, "--out", str(tmp_path)]) == 2
    assert "files are missing" in capsys.readouterr().err


def test_photons_hold_both_classes(tmp_path):
    assert main([*PHOTONS, "--out", str(tmp_path), "--energy", "20:30"]) == 0
    packed = open_packed([tmp_path])
    assert packed.labels == {0: "photon", 1: "electron"}
    energy = packed.column("energy")
    assert energy.min() >= 20
    assert energy.max() <= 30


@pytest.mark.parametrize(
    "wrong",
    [
        ["jets", "--task", "top", "--events", "0"],
        ["jets", "--task", "top", "--events", "5", "--seed", "-1"],
        ["photons", "--events", "5", "--energy", "0.1:60"],
    ],
)
def test_impossible_requests_are_refused_before_anything_is_written(wrong, tmp_path, capsys):
    assert main(["simulate", *wrong, "--out", str(tmp_path / "new")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_an_interrupted_simulation_leaves_nothing(tmp_path, monkeypatch):
    from hepjax.simulate.photons import photons

    pieces = photons.simulate_photons

    def stops(*args):
        yield next(pieces(*args))
        raise KeyboardInterrupt

    monkeypatch.setattr(photons, "simulate_photons", stops)
    assert main([*PHOTONS, "--out", str(tmp_path / "new")]) == 130
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_command_left_is_no_obstacle(tmp_path):
    killed = subprocess.Popen(["true"])
    killed.wait()
    left = tmp_path / f".new.{os.uname().nodename}.{killed.pid}.tmp"
    left.mkdir()
    (left / "shard-00000.parquet").write_bytes(b"PAR1")
    assert main([*JETS, "--out", str(tmp_path / "new")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_folder_with_other_files_is_refused(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main([*JETS, "--out", str(tmp_path)]) == 2
    assert "a new or an empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
