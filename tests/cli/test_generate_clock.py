"""``hepjax generate`` says how much faster it is than the full simulation it was trained on."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers.shower_files import showers

from hepjax.cli.generate import _beside, _clock
from hepjax.formats.showers.clock import processor_name
from hepjax.formats.showers.writer import write_showers


def trained_on(folder):
    return SimpleNamespace(cfg=SimpleNamespace(data=SimpleNamespace(files=(str(folder),))))


def test_the_clock_of_the_training_files_is_used(tmp_path):
    made = showers(10)
    made |= {"cpu_seconds": 0.01 * made["energy"]}
    notes = {"engine": "Geant4 11.4.1, and more", "processor": processor_name()}
    write_showers(tmp_path / "a", [made], layout="fixed", events_per_file=10, notes=notes)
    clock = _clock(trained_on(tmp_path / "a"))
    said = _beside(clock, np.full(20, 50.0), 0.05, 0.04)  # 10 s of Geant4
    assert said["speed_up"] == pytest.approx(200, rel=1e-4)
    assert said["full_simulation"].startswith("200 times less processor time than Geant4 11.4.1 (")
    assert "another processor" not in said["full_simulation"]


def test_without_such_files_nothing_is_said(tmp_path):
    assert _clock(trained_on(tmp_path / "gone")) is None
    write_showers(tmp_path / "model", [showers(3)], layout="fixed", events_per_file=10)
    assert _clock(trained_on(tmp_path / "model")) is None
