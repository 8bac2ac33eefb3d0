"""Which tables Geant4 gets: the user's, if they are whole, else those from formulas."""

import pytest

from hepjax import InputError
from hepjax.formats.showers.calorimeters import calorimeter
from hepjax.simulate.showers.geant4.data import FILES, about, elements, in_compounds, installed

LEAD = calorimeter("lead-scintillator")


def emlow(folder, needed):
    for z in needed:
        for name in FILES:
            path = folder / name.format(z=z)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
    return folder


def test_elements_of_a_calorimeter_and_the_air_around_it():
    assert elements(LEAD) == [1, 6, 7, 8, 18, 82]
    assert in_compounds(LEAD) == [1, 6]
    assert elements(calorimeter("par04")) == [6, 7, 8, 14, 18, 74]
    assert in_compounds(calorimeter("clic-25")) == []


def test_tables_are_looked_for_where_they_may_be(tmp_path):
    needed = elements(LEAD)
    assert installed({}, tmp_path, needed) is None
    home = emlow(tmp_path / ".geant4_pybind" / "G4EMLOW8.8", needed)
    assert installed({}, tmp_path, needed) == home
    assert installed({}, tmp_path, [*needed, 92]) is None
    data = emlow(tmp_path / "data" / "G4EMLOW8.9", needed)
    assert installed({"GEANT4_DATA_DIR": str(tmp_path / "data")}, tmp_path / "x", needed) == data
    named = emlow(tmp_path / "mine", needed)
    assert installed({"G4LEDATA": str(named)}, tmp_path, needed) == named
    assert about(named) == "mine"
    assert about(None) == "built-in formulas (not G4EMLOW)"


@pytest.mark.parametrize("folder", ["absent", "part"])
def test_a_named_folder_that_lacks_files_is_one_line(tmp_path, folder):
    if folder == "part":
        emlow(tmp_path / "part", [1, 6, 7, 8, 18])
    with pytest.raises(InputError, match=r"^G4LEDATA: expected 30 files .*unset G4LEDATA") as said:
        installed({"G4LEDATA": str(tmp_path / folder)}, tmp_path, elements(LEAD))
    assert ("brem_SB/br82" if folder == "part" else "brem_SB/br1") in str(said.value)
