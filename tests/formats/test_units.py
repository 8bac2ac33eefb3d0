"""Units that files state: every way that h5py writes a text counts, and none is ignored."""

import contextlib
import signal

import h5py
import numpy as np
import pytest
from helpers.shower_files import showers, write_hdf5

from hepjax import InputError
from hepjax.cli import main
from hepjax.formats.hdf5_text import text_attribute
from hepjax.formats.showers import calochallenge
from hepjax.formats.showers.reader import open_showers
from hepjax.physics.calorimeter.inspect import inspect

MADE = showers(20)
TARGET = np.stack([MADE["energy"], MADE["energy"]], axis=1)
WRITINGS = {
    "variable length": lambda text: text,
    "bytes": lambda text: text.encode(),
    "fixed length": lambda text: np.bytes_(text),
    "variable-length bytes": lambda text: np.array(text.encode(), h5py.string_dtype("ascii")),
    "fixed UTF-8": lambda text: np.array(text.encode(), h5py.string_dtype("utf-8", 12)),
    "array of one": lambda text: np.array([text], h5py.string_dtype()),
    "array of one, fixed": lambda text: np.array([text.encode()]),
    "with blanks": lambda text: f" {text}\n",
    "in another case": lambda text: text.lower(),
}


def with_unit(path, scale, unit, key="unit", of="ECAL", **datasets):
    path = write_hdf5(path, **({"ECAL": MADE["ecal"] * scale, "target": TARGET} | datasets))
    with h5py.File(path, "a") as file:
        file[of].attrs[key] = unit
    return path


def cells(path, **options):
    return open_showers(path, **options)[np.arange(20)]["ecal"]


@pytest.mark.parametrize("written", WRITINGS.values(), ids=WRITINGS)
@pytest.mark.parametrize(("unit", "scale"), [("MeV", 1e3), ("0.02 GeV", 50), ("GeV", 1)])
def test_the_unit_counts_however_it_is_written(tmp_path, written, unit, scale):
    path = with_unit(tmp_path / "a.h5", scale, written(unit))
    np.testing.assert_allclose(cells(path), MADE["ecal"], rtol=1e-6)


@pytest.mark.parametrize(
    ("unit", "scale"), [("keV", 1e6), ("eV", 1e9), ("TeV", 1e-3), ("GeV x 50", 50)]
)
@pytest.mark.parametrize("key", ["unit", "units", "Units", "UNIT"])
def test_units_of_energy_are_converted(tmp_path, unit, scale, key):
    path = with_unit(tmp_path / "a.h5", scale, unit, key)
    np.testing.assert_allclose(cells(path), MADE["ecal"], rtol=1e-6)


@pytest.mark.parametrize("unit", ["furlong", "MeV/c2", 1000, np.array(["MeV", "mm"], object)])
def test_an_unknown_unit_is_refused_by_name(tmp_path, unit):
    path = with_unit(tmp_path / "a.h5", 1, unit)
    with pytest.raises(
        InputError, match=r"a\.h5: expected GeV, .* 'unit' .* 'ECAL', found '.*--unit"
    ):
        open_showers(path)
    np.testing.assert_array_equal(cells(path, unit="GeV"), MADE["ecal"])


def test_units_of_energies_and_angles_count_too(tmp_path):
    theta = MADE["theta"].astype("f8")
    columns = {"energy": 1e3 * MADE["energy"], "theta": np.degrees(theta)}
    path = with_unit(tmp_path / "a.h5", 1, "MeV", of="energy", **columns)
    with h5py.File(path, "a") as file:
        del file["target"]
        file["theta"].attrs["units"] = "degrees"
    read = open_showers(path)[np.arange(20)]
    np.testing.assert_allclose(read["energy"], MADE["energy"], rtol=1e-6)
    np.testing.assert_allclose(read["theta"], theta, rtol=1e-6)
    with h5py.File(path, "a") as file:
        file["theta"].attrs["units"] = "gon"
    with pytest.raises(InputError, match=r"expected rad, deg as 'units' .* 'theta', found 'gon'"):
        open_showers(path)


def test_voxels_of_the_challenge_in_gev(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", incident_energies=np.ones((3, 1)), showers=np.ones((3, 9)))
    assert calochallenge.describe(path).read_cells(0, 3).max() == np.float32(1e-3)
    with h5py.File(path, "a") as file:
        file["showers"].attrs["unit"] = "GeV"
    assert calochallenge.describe(path).read_cells(0, 3).max() == 1


def test_inspect_and_pack_have_the_option_that_the_error_names(tmp_path, capsys):
    path = write_hdf5(tmp_path / "a.h5", ECAL=1e3 * MADE["ecal"], target=TARGET)
    with pytest.raises(InputError, match="--unit"):
        inspect(path)
    report = inspect(path, unit="MeV")
    assert report["sampling_fraction"][0]["mean"] == pytest.approx(0.02, rel=1e-5)
    for verb in ("inspect", "pack"):
        options = ["--out", str(tmp_path / "set")] if verb == "pack" else []
        given = [verb, str(path), *options, "--quiet", "--unit"]
        assert main([*given, "furlong"]) == 2
        assert "--unit: expected one of GeV," in capsys.readouterr().err
        assert main([*given, "mev"]) == 0
    np.testing.assert_allclose(
        open_showers(tmp_path / "set")[np.arange(20)]["ecal"], MADE["ecal"], rtol=1e-6
    )


def test_damaged_texts_of_variable_length_do_not_hang(tmp_path):
    """HDF5 loops for ever in a damaged heap; an alarm would end the test."""
    whole = with_unit(tmp_path / "a.h5", 1e3, "MeV").read_bytes()
    heap = whole.index(b"GCOL")
    path = tmp_path / "b.h5"
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(60)
    try:
        for byte in range(heap, heap + 64):
            for bit in range(8):
                damaged = bytearray(whole)
                damaged[byte] ^= 1 << bit
                path.write_bytes(damaged)
                with contextlib.suppress(OSError, ValueError), h5py.File(path) as file:
                    text_attribute(file["ECAL"], "unit")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_generated_files_of_3dgan_are_read(tmp_path):
    """Datasets of svalleco/3Dgan, analysis/utils/GANutils.py."""
    fixed = write_hdf5(tmp_path / "a.h5", ECAL=MADE["ecal"][..., None], Target=MADE["energy"])
    energy, theta = MADE["energy"][:, None], MADE["theta"]
    angle = write_hdf5(tmp_path / "b.h5", ECAL=50 * MADE["ecal"], Target=energy, Angle=theta)
    fields_of = {fixed: {"ecal", "energy"}, angle: {"ecal", "energy", "theta", "mtheta"}}
    for path, fields in fields_of.items():
        read = open_showers(path)[np.arange(20)]
        assert set(read) == fields
        np.testing.assert_allclose(read["ecal"], MADE["ecal"], rtol=1e-6)
        np.testing.assert_array_equal(read["energy"], MADE["energy"])
    np.testing.assert_array_equal(read["theta"], MADE["theta"])
    assert inspect(angle)["files"][0]["energy_key"] == "Target"


@pytest.mark.parametrize("name", ["eta", "Eta", "Theta", "angle"])
def test_another_name_of_theta_is_noted(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hepjax.formats.notes._said", set())
    other = {name: MADE["theta"] - 1}
    path = write_hdf5(tmp_path / "a.h5", ECAL=MADE["ecal"], target=TARGET, **other)
    assert set(open_showers(path)[np.arange(20)]) == {"ecal", "energy"}
    assert f"'{name}' and no 'theta'" in capsys.readouterr().err
