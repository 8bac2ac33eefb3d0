"""CaloChallenge files and boxes of other calorimeters: written, read back, packed, refused."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from helpers.shower_files import write_hdf5

from hepjax import InputError
from hepjax.formats.packed.pack import pack
from hepjax.formats.showers.calorimeters import calorimeter, read_yaml
from hepjax.formats.showers.images import shower_files
from hepjax.formats.showers.layout import COLUMN_UNITS, layout_of
from hepjax.formats.showers.reader import open_showers
from hepjax.formats.showers.writer import write_showers

TINY = """
name: tiny
energy: [1, 100]
threshold: 1.0e-3
layers:
  - {slabs: [{lead: 10}, {silicon: 1, active: true}], sectors: 2, rings: [0, 5, 10]}
  - {slabs: [{lead: 10}, {silicon: 1, active: true}], sectors: 1, rings: [0, 7]}
"""
PHOTONS = calorimeter("atlas-photons")
PAR04 = calorimeter("par04")


def made(of, n=20, share=0.7, seed=0):
    """Showers whose cells sum to ``share`` of the energy, half of them empty."""
    rng = np.random.default_rng(seed)
    energy = np.exp(rng.uniform(*np.log([max(1, of.energy[0]), 100]), n)).astype(np.float32)
    cells = rng.exponential(size=(n, of.voxels)) * (rng.random((n, of.voxels)) < 0.5)
    cells[:, 0] += 1.0
    cells *= (share * energy / cells.sum(1))[:, None]
    return {"ecal": cells.reshape(n, *of.shape).astype(np.float32), "energy": energy}


def written(folder, of, batch, **options):
    return write_showers(
        folder, [batch], layout=layout_of(of), events_per_file=8, calorimeter=of, **options
    )


def raw(path, of, **changes):
    """A file of the challenge as others write it, in MeV."""
    batch = made(of)
    datasets = {"incident_energies": 1e3 * batch["energy"][:, None], "showers": 1e3 * batch["ecal"]}
    return write_hdf5(path, **(datasets | changes))


@pytest.mark.parametrize("of", [PHOTONS, PAR04, read_yaml(TINY, "tiny")], ids=lambda of: of.name)
def test_what_is_written_is_read_in_gev_above_the_threshold(tmp_path, of):
    batch = made(of)
    files = written(tmp_path, of, batch)
    assert [path.name for path in files] == [f"{of.name}_Ele_1_{i:03d}.h5" for i in (1, 2, 3)]
    with h5py.File(files[0]) as file:
        assert file["showers"].shape == (8, of.voxels)
        assert file["showers"].compression == "gzip"
        assert file["incident_energies"].shape == (8, 1)
        np.testing.assert_allclose(file["incident_energies"][:, 0], 1e3 * batch["energy"][:8])
    source = open_showers(tmp_path)
    assert source.calorimeter == of
    assert source.grid == of.shape
    read = source[np.arange(20)]
    assert sorted(read) == ["ecal", "energy"]
    np.testing.assert_allclose(read["energy"], batch["energy"], rtol=1e-6)
    kept = batch["ecal"] >= of.threshold
    np.testing.assert_allclose(read["ecal"][kept], batch["ecal"][kept], rtol=1e-6)
    assert np.count_nonzero(read["ecal"][~kept]) == 0


def test_a_packed_cylinder_is_the_same_and_knows_its_calorimeter(tmp_path):
    tiny = read_yaml(TINY, "tiny")
    written(tmp_path / "files", tiny, made(tiny))
    pack(shower_files(tmp_path / "files"), tmp_path / "packed", units=COLUMN_UNITS, workers=1)
    files, packed = open_showers(tmp_path / "files"), open_showers(tmp_path / "packed")
    assert packed.calorimeter == tiny
    assert packed.grid == files.grid
    for field, values in files[np.arange(20)].items():
        np.testing.assert_array_equal(packed[np.arange(20)][field], values)


def test_a_box_that_is_not_clic_says_what_it_is(tmp_path):
    box = calorimeter("lead-scintillator")
    written(tmp_path / "a", box, made(box, share=0.05))
    source = open_showers(tmp_path / "a")
    assert source.calorimeter == box
    pack(shower_files(tmp_path / "a"), tmp_path / "b", units=COLUMN_UNITS, workers=1)
    assert open_showers(tmp_path / "b").calorimeter == box
    # CLIC files stay as published, without the attribute.
    clic = calorimeter("clic-25")
    (path,) = written(tmp_path / "c", clic, made(clic, 4, share=0.02))
    with h5py.File(path) as file:
        assert "geometry" not in file.attrs
    assert open_showers(path).calorimeter == clic


def test_a_crop_leaves_fewer_cells_of_the_same_calorimeter(tmp_path):
    wide = calorimeter("clic-51")
    batch = made(wide, 4, share=0.02) | {"theta": np.linspace(1.2, 1.9, 4, dtype=np.float32)}
    (path,) = written(tmp_path, wide, batch)
    source = open_showers(path, crop=(13, 38))
    assert source.calorimeter == replace(wide, cells=(25, 25))
    with pytest.raises(InputError, match="expected no crop of 368 voxels"):
        open_showers(raw(tmp_path / "r.h5", PHOTONS), crop=(0, 4))


def test_other_voxels_need_a_description(tmp_path):
    tiny = read_yaml(TINY, "tiny")
    path = raw(tmp_path / "a.h5", tiny)
    with pytest.raises(InputError, match=r"found 5 voxels without one; say it: --geometry"):
        open_showers(path)
    assert open_showers(path, calorimeter=tiny)[np.arange(2)]["ecal"].shape == (2, 5)


@pytest.mark.parametrize(
    ("of", "changes", "said"),
    [
        (PHOTONS, {"calorimeter": PAR04}, "expected showers of 6480 voxels as par04 has, found 36"),
        (PAR04, {"share": 7e-4}, "which looks like GeV; say it: --unit"),
        (PAR04, {"share": 700.0}, "which looks like keV; say it: --unit"),
        (PAR04, {"share": 0.02}, "not divided by the sampling fraction 0.033 of par04"),
        (PAR04, {"share": 20.0}, "looks like another unit"),
    ],
)
def test_voxels_in_another_unit_or_of_another_binning_are_named(tmp_path, of, changes, said):
    given, share = changes.get("calorimeter"), changes.get("share", 0.7)
    path = raw(tmp_path / "a.h5", of, showers=1e3 * made(of, share=share)["ecal"])
    with pytest.raises(InputError, match=said) as caught:
        open_showers(path, calorimeter=given)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_energies_in_gev_are_named_and_a_stated_unit_is_believed(tmp_path):
    energy = made(PAR04)["energy"][:, None]
    path = raw(tmp_path / "a.h5", PAR04, incident_energies=energy, showers=made(PAR04)["ecal"])
    with pytest.raises(InputError, match=r"'incident_energies' in MeV.* looks like GeV"):
        open_showers(path)
    with h5py.File(path, "a") as file:
        for key in ("incident_energies", "showers"):
            file[key].attrs["unit"] = "GeV"
    np.testing.assert_allclose(open_showers(path).energy, energy[:, 0])


@pytest.mark.parametrize("value", [np.nan, -1.0, np.inf])
def test_bad_voxels_are_refused_with_their_event(tmp_path, value):
    cells = 1e3 * made(PHOTONS)["ecal"]
    cells[13, 7] = value
    path = raw(tmp_path / "a.h5", PHOTONS, showers=cells)
    with pytest.raises(InputError, match=r"expected finite, non-negative cells.* event 13"):
        open_showers(path)[np.arange(20)]


def test_files_of_different_calorimeters_do_not_go_together(tmp_path):
    box = calorimeter("lead-scintillator")
    other = replace(box, cell_mm=(5.0, 5.0))
    written(tmp_path / "a", box, made(box, 4, share=0.05))
    written(tmp_path / "b", other, made(box, 4, share=0.05))
    with pytest.raises(InputError, match="expected the calorimeter of"):
        open_showers([tmp_path / "a", tmp_path / "b"])


def test_showers_of_another_shape_are_not_written(tmp_path):
    with pytest.raises(InputError, match="expected showers of 368 voxels"):
        written(tmp_path / "a", PHOTONS, made(read_yaml(TINY, "tiny")))
    assert list((tmp_path / "a").iterdir()) == []


def test_truth_is_written_as_it_is(tmp_path):
    truth = {"leaked": np.full(4, 0.5), "impact": np.zeros((4, 2)), "cpu_seconds": np.ones(4)}
    clic = calorimeter("clic-25")
    (path,) = written(tmp_path, clic, made(clic, 4, share=0.02) | truth, notes={"engine": "Geant4"})
    with h5py.File(path) as file:
        assert file.attrs["engine"] == b"Geant4"
        assert file["impact"].shape == (4, 2)
        assert file["leaked"].attrs["unit"] == b"GeV"


@pytest.mark.parametrize("energy", [1e45, 1e-60])
def test_energies_that_single_precision_does_not_have(tmp_path, energy):
    values = 1e3 * made(PHOTONS)["energy"][:, None].astype(np.float64)
    values[3] = energy
    path = raw(tmp_path / "a.h5", PHOTONS, incident_energies=values)
    with pytest.raises(InputError, match=r"positive energies .* MeV in event 3"):
        open_showers(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [("cells: [2", "expected YAML"), (TINY, "expected showers of 5 voxels as tiny has")],
)
def test_a_description_in_a_file_that_is_none_is_one_line(tmp_path, text, said):
    path = raw(tmp_path / "a.h5", PHOTONS)
    with h5py.File(path, "a") as file:
        file.attrs["geometry"] = text
    with pytest.raises(InputError, match=said) as caught:
        open_showers(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
