"""Every layout of jet images gives back the numbers that went into it."""

import pickle

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.jet_files import CHANNELS, GRID, LABELS, assert_same, jets, read_all

from benchmarks.speed import legacy_layouts as legacy
from hepjax import InputError
from hepjax.formats.images import Channel, Grid
from hepjax.formats.jets.meaning import Meaning
from hepjax.formats.jets.reader import open_jets
from hepjax.formats.recognise import recognise

MADE = jets()
SAID = Meaning(("pT:GeV", "d0:mm", "ECAL:GeV"), LABELS, (9, 9))

LAYOUTS = {
    "nested": (legacy.write_nested_parquet, {}, "nested"),
    "nested f4": (legacy.write_nested_parquet, {"dtype": "f4", "image": "X_jet"}, "nested"),
    "nested groups": (legacy.write_nested_parquet, {"row_group": 7}, "nested"),
    "flat": (legacy.write_flat_parquet, {"row_group": 6}, "flat"),
    "pairs": (legacy.write_pairs_parquet, {"row_group": 6, "meaning": SAID}, "pairs"),
    "hdf5": (legacy.write_hdf5, {"chunk": 8}, "hdf5"),
    "hdf5 X": (legacy.write_hdf5, {"chunk": 3, "image": "X"}, "hdf5"),
    "npz": (legacy.write_npz, {}, "npz"),
    "tfrecord": (legacy.write_tfrecord, {}, "tfrecord"),
    "tfrecord plain": (legacy.write_tfrecord, {"compress": False}, "tfrecord"),
    "tfrecord bytes": (legacy.write_tfrecord, {"as_bytes": True}, "tfrecord"),
}


@pytest.fixture(params=LAYOUTS, scope="module")
def written(request, tmp_path_factory):
    write, options, layout = LAYOUTS[request.param]
    suffix = ".npz" if layout == "npz" else ".of-00001"
    path = tmp_path_factory.mktemp("jets") / f"jets{suffix}"
    return write(path, *MADE, GRID, **options), layout


def test_round_trip_is_bit_exact(written):
    path, layout = written
    (file,) = open_jets(path, channels=CHANNELS, labels=LABELS)
    assert (file.layout, file.events, file.grid.names) == (layout, 20, CHANNELS)
    assert file.grid.shape == (9, 9)
    assert recognise(path) == "jets"
    assert_same(read_all(path), MADE)
    assert_same(read_all(path, batch=3), MADE)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (3, 17), (13, None), (19, 20), (5, 40)])
def test_parts_of_a_file(written, start, stop):
    path, _ = written
    read = read_all(path, batch=4, start=start, stop=stop)
    assert_same(read, MADE, start, min(stop or 20, 20))


def test_files_pickle_between_events(written):
    (file,) = open_jets(written[0], channels=CHANNELS, labels=LABELS)
    next(file.stream(batch=4))
    again = pickle.loads(pickle.dumps(file))
    assert (again.grid, again.labels, again.events) == (file.grid, file.labels, 20)
    assert sum(len(images) for images, _ in again.stream(batch=8)) == 20


@pytest.mark.parametrize("write", [legacy.write_nested_parquet, legacy.write_hdf5])
def test_files_of_hepjax_say_what_they_mean(tmp_path, write):
    path = write(tmp_path / "a", *MADE, GRID, meaning=SAID)
    (file,) = open_jets(path)
    assert file.labels == LABELS
    assert file.grid.channels == (
        *(Channel("pT", "GeV"), Channel("d0", "mm"), Channel("ECAL", "GeV")),
    )
    assert_same(read_all(path, None, None), MADE)
    assert open_jets(path, channels=CHANNELS, labels=LABELS)[0].grid == file.grid
    with pytest.raises(InputError, match="channels that the file names, pT,d0,ECAL, found d0,pT"):
        open_jets(path, channels=("d0", "pT", "ECAL"))
    with pytest.raises(InputError, match=r"labels that the file states, .* leave --labels out"):
        open_jets(path, labels={0: "top", 1: "qcd"})


def test_a_first_look_numbers_the_channels(tmp_path):
    path = legacy.write_nested_parquet(tmp_path / "a", *MADE, GRID)
    (file,) = open_jets(path, first_look=True)
    assert file.grid.names == ("channel 0", "channel 1", "channel 2")
    assert file.labels == {}
    assert_same(next(file.stream()), MADE)


def test_channels_are_stored_in_the_named_order(tmp_path):
    """One pixel of HCAL, channels last and channels first, at row 2, column 1."""
    grid = Grid((4, 4), (Channel("pT", "1"), Channel("HCAL", "1")))
    pixels = np.zeros((1, 4, 4, 2), np.float32)
    pixels[0, 2, 1, 1] = 5
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["X"], file["y"] = pixels, [1.0]
    images, columns = read_all(tmp_path / "a.h5", ("pT", "HCAL"))
    np.testing.assert_array_equal(images.cell, [16 + 2 * 4 + 1])
    np.testing.assert_array_equal(columns["label"], [1])
    path = legacy.write_nested_parquet(tmp_path / "a", images, columns, grid)
    assert pq.read_table(path)["X_jets"][0].as_py()[1][2][1] == 5


def test_images_that_are_not_square(tmp_path):
    grid = Grid((3, 8), GRID.channels)
    made = jets(5, grid)
    path = legacy.write_flat_parquet(tmp_path / "a", *made, grid)
    assert_same(read_all(path, shape=(3, 8)), made)
    with pytest.raises(InputError, match=r"expected square images of 3 channels .* found 72"):
        open_jets(path, channels=CHANNELS, labels=LABELS)


@pytest.mark.parametrize("leaf", ["f2", "u1", "i8"])
@pytest.mark.parametrize("of", [pa.large_list, lambda kind: pa.list_(kind, 2)])
def test_other_types_of_lists_and_numbers(tmp_path, of, leaf):
    pixels = np.arange(8).reshape(1, 2, 2, 2).astype(leaf)
    kind = of(of(of(pa.from_numpy_dtype(leaf))))
    table = pa.table({"X": pa.array(pixels.tolist() * 3, kind), "label": [0, 1, 0]})
    pq.write_table(table, tmp_path / "a")
    images, columns = read_all(tmp_path / "a", ("pT", "ECAL"), start=1)
    np.testing.assert_array_equal(images.value, [*range(1, 8)] * 2)
    np.testing.assert_array_equal(images.cell, [*range(1, 8)] * 2)
    assert columns["label"].tolist() == [1, 0]


def test_unsorted_pairs_and_stored_zeros_come_out_in_order(tmp_path):
    images, columns = jets(4)
    reverse = np.concatenate(
        [np.arange(a, b)[::-1] for a, b in zip(images.first, images.first[1:], strict=False)]
    )
    shuffled = type(images)(images.first, images.cell[reverse], images.value[reverse].copy())
    shuffled.value[0] = 0
    path = legacy.write_pairs_parquet(tmp_path / "a", shuffled, columns, GRID, meaning=SAID)
    read, _ = read_all(path, None, None)
    kept = np.arange(len(images.cell)) != reverse[0]
    np.testing.assert_array_equal(read.cell, images.cell[kept])
    np.testing.assert_array_equal(read.value, images.value[kept])
    assert read.first[1] == images.first[1] - 1


def test_training_events_of_an_npz_come_first(tmp_path):
    images, columns = MADE
    pixels = legacy.dense(images, GRID, 0, 20)[:, :1]
    y = columns["label"].astype(np.float32)
    np.savez(
        tmp_path / "a.npz",
        x_train=pixels[:12, 0],
        y_train=y[:12],
        x_test=pixels[12:, 0],
        y_test=y[12:],
    )
    read, read_columns = read_all(tmp_path / "a.npz", ("pT",), batch=5)
    np.testing.assert_array_equal(read_columns["label"], columns["label"])
    assert read.value.sum() == pytest.approx(pixels.sum(), rel=1e-5)
    assert len(read_all(tmp_path / "a.npz", ("pT",), start=10, stop=14)[0]) == 4


def test_folders_and_files_that_do_not_go_together(tmp_path):
    legacy.write_nested_parquet(tmp_path / "b.parquet", *MADE, GRID)
    legacy.write_nested_parquet(tmp_path / "a.parquet", *MADE, GRID, row_group=5)
    (tmp_path / "README.md").write_text("not data")
    files = open_jets(tmp_path, channels=CHANNELS, labels=LABELS)
    assert [file.path.name for file in files] == ["a.parquet", "b.parquet"]
    assert recognise(tmp_path) == "jets"
    legacy.write_flat_parquet(tmp_path / "c.parquet", *MADE, GRID)
    with pytest.raises(InputError, match=r"c\.parquet: expected the layout of a\.parquet \(nested"):
        open_jets(tmp_path, channels=CHANNELS, labels=LABELS)


def test_third_party_jets(reference_data):
    """Pairs say their channels; 303 of the dense jets are among them, pixel by pixel."""
    (pairs,) = open_jets(reference_data / "jets_top_qcd_sparse.parquet", labels=LABELS)
    assert (pairs.events, pairs.grid.names[:3]) == (11_495, ("pT", "d0", "dz"))
    assert [c.unit for c in pairs.grid.channels[::5]] == ["GeV", "hits"]
    dense = reference_data / "jets_top_qcd_dense400.parquet"
    read, columns = read_all(dense, pairs.grid.names, stop=64)
    whole, whole_columns = read_all(pairs.path, None)
    found = 0
    for event, pt in enumerate(columns["pt"]):
        for other in np.flatnonzero(whole_columns["pt"] == pt):
            a = slice(*whole.first[other : other + 2])
            b = slice(*read.first[event : event + 2])
            found += np.array_equal(whole.value[a], read.value[b]) and np.array_equal(
                whole.cell[a], read.cell[b]
            )
    assert found > 40


def test_third_party_electrons_and_photons(reference_data):
    ecal = {"channels": ("ECAL",), "labels": {0: "photon", 1: "electron"}}
    images, columns = read_all(reference_data / "electron-photon.npz", **ecal)
    assert np.bincount(columns["label"]).tolist() == [98, 102]
    assert np.diff(images.first)[columns["label"] == 0].mean() == pytest.approx(45, abs=1)
    images, columns = read_all(reference_data / "egamma_ecal32.parquet", **ecal)
    assert columns["energy"].min() > 40
