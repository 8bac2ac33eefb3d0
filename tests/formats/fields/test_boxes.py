"""Files of boxes: written and read back, Nyx, crops over the faces, and what is refused."""

import h5py
import numpy as np
import pytest

from hepjax import InputError
from hepjax.formats.fields.box import Facts
from hepjax.formats.fields.boxes import is_boxes, list_boxes, open_box, read_box, write_box

N = 4


def fields(seed=0, n=N):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.5, 2, (4, n, n, n)), rng.uniform(0.5, 2, (5, n, n, n))


@pytest.fixture
def crops(tmp_path):
    dark, gas = fields()
    write_box(tmp_path / "a.h5", dark, gas, Facts(0.5, 3.0, 0.3))
    return tmp_path / "a.h5"


@pytest.fixture
def nyx(tmp_path):
    path = tmp_path / "plt.hdf5"
    dark, gas = fields()
    with h5py.File(path, "w") as file:
        group = file.create_group("native_fields")
        for name, values in (
            ("dark_matter_density", dark[0]), ("baryon_density", gas[0]), ("temperature", gas[1]),
            *((f"velocity_{axis}", 1e5 * gas[2 + i]) for i, axis in enumerate("xyz")),
        ):  # fmt: skip
            group[name] = values.astype(np.float32)
        file.create_group("universe").attrs.update({"redshift": 3.0, "omega_m": 0.28})
        file.create_group("domain").attrs["size"] = [20.0] * 3
    return path


def test_what_is_written_is_read(crops):
    box = open_box(crops)
    assert (box.layout, box.cells, box.targets) == ("crops", N, True)
    assert box.facts == Facts(0.5, 3.0, 0.3)
    dark, gas = read_box(box)
    for found, made in zip((dark, gas), fields(), strict=True):
        np.testing.assert_allclose(found, made, rtol=1e-6)


def test_a_cube_over_the_faces_is_wrapped(crops):
    dark, gas = read_box(open_box(crops), (-1, 2, 3), N + 2)
    whole, _ = fields()
    expected = np.take(whole, np.arange(-1, N + 1) % N, 1)
    expected = np.take(np.take(expected, np.arange(2, N + 4) % N, 2), np.arange(3, N + 5) % N, 3)
    np.testing.assert_allclose(dark, expected, rtol=1e-6)
    assert gas.shape == (5, N + 2, N + 2, N + 2)


def test_nyx_has_velocities_of_gas_in_cm(nyx):
    box = open_box(nyx)
    assert (box.layout, box.targets, box.facts.cell) == ("nyx", True, 5.0)
    assert box.facts.redshift == 3.0
    dark, gas = read_box(box)
    _, made = fields()
    np.testing.assert_allclose(gas, made, rtol=1e-5)
    np.testing.assert_array_equal(dark[1:], gas[2:])


def test_nyx_without_gas_can_be_predicted(nyx):
    with h5py.File(nyx, "a") as file:
        del file["native_fields/temperature"]
    assert not open_box(nyx).targets
    assert read_box(open_box(nyx))[1] is None


def test_files_are_recognised(crops, nyx, tmp_path):
    assert is_boxes(crops)
    assert is_boxes(nyx)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["ECAL"] = np.ones(3)
    assert not is_boxes(tmp_path / "b.h5")
    assert is_boxes(tmp_path)


def damaged(path, name, values):
    with h5py.File(path, "a") as file:
        del file[name]
        if values is not None:
            file[name] = values.astype(np.float32)


BAD = {
    "no cube": ("Nbody", np.ones((4, N, N, N + 1)), r"expected a cube of cells in 'Nbody'"),
    "channels": ("Nbody", np.ones((3, N, N, N)), r"expected \(4, n, n, n\) in 'Nbody'"),
    "sizes": ("Hydro", np.ones((5, 2, 2, 2)), r"expected Nbody and Hydro of one size"),
    "missing": ("Nbody", None, r"expected Nbody \(and Hydro\) or .*, found Hydro"),
    "negative": ("Nbody", -np.ones((4, N, N, N)), r"expected density of 0 and more"),
    "not finite": ("Hydro", np.full((5, N, N, N), np.nan), r"finite numbers in density of gas"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_boxes_are_refused(crops, name):
    key, values, text = BAD[name]
    damaged(crops, key, values)
    with pytest.raises(InputError, match=text) as caught:
        read_box(open_box(crops))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(crops))


def test_nyx_without_a_field_it_needs(nyx):
    with h5py.File(nyx, "a") as file:
        del file["native_fields/velocity_y"]
    with pytest.raises(InputError, match=r"expected velocity_x, _y, _z in native_fields, found"):
        open_box(nyx)


def test_cells_of_two_sizes_do_not_mix(crops, tmp_path):
    write_box(tmp_path / "b.h5", *fields(1), Facts(0.25, 3.0, 0.3))
    with pytest.raises(InputError, match=r"b.h5: expected cells of 0.5 Mpc/h as in .*, found 0.25"):
        list_boxes(tmp_path)


def test_a_file_cut_short(crops):
    content = crops.read_bytes()
    crops.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"a.h5: expected a whole HDF5 file"):
        open_box(crops)
