"""Jet files whose numbers cannot be what they should be: one line, with file and event."""

import io
import re
import zipfile

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.jet_files import CHANNELS, GRID, LABELS, jets, read_all

from benchmarks.speed import legacy_layouts as legacy
from hepjax import InputError
from hepjax.formats.images import SparseImages
from hepjax.formats.jets.meaning import Meaning
from hepjax.formats.jets.reader import open_jets
from hepjax.formats.recognise import recognise
from hepjax.formats.tfrecord import write_record

IMAGES, COLUMNS = MADE = jets()
SAID = Meaning(CHANNELS, None, (9, 9))
WRITERS = {
    "nested": legacy.write_nested_parquet,
    "flat": legacy.write_flat_parquet,
    "pairs": lambda *a: legacy.write_pairs_parquet(*a, meaning=SAID),
    "hdf5": legacy.write_hdf5,
    "npz": legacy.write_npz,
    "tfrecord": legacy.write_tfrecord,
}
EVENT = 13


def changed(values, at, value):
    copy = values.astype(np.result_type(values, np.float32))
    copy[at] = value
    return copy


def in_image(value):
    """The sample with ``value`` as the first pixel of event 13."""
    values = changed(IMAGES.value, IMAGES.first[EVENT], value)
    return SparseImages(IMAGES.first, IMAGES.cell, values), COLUMNS


def in_column(name, value):
    return IMAGES, COLUMNS | {name: changed(COLUMNS[name], EVENT, value)}


BAD_NUMBERS = {
    "NaN pixel": (in_image(np.nan), "expected finite pixels, found nan in event 13, channel pT"),
    "infinite pixel": (in_image(-np.inf), "found -inf in event 13"),
    "unknown label": (in_column("label", 2), r"a label out of 0=qcd, 1=top, found 2 in event 13"),
    "half a label": (in_column("label", 0.5), "a whole number as label, found 0.5 in event 13"),
    "NaN label": (in_column("label", np.nan), "a whole number as label, found nan in event 13"),
    "NaN pt": (in_column("pt", np.nan), "expected a finite pt, found nan in event 13"),
    "infinite mass": (in_column("mass", np.inf), "expected a finite mass, found inf in event 13"),
}


def fails(path, message, channels=CHANNELS, labels=LABELS, **options):
    with pytest.raises(InputError, match=rf"^\S*{re.escape(path.name)}: .*{message}") as raised:
        read_all(path, channels, labels, **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize(("made", "message"), BAD_NUMBERS.values(), ids=BAD_NUMBERS)
def test_bad_numbers(tmp_path, layout, made, message):
    path = WRITERS[layout](tmp_path / "bad.npz", *made, GRID)
    fails(path, message, batch=7)


@pytest.mark.parametrize("layout", WRITERS)
def test_missing_and_doubled_columns(tmp_path, layout):
    without = {k: v for k, v in COLUMNS.items() if k != "label"}
    path = WRITERS[layout](tmp_path / "a.npz", IMAGES, without, GRID)
    fails(path, "expected (a column y or label|arrays X and y)")
    both = COLUMNS | {"m": COLUMNS["mass"]}
    fails(WRITERS[layout](tmp_path / "b.npz", IMAGES, both, GRID), "one column for the mass, found")


@pytest.mark.parametrize("layout", WRITERS)
def test_meaning_is_never_guessed(tmp_path, layout):
    write = legacy.write_pairs_parquet if layout == "pairs" else WRITERS[layout]
    path = write(tmp_path / "a.npz", *MADE, GRID)
    fails(path, "--labels 0=gluon,1=quark .* --labels 0=quark,1=gluon", labels=None, shape=(9, 9))
    fails(path, "orders differ .* --channels pT,ECAL,HCAL", channels=None, shape=(9, 9))
    fails(path, "channels out of pT,d0,.* found 'p'", channels=("p", "d0", "dz"), shape=(9, 9))
    fails(path, "each channel once, found d0,d0,dz", channels=("d0", "d0", "dz"), shape=(9, 9))
    fails(path, "different names, found", labels={0: "qcd", 1: "qcd"})


@pytest.mark.parametrize("layout", ["nested", "flat", "hdf5", "npz", "tfrecord"])
def test_another_number_of_channels(tmp_path, layout):
    path = WRITERS[layout](tmp_path / "a.npz", *MADE, GRID)
    fails(path, r"(expected 2 channels \(pT,d0\), found 3|2 channels .* found 243)", ("pT", "d0"))


def test_images_without_pixels(tmp_path):
    example = legacy.serialize_example({"X_jets": b"", "y": legacy._float_list(np.float32(0))})
    with (tmp_path / "a.tfrecord").open("wb") as file:
        write_record(file, example)
    fails(tmp_path / "a.tfrecord", r"images with pixels, found 3 channels of \(0, 0\) pixels")
    np.savez(tmp_path / "b.npz", X=np.zeros((2, 9, 9, 0), "f4"), y=[0, 1])
    fails(tmp_path / "b.npz", "expected ")


def test_other_shapes_than_asked_for(tmp_path):
    path = WRITERS["nested"](tmp_path / "a", *MADE, GRID)
    fails(path, r"images of \(10, 10\) pixels, found \(9, 9\)", shape=(10, 10))
    path = legacy.write_pairs_parquet(tmp_path / "b", *MADE, GRID)
    fails(path, "expected the shape of the images, .* --shape ROWS,COLUMNS")


def test_pairs_outside_the_image_or_twice(tmp_path):
    at = IMAGES.first[EVENT] + 1
    for value, message in ((243, "from 0 to 242, found 243"), (-1, "found -1")):
        cell = IMAGES.cell.astype(np.int64)
        cell[at] = value
        images = SparseImages(IMAGES.first, cell, IMAGES.value)
        path = WRITERS["pairs"](tmp_path / "a", images, COLUMNS, GRID)
        fails(path, f"{message} in event 13", batch=6)
    cell = IMAGES.cell.copy()
    cell[at] = cell[at - 1]
    images = SparseImages(IMAGES.first, cell, IMAGES.value)
    path = WRITERS["pairs"](tmp_path / "b", images, COLUMNS, GRID)
    fails(path, f"expected each pixel once, found index {cell[at]} twice in event 13", batch=6)


def parquet(path, **columns):
    table = pa.table({"y": [0, 1, 0], **columns})
    pq.write_table(table.replace_schema_metadata({"hepjax.shape": "[2, 2]"}), path)
    return path


IMAGE = [[[1.0, 2.0], [3.0, 4.0]]]
BAD_LISTS = {
    "ragged rows": ({"X_jets": [IMAGE, [[[1.0, 2.0], [3.0]]], IMAGE]}, "list of 1 on axis 2 .* 1"),
    "fewer rows": ({"X_jets": [IMAGE, IMAGE, [[[1.0, 2.0]]]]}, "list of 1 on axis 1 .*event 2"),
    "more channels": ({"X_jets": [IMAGE, IMAGE * 2, IMAGE]}, "list of 2 on axis 0 .*event 1"),
    "no event": ({"X_jets": [IMAGE, None, IMAGE]}, "found none in column X_jets, event 1"),
    "no pixel": ({"X_jets": [IMAGE, IMAGE, [[[1.0, 2.0], [None, 1.0]]]]}, "none in .* event 2"),
    "no pixels": ({"X_jets": [[], IMAGE, IMAGE]}, "expected pixels in column X_jets, .* event 0"),
    "ragged list": ({"X_jets": [[1.0] * 4, [1.0] * 4, [1.0] * 3]}, "list of 3 on axis 0 .* 2"),
    "texts": ({"X_jets": [["a"], ["b"], ["c"]]}, "lists of numbers in X_jets.* found y"),
    "numbers": ({"X_jets": [1.0, 2.0, 3.0]}, "lists of numbers in X_jets"),
    "no image": ({"Z": [IMAGE] * 3}, r"lists of numbers in X_jets.* found y \(int64\), Z"),
    "no number": ({"X_jets": [IMAGE] * 3, "pt": [1.0, None, 3.0]}, "none in column pt, event 1"),
    "fewer values": ({"idx": [[0, 1]] * 3, "val": [[1.0, 2.0], [1.0], []]}, "found 1 and 2 .* 1"),
    "no indices": ({"idx": [[0], None, [1]], "val": [[1.0]] * 3}, "found none in .* event 1"),
    "no value": ({"idx": [[0], [1], [2]], "val": [[1.0], [None], [1.0]]}, "with 1 gaps"),
    "half an index": ({"idx": [[0.5]] * 3, "val": [[1.0]] * 3}, "expected whole numbers in idx"),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "message"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_bad_lists_in_parquet(tmp_path, columns, message):
    fails(parquet(tmp_path / "a.parquet", **columns), message, ("pT",))


def test_damaged_metadata(tmp_path):
    table = pa.table({"y": [0], "X_jets": [IMAGE]})
    for text in ("{", "3", "[[", '{"a": "b"}'):
        pq.write_table(table.replace_schema_metadata({"hepjax.labels": text}), tmp_path / "a")
        fails(tmp_path / "a", "metadata hepjax.labels as hepjax writes it", ("pT",), None)


def test_no_events(tmp_path):
    pq.write_table(pa.table({"y": [0], "X_jets": [IMAGE]}).slice(1), tmp_path / "a")
    fails(tmp_path / "a", "expected events, found none")
    np.savez(tmp_path / "b.npz", X=np.zeros((0, 4, 4)), y=np.zeros(0))
    fails(tmp_path / "b.npz", "expected events, found X of shape", ("pT",))
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["X"], file["y"] = np.zeros((0, 4, 4, 3)), np.zeros(0)
    fails(tmp_path / "c.h5", "expected events in dataset 'X', found none")


BAD_ARRAYS = {
    "short labels": ({"X": np.ones((3, 4, 4)), "y": np.ones(2)}, "(as images|numbers in y)"),
    "no image axes": ({"X": np.ones((3, 4)), "y": np.ones(3)}, r"expected images \(events, rows"),
    "texts": ({"X": np.full((3, 4, 4), b"a"), "y": np.ones(3)}, "expected numbers in"),
    "one image": ({"X": np.ones((3, 4, 4))}, "(a column y|arrays X and y)"),
}


@pytest.mark.parametrize(("arrays", "message"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_arrays_in_hdf5_and_npz(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    fails(tmp_path / "a.npz", message, ("pT",))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for key, values in ({"X_jets": 0} | arrays).items():
            if key == "X":
                del file["X_jets"]
            file["X_jets" if key == "X" else key] = values
    fails(tmp_path / "a.h5", message, ("pT",))


def npz(path, header=None, pixels=b"", **arrays):
    """A zip file with ``X.npy`` of any header and data, and sound other arrays."""
    np.savez(path, **arrays)
    with zipfile.ZipFile(path, "a") as file:
        data = io.BytesIO()
        np.lib.format.write_array_header_1_0(data, header)
        file.writestr("X.npy", data.getvalue() + pixels)
    return path


def test_npz_headers_are_checked_before_anything_is_made(tmp_path):
    form = {"descr": "<f4", "fortran_order": False, "shape": (2, 2, 2)}
    y = np.ones(2)
    path = tmp_path / "a.npz"
    fails(npz(path, form | {"shape": (2**40, 2, 2)}, b"\0" * 32, y=y), "expected 32 bytes in X.npy")
    fails(npz(path, form | {"shape": (-2, -2, 2)}, b"\0" * 32, y=y), "expected 32 bytes in X.npy")
    fails(npz(path, form | {"descr": "|O"}, b"\0" * 64, y=y), "expected numbers in C .* object")
    fails(npz(path, form | {"fortran_order": True}, b"\0" * 32, y=y), "found float32 in Fortran")
    fails(npz(path, form | {"descr": "f4" * 9000}, b"", y=y), "expected sound npz data")


def test_numbers_of_more_than_64_bits_go_into_no_table(tmp_path):
    image, wide = np.ones((3, 4, 4), np.float32), np.ones(3, np.longdouble)
    for name, arrays in {
        "image": {"X": image.astype(np.longdouble)}, "column": {"X": image, "pt": wide},
    }.items():  # fmt: skip
        np.savez(tmp_path / f"{name}.npz", y=np.ones(3), **arrays)
        fails(tmp_path / f"{name}.npz", r"expected numbers of at most 64 bits in \w+.npy", ("pT",))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["X_jets"], file["y"], file["pt"] = image, np.ones(3), wide
    (jets,) = open_jets(tmp_path / "a.h5", channels=("pT",), labels=LABELS)
    assert "pt" not in next(iter(jets.stream(batch=3)))[1]


def test_object_arrays_are_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    np.savez(tmp_path / "a.npz", X=np.array([Trap()] * 3), y=np.ones(3), allow_pickle=True)
    fails(tmp_path / "a.npz", "expected numbers in C order in X.npy, found object", ("pT",))


def tfrecord(path, *records):
    with open(path, "wb") as file:
        for record in records:
            write_record(file, record)
    return path


def test_bad_examples(tmp_path):
    sound = legacy.write_tfrecord(tmp_path / "sound", *jets(1), GRID, compress=False)
    data = sound.read_bytes()[12:-4]
    image = legacy._float_list(np.ones(243))
    y = legacy._float_list(np.ones(1))
    other = legacy.serialize_example({"X_jets": image, "y": y})
    path = tmp_path / "a"
    fails(tfrecord(path, data, other), "one number in m0, found 0 in event 1")
    for features, message in (
        ({"X_jets": legacy._float_list(np.ones(242)), "y": y}, "243 numbers in X_jets, found 242 "),
        ({"y": y}, "found 0 in event 1"),
        ({"X_jets": image, "y": legacy._float_list(np.ones(2))}, "one number in y, found 2 .* 1"),
        ({"X_jets": legacy._field(1, legacy._field(1, b"123")), "y": y}, r"found \[3\] bytes in "),
    ):
        fails(tfrecord(path, other, legacy.serialize_example(features)), message)
    fails(tfrecord(path, legacy.serialize_example({"a": y})), "a feature X_jets, found a")
    fails(
        tfrecord(path, b"\x0a\x7f"), "a field that is longer than its tf.train.Example in event 0"
    )
    fails(tfrecord(path, b"\x0b"), "wire type 3 in a tf.train.Example in event 0")
    fails(tfrecord(path, b"\xff" * 20), "a number without an end in a tf.train.Example")


def test_floats_with_a_tag_each_and_integers(tmp_path):
    """Old writers do not pack lists."""
    values = np.arange(243, dtype="<f4")
    each = b"".join(b"\x0d" + value.tobytes() for value in values)
    label = legacy._field(3, b"\x08\x01")
    example = {"X_jets": legacy._field(2, each), "y": label}
    images, columns = read_all(tfrecord(tmp_path / "a", legacy.serialize_example(example)))
    np.testing.assert_array_equal(np.sort(images.value), values[1:])
    assert columns["label"].tolist() == [1]


def test_wrong_names_and_other_files(tmp_path):
    path = legacy.write_hdf5(tmp_path / "a.parquet", *MADE, GRID)
    assert open_jets(path, channels=CHANNELS, labels=LABELS)[0].layout == "hdf5"
    (tmp_path / "empty.parquet").touch()
    (tmp_path / "b.tfrecord").write_text("a letter to the editor, longer than a header")
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("empty.parquet", "expected a Parquet, HDF5, TFRecord or npz file, found an empty one"),
        ("b.tfrecord", "TFRecord or npz file, found another format"),
        ("none", "expected a file or folder, found none of this name"),
        ("folder", "expected a folder with data files, found none in it"),
    ):
        fails(tmp_path / name, message)
    for name in ("empty.parquet", "b.tfrecord", "none", "folder"):
        with pytest.raises(InputError, match=f"{name}: expected"):
            recognise(tmp_path / name)
    with pytest.raises(InputError, match="expected at least one file"):
        open_jets([])
