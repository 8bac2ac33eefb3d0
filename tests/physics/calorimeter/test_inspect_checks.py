"""The text of a report says of a check only what the JSON counts; what comparisons need."""

import numpy as np
import pytest
from helpers.shower_files import showers, write_fixed, write_hdf5

from hepjax import InputError
from hepjax.physics.calorimeter.inspect import inspect, text
from hepjax.physics.calorimeter.report import report

MADE = showers(20)


def calochallenge(path, **cells):
    voxels = np.ones((20, 9))
    for event, value in cells.items():
        voxels[int(event[1:])] = value
    return write_hdf5(path, incident_energies=np.full((20, 1), 1e4), showers=voxels)


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        ({"e3": 0, "e5": 0}, "2 events are empty"),
        ({"e3": np.nan}, "9 cells are not finite and 0 are negative, first in event 3"),
        ({"e4": -1}, "0 cells are not finite and 9 are negative, first in event 4"),
    ],
)
def test_calochallenge_text_follows_its_counts(tmp_path, cells, note):
    found = inspect(calochallenge(tmp_path / "a.h5", **cells))
    lines = "\n".join(text(found))
    assert note in lines
    assert "no empty showers" not in lines
    assert any(note in problem for problem in found["problems"])
    sound = inspect(calochallenge(tmp_path / "b.h5"))
    assert sound["problems"] == []
    assert "no NaN, no negative cells, no empty showers" in "\n".join(text(sound))


def test_clic_text_follows_its_counts(tmp_path):
    empty = MADE | {"ecal": MADE["ecal"] * (np.arange(20) > 2)[:, None, None, None]}
    lines = "\n".join(text(inspect(write_fixed(tmp_path / "a.h5", empty))))
    assert "3 events are empty; min_sum removes them" in lines
    assert "no empty showers" not in lines


def test_a_reference_of_one_shower_is_one_line():
    pair = {"ecal": MADE["ecal"], "energy": MADE["energy"]}
    one = {field: values[:1] for field, values in pair.items()}
    with pytest.raises(InputError, match=r"reference: expected at least 2 showers.* found 1"):
        report(one, pair, labels=("reference", "generated"))


def test_a_reference_of_one_energy_is_compared():
    """Generated files of svalleco/3Dgan hold one energy each."""
    energy = np.full(20, 50.0, np.float32)
    pair = {"ecal": MADE["ecal"] * (50 / MADE["energy"])[:, None, None, None], "energy": energy}
    made = report(pair, pair, labels=("reference", "generated"))
    assert made.scores["energy_range"] == [50.0, 51.0]
    other = pair | {"energy": energy + 100}
    with pytest.raises(InputError, match=r"generated: expected showers between 50 and 51 GeV"):
        report(pair, other, labels=("reference", "generated"))
