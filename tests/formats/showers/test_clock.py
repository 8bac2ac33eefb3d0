"""The clock of a full simulation, from its files."""

import numpy as np
import pytest
from helpers.shower_files import showers

from hepjax.formats.showers.clock import clock_of, processor_name
from hepjax.formats.showers.writer import write_showers

NOTES = {"engine": "Geant4 11.4.1, geant4-pybind 0.1.3", "processor": "a processor"}


def written(folder, seconds=0.01, notes=NOTES):
    made = showers(20)
    made |= {"cpu_seconds": seconds * made["energy"]} if seconds else {}
    write_showers(folder, [made], layout="fixed", events_per_file=7, notes=notes)
    return made


def test_time_per_gev_and_how_many_times_faster(tmp_path):
    made = written(tmp_path)
    clock = clock_of(tmp_path)
    np.testing.assert_allclose(clock.energy, made["energy"])
    assert clock.seconds_per_gev == pytest.approx(0.01, rel=1e-5)
    # 100 showers of 50 GeV would take 50 s.
    assert clock.speed_up(np.full(100, 50.0), 0.5) == pytest.approx(100, rel=1e-5)
    said = clock.sentence(np.full(100, 50.0), 0.5, "a processor")
    assert said == "100 times less processor time than Geant4 11.4.1 (10 ms per GeV on a processor)"
    assert "another processor than b)" in clock.sentence(np.full(1, 50.0), 0.5, "b")


def test_files_without_a_clock_or_of_two_machines_have_none(tmp_path):
    written(tmp_path / "model", seconds=None)
    assert clock_of(tmp_path / "model") is None
    written(tmp_path / "one")
    written(tmp_path / "two", notes=NOTES | {"processor": "another"})
    assert clock_of([tmp_path / "one", tmp_path / "two"]) is None


def test_this_machine_has_a_processor():
    assert processor_name()
