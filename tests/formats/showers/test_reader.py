"""Reading: the same showers come back from every layout, in any order, from any thread."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from helpers.shower_files import showers, write_fixed, write_hdf5

from hepjax import InputError
from hepjax.formats.showers import file
from hepjax.formats.showers.angle import measured_angle
from hepjax.formats.showers.reader import open_showers
from hepjax.formats.showers.writer import ShowerWriter, write_showers


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 16 events, so that tiny files have several."""
    monkeypatch.setattr(file, "BLOCK_EVENTS", 16)


def everything(source):
    return source[np.arange(len(source))]


def test_written_files_come_back_in_gev_from_both_layouts(tmp_path):
    made = showers(45)
    write_showers(tmp_path / "fixed", [made], layout="fixed", events_per_file=20)
    write_showers(tmp_path / "angle", [made], layout="angle", events_per_file=20)
    fixed, angle = (
        everything(open_showers(tmp_path / "fixed")),
        everything(open_showers(tmp_path / "angle")),
    )
    assert set(fixed) == {"ecal", "energy"}
    assert set(angle) == {"ecal", "energy", "theta", "mtheta"}
    for field in fixed:
        np.testing.assert_array_equal(fixed[field], made[field])
    for field in ("ecal", "energy", "theta"):
        np.testing.assert_allclose(angle[field], made[field], rtol=1e-6)
    np.testing.assert_allclose(angle["mtheta"], measured_angle(made["ecal"]), rtol=1e-5)
    assert all(values.dtype == np.float32 for values in angle.values())


@pytest.mark.parametrize(
    ("chunk", "gzip"), [(1, "gzip"), (7, "gzip"), (16, None), (40, "gzip"), (None, None)]
)
def test_any_chunking_gives_the_same_events_in_any_order(tmp_path, chunk, gzip):
    made = showers(40)
    source = open_showers(write_fixed(tmp_path / "a.h5", made, chunk, gzip))
    order = np.random.default_rng(1).permutation(40)
    batch = source[order]
    np.testing.assert_array_equal(batch["ecal"], made["ecal"][order])
    np.testing.assert_array_equal(batch["energy"], made["energy"][order])
    assert source.blocks[0] == 0
    assert source.blocks[-1] == len(source) == 40


def test_other_filters_and_chunks_across_cells_are_read_by_the_library(tmp_path):
    made = showers(20)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("ECAL", data=made["ecal"], chunks=(3, 2, 5, 4), compression="lzf")
        file["target"] = np.stack([made["energy"], made["energy"]], axis=1)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset(
            "ECAL", data=made["ecal"].astype("f8"), chunks=(8, 5, 5, 4), compression=4, shuffle=True
        )
        file["target"] = np.stack([made["energy"], made["energy"]], axis=1)
    for name in ("a.h5", "b.h5"):
        np.testing.assert_array_equal(
            everything(open_showers(tmp_path / name))["ecal"], made["ecal"]
        )


def test_the_older_key_of_the_energy_and_a_channel_axis_are_understood(tmp_path):
    made = showers(20)
    energy = np.stack([np.zeros(20), made["energy"]], axis=1)[:, None]
    write_hdf5(tmp_path / "a.h5", ECAL=made["ecal"][..., None], energy=energy)
    read = everything(open_showers(tmp_path / "a.h5"))
    np.testing.assert_array_equal(read["ecal"], made["ecal"])
    np.testing.assert_array_equal(read["energy"], made["energy"])


def test_the_unit_is_seen_from_the_sum_of_the_cells_and_can_be_given(tmp_path):
    made = showers(20)
    theta = made["theta"]
    gev = write_hdf5(tmp_path / "a.h5", ECAL=made["ecal"], energy=made["energy"], theta=theta)
    times_50 = write_hdf5(
        tmp_path / "b.h5", ECAL=50 * made["ecal"], energy=made["energy"], theta=theta
    )
    for path in (gev, times_50):
        read = everything(open_showers(path))
        np.testing.assert_allclose(read["ecal"], made["ecal"], rtol=1e-6)
    read = everything(open_showers(gev, unit="0.02 GeV"))
    np.testing.assert_allclose(read["ecal"], made["ecal"] / 50, rtol=1e-6)
    mev = write_hdf5(tmp_path / "c.h5", ECAL=1e3 * made["ecal"], energy=made["energy"])
    with pytest.raises(
        InputError, match=r"c\.h5: expected cells in GeV .* found a sum of 20; say it: --unit"
    ):
        open_showers(mev)


def test_cuts_keep_the_published_events_and_crop_the_published_cells(tmp_path):
    made = showers(60, grid=(51, 51, 4))
    path = write_fixed(tmp_path / "a.h5", made)
    visible = made["ecal"].sum((1, 2, 3))
    source = open_showers(path, energy_window=(100, 300), min_sum=3.0, crop=(13, 38))
    kept = (made["energy"] >= 100) & (made["energy"] <= 300) & (visible > 3.0)
    assert 0 < kept.sum() < ((made["energy"] >= 100) & (made["energy"] <= 300)).sum()
    read = everything(source)
    np.testing.assert_array_equal(read["ecal"], made["ecal"][kept][:, 13:38, 13:38])
    np.testing.assert_array_equal(read["energy"], made["energy"][kept])
    assert len(source) == kept.sum() == source.blocks[-1]


def test_the_stored_sum_serves_the_sum_cut(tmp_path):
    made = showers(30)
    with ShowerWriter(tmp_path / "a.h5", "angle", 30) as writer:
        writer.write(made)
    kept = made["ecal"].sum((1, 2, 3)) > 5.0
    np.testing.assert_array_equal(
        everything(open_showers(tmp_path / "a.h5", min_sum=5.0))["energy"], made["energy"][kept]
    )


def test_a_file_without_incident_energies_has_no_such_field(tmp_path):
    made = showers(20)
    path = write_hdf5(tmp_path / "a.h5", ECAL=50 * made["ecal"], mtheta=made["theta"])
    assert set(everything(open_showers(path))) == {"ecal", "mtheta"}


def test_a_shuffled_epoch_decodes_each_block_once_and_memory_is_bounded(tmp_path, monkeypatch):
    made = showers(400)
    write_showers(tmp_path, [made], layout="fixed", events_per_file=150)
    decoded = []
    real = file.ShowerFile.read_cells
    monkeypatch.setattr(
        file.ShowerFile,
        "read_cells",
        lambda self, a, b: decoded.append((self.path, a)) or real(self, a, b),
    )
    source = open_showers(tmp_path)
    order = np.random.default_rng(2).permutation(400)
    for start in range(0, 400, 20):
        source[order[start : start + 20]]
    assert len(decoded) == len(set(decoded)) == len(source.blocks) - 1 == 10 + 10 + 7

    bounded = open_showers(tmp_path, cache_bytes=20_000)
    for start in range(0, 400, 20):
        np.testing.assert_array_equal(
            bounded[order[start : start + 20]]["ecal"], made["ecal"][order[start : start + 20]]
        )
        assert bounded._events.nbytes <= 20_000 + 16 * 100 * 8


def test_threads_and_pickled_copies_read_the_same(tmp_path):
    made = showers(200)
    write_showers(tmp_path, [made], layout="fixed", events_per_file=90)
    source = open_showers(tmp_path, cache_bytes=30_000)
    orders = [np.random.default_rng(i).permutation(200)[:50] for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(source.__getitem__, orders))
    for order, batch in zip(orders, batches, strict=True):
        np.testing.assert_array_equal(batch["ecal"], made["ecal"][order])
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[orders[0]]["ecal"], made["ecal"][orders[0]])
    with pytest.raises(IndexError):
        source[np.array([200])]
    with pytest.raises(IndexError):
        source[np.array([-1])]


def test_streaming_gives_all_events_in_order(tmp_path):
    made = showers(50)
    write_showers(tmp_path, [made], layout="angle", events_per_file=30)
    parts = list(open_showers(tmp_path).stream())
    np.testing.assert_allclose(np.concatenate([p["ecal"] for p in parts]), made["ecal"], rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate([p["energy"] for p in parts]), made["energy"])


def test_the_third_party_files_are_read_in_gev(reference_data):
    genuine = everything(open_showers(reference_data / "clic_ele_angle_10events.h5"))
    visible = genuine["ecal"].sum((1, 2, 3))
    assert set(genuine) == {"ecal", "mtheta"}
    assert 123 / 50 < visible.min() < visible.max() < 211 / 50
    np.testing.assert_allclose(genuine["mtheta"], measured_angle(genuine["ecal"]), atol=2e-5)
    for name, layout in (("ecal_e_10_100_25.h5", "fixed"), ("ecal_e_angle_51.h5", "angle")):
        source = open_showers(reference_data / name)
        batch = source[np.arange(100)]
        assert source.files[0].layout == layout
        fraction = batch["ecal"].sum() / batch["energy"].sum()
        assert 0.02 < fraction < 0.026
