"""The published layouts come out as documented, whole or not at all."""

import resource

import h5py
import numpy as np
import pytest
from helpers.shower_files import showers

from hepjax import InputError
from hepjax.formats.showers.angle import measured_angle
from hepjax.formats.showers.writer import ShowerWriter, write_showers


def cut(batch, size):
    for start in range(0, len(batch["energy"]), size):
        yield {k: v[start : start + size] for k, v in batch.items()}


def write(path, layout, batches, total=None, particle="Ele"):
    with ShowerWriter(path, layout, total, particle) as writer:
        for batch in batches:
            writer.write(batch)


def interrupted():
    yield showers(15)
    raise KeyboardInterrupt


def test_fixed_layout_has_the_particle_code_and_the_energy_in_column_1(tmp_path):
    made = showers(40)
    write(tmp_path / "a.h5", "fixed", cut(made, 7), total=40, particle="Gamma")
    with h5py.File(tmp_path / "a.h5") as file:
        assert set(file) == {"ECAL", "target"}
        assert file["ECAL"].dtype == np.float32
        assert file["ECAL"].chunks == (16, 5, 5, 4)
        np.testing.assert_array_equal(file["ECAL"], made["ecal"])
        np.testing.assert_array_equal(file["target"][:, 0], 22)
        np.testing.assert_array_equal(file["target"][:, 1], made["energy"])


def test_angle_layout_is_in_units_of_20_mev_so_that_the_sum_is_about_the_energy(tmp_path):
    made = showers(20)
    write(tmp_path / "a.h5", "angle", [made])
    with h5py.File(tmp_path / "a.h5") as file:
        assert set(file) == {"ECAL", "energy", "theta", "mtheta", "sum"}
        np.testing.assert_allclose(file["ECAL"], 50 * made["ecal"], rtol=1e-6)
        np.testing.assert_allclose(file["sum"], made["energy"], rtol=1e-4)
        np.testing.assert_array_equal(file["theta"], made["theta"])
        np.testing.assert_allclose(file["mtheta"], measured_angle(made["ecal"]), rtol=1e-5)


def test_the_same_showers_give_the_same_bytes_in_any_batches(tmp_path):
    made = showers(50)
    for size in (1, 16, 50):
        write(tmp_path / f"{size}.h5", "angle", cut(made, size), total=50)
    contents = {(tmp_path / f"{size}.h5").read_bytes() for size in (1, 16, 50)}
    assert len(contents) == 1


def test_nothing_is_left_behind_after_an_error(tmp_path):
    bad = showers(4)
    bad["ecal"][2, 0, 0, 0] = np.nan
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.h5", "fixed", interrupted())
    with pytest.raises(RuntimeError, match="9 showers announced, 4 written"):
        write(tmp_path / "a.h5", "fixed", [showers(4)], total=9)
    with pytest.raises(InputError, match=r"a\.h5: expected finite"):
        write(tmp_path / "a.h5", "fixed", [bad])
    with pytest.raises(InputError, match=r"none/a\.h5: expected to write it"):
        write(tmp_path / "none" / "a.h5", "fixed", [showers(4)])
    assert list(tmp_path.iterdir()) == []


def test_units_are_written_where_checksums_guard_them(tmp_path):
    """Texts of variable length lie outside the checksums; damage there hangs the HDF5 library."""
    write(tmp_path / "a.h5", "angle", [showers(4)])
    with h5py.File(tmp_path / "a.h5") as file:
        units = {key: file[key].attrs["unit"] for key in file}
        assert units == {
            "ECAL": b"0.02 GeV", "sum": b"0.02 GeV", "energy": b"GeV",
            "theta": b"rad", "mtheta": b"rad",
        }  # fmt: skip
        for attrs in (file.attrs, *(file[key].attrs for key in file)):
            assert all(attrs.get_id(key).dtype.kind == "S" for key in attrs)


def test_files_are_numbered_in_order_and_filled(tmp_path):
    made = showers(25)
    written = write_showers(
        tmp_path / "out", cut(made, 7), layout="fixed", events_per_file=10, particle="Ele"
    )
    assert [p.name for p in written] == [f"EleEscan_1_00{i}.h5" for i in (1, 2, 3)]
    assert sorted((tmp_path / "out").iterdir()) == written
    read = [h5py.File(p)["ECAL"][:] for p in written]
    assert [len(r) for r in read] == [10, 10, 5]
    np.testing.assert_array_equal(np.concatenate(read), made["ecal"])


def test_a_folder_with_showers_is_not_written_into(tmp_path):
    write_showers(tmp_path, [showers(3)], layout="angle", events_per_file=10)
    with pytest.raises(InputError, match=r"found EleEscan_RandomAngle_1_001\.h5"):
        write_showers(tmp_path, [showers(3)], layout="angle", events_per_file=10)


def test_an_interrupted_set_is_removed(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_showers(tmp_path, interrupted(), layout="fixed", events_per_file=10)
    with pytest.raises(InputError, match="at least one shower"):
        write_showers(tmp_path, [], layout="fixed", events_per_file=10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("room", [100, 5_000, 20_000])
def test_a_full_disk_is_one_line_naming_the_file(tmp_path, room):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(InputError, match=r"a\.h5: expected to write it, found: File too large"):
            write(tmp_path / "a.h5", "fixed", cut(showers(400), 50))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_measured_angle_of_a_tilted_line_is_its_tilt():
    theta = np.array([1.2, np.pi / 2, 1.9])
    cells = np.zeros((4, 51, 51, 25), np.float32)
    for event, angle in enumerate(theta):
        for z in range(25):
            y = 25.5 + (z - 12) / np.tan(angle)
            low = int(np.floor(y - 0.5))
            cells[event, 25, low, z] = low + 1.5 - y
            cells[event, 25, low + 1, z] = y - 0.5 - low
    measured = measured_angle(cells)
    # The layer at the barycentre has no lever arm, counts as pi/2 and weighs 12.5 / 312.5.
    np.testing.assert_allclose(measured[:3], theta + 0.04 * (np.pi / 2 - theta), atol=1e-4)
    assert measured[3] == 100


def test_measured_angle_equals_the_compiled_formula():
    from hepjax.physics.calorimeter import observables

    cells = showers(12, grid=(9, 9, 8))["ecal"]
    cells[3] = 0
    cells[4, :, :, 2:] = 0
    np.testing.assert_allclose(measured_angle(cells), observables.measured_angle(cells), rtol=2e-5)
