"""Labels and other columns: what counts as one number an event, and what is said of the rest."""

import decimal
import zipfile
from dataclasses import replace

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.tagger import CHANNELS, SHAPE, TINY, toy_images

from hepjax import InputError
from hepjax.cli import main
from hepjax.formats import notes
from hepjax.formats.jets.reader import open_jets
from hepjax.physics.jets.inspect import inspect
from hepjax.workloads.tagger.data import open_jet_source, sources

LABELS = {0: "background", 1: "signal"}
IMAGES, COLUMNS = toy_images(12)
Y, PT = COLUMNS["label"], np.linspace(400, 500, 12)
NAMES = np.where(Y == 1, "quark", "gluon")


@pytest.fixture(autouse=True)
def _nothing_noted_before(monkeypatch):
    monkeypatch.setattr(notes, "_said", set())


def parquet(path, **columns):
    image = pa.array(
        np.moveaxis(IMAGES, -1, 1).tolist(), pa.list_(pa.list_(pa.list_(pa.float32())))
    )
    pq.write_table(pa.table({"X_jets": image, **columns}), path)
    return path


def hdf5(path, **columns):
    with h5py.File(path, "w") as file:
        file["X_jets"] = IMAGES
        for name, values in columns.items():
            file[name] = values
    return path


def npz(path, **columns):
    np.savez(path, X=IMAGES, **columns)
    return path.with_suffix(".npz")


def read(path, **options):
    (file,) = open_jets(path, channels=CHANNELS, labels=LABELS, **options)
    return {k: np.concatenate([c[k] for _, c in file.stream(batch=5)]) for k in file_columns(file)}


def file_columns(file):
    return next(iter(file.stream(batch=1)))[1]


WRITERS = {"a.parquet": parquet, "a.h5": hdf5, "a": npz}
GOOD = {
    "a.parquet": {"bool": pa.array(Y.astype(bool)), "float": pa.array(Y.astype("f4"))},
    "a.h5": {"bool": Y.astype(bool), "column": Y[:, None], "bool column": Y[:, None] == 1},
    "a": {"bool": Y.astype(bool), "column": Y[:, None]},
}
ARROW = {
    "text": (pa.array(NAMES.tolist()), "text"),
    "dictionary": (pa.array(NAMES.tolist()).dictionary_encode(), "text"),
    "bytes": (pa.array([n.encode() for n in NAMES.tolist()]), "bytes"),
    "list": (pa.array([[int(v)] for v in Y]), r"a list<.*int64>"),
    "one-hot": (pa.array(np.eye(2)[Y].tolist()), r"a list<.*double>"),
    "decimal": (pa.array([decimal.Decimal(int(v)) for v in Y], pa.decimal128(5, 0)), "decimal128"),
}
BAD = {
    "a.parquet": ARROW,
    "a.h5": {
        "one-hot": (np.eye(2)[Y], "2 numbers an event"),
        "bytes": (NAMES.astype("S5"), "text"),
        "text": (NAMES.astype(h5py.string_dtype()), "text"),
    },
    "a": {"one-hot": (np.eye(2)[Y], "2 numbers an event"), "text": (NAMES, "text")},
}


def cases(table):
    return [
        pytest.param(layout, values, id=f"{layout} {name}")
        for layout, kinds in table.items()
        for name, values in kinds.items()
    ]


@pytest.mark.parametrize(("layout", "label"), cases(GOOD))
def test_truth_values_and_columns_of_one_are_labels(tmp_path, layout, label):
    columns = read(WRITERS[layout](tmp_path / layout, y=label))
    assert columns["label"].dtype == np.int32
    np.testing.assert_array_equal(columns["label"], Y)


@pytest.mark.parametrize(("layout", "label"), cases(BAD))
@pytest.mark.parametrize("name", ["y", "label"])
def test_other_labels_are_named_with_their_type(tmp_path, layout, label, name):
    values, found = label
    path = WRITERS[layout](tmp_path / layout, pt=pa.array(PT) if layout == "a.parquet" else PT,
                           **{name: values})  # fmt: skip
    with pytest.raises(InputError, match=rf"one whole number an event in {name}, found {found}"):
        read(path)


def test_columns_of_another_type_are_noted_once(tmp_path, capsys):
    pt = pa.array([decimal.Decimal(int(v)) for v in PT], pa.decimal128(9, 3))
    for name in ("a", "b"):
        path = parquet(tmp_path / f"{name}.parquet", y=pa.array(Y), pt=pt)
    columns = [read(tmp_path / f"{name}.parquet") for name in "ab"]
    assert set(columns[0]) == {"label"}
    said = capsys.readouterr().err
    assert "not read: pt (decimal128(9, 3))" in said
    assert said.count("\n") == 1
    assert path.exists()


def test_momenta_in_mev_are_converted(tmp_path):
    path = hdf5(tmp_path / "a.h5", y=Y, pt=1e3 * PT, m0=PT)
    with h5py.File(path, "a") as file:
        file["pt"].attrs["unit"] = "MeV"
    np.testing.assert_allclose(read(path)["pt"], PT)
    np.testing.assert_array_equal(read(path)["mass"], PT)


def split_npz(path, **parts):
    arrays = {}
    for part, (low, high) in parts.items():
        arrays[f"x_{part}"], arrays[f"y_{part}"] = IMAGES[low:high], Y[low:high]
    np.savez(path, **arrays)
    return path


def test_every_part_of_an_npz_file_is_read(tmp_path):
    path = split_npz(tmp_path / "a.npz", test=(9, 12), val=(6, 9), train=(0, 6))
    np.testing.assert_array_equal(read(path)["label"], Y)
    path = split_npz(tmp_path / "a.npz", extra=(9, 12), train=(0, 6), validation=(6, 9))
    np.testing.assert_array_equal(read(path)["label"], Y)
    with zipfile.ZipFile(path) as file:
        assert len(file.namelist()) == 6


def test_further_images_of_an_npz_file_are_not_passed_over(tmp_path):
    np.savez(tmp_path / "a.npz", X=IMAGES, y=Y, X_val=IMAGES[:3], y_val=Y[:3])
    with pytest.raises(InputError, match=r"a\.npz: expected the images in X, found .* X_val \(3,"):
        read(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x_train=IMAGES, y_train=Y, x_val=IMAGES[:3])
    with pytest.raises(InputError, match=r"a\.npz: expected arrays X and y, or x_train"):
        read(tmp_path / "a.npz")


WITHOUT = {
    "a.parquet": {"pt": pa.array(PT)},
    "a.h5": {"pt": PT},
    "a": {"pt": PT},
}


@pytest.mark.parametrize("layout", WRITERS)
def test_events_without_labels_are_predicted_and_looked_at_but_not_trained_on(tmp_path, layout):
    path = WRITERS[layout](tmp_path / layout, **WITHOUT[layout])
    with pytest.raises(InputError, match=r"expected (a column y or label|arrays X and y)"):
        read(path)
    assert set(read(path, labelled=False)) == {"pt"}
    report = inspect(path, channels=CHANNELS, labels=LABELS)
    assert report["labels"] is None
    assert any("no labels" in problem for problem in report["problems"])
    cfg = replace(
        TINY, data=replace(TINY.data, files=(str(path),), stored_channels=CHANNELS, shape=SHAPE,
                           labels=("background", "signal")),
    )  # fmt: skip
    source = open_jet_source(cfg, [path])
    batch = source[np.arange(12)]
    assert "label" not in batch
    np.testing.assert_allclose(batch["pt"], PT)
    with pytest.raises(InputError, match=r"expected (a column y or label|arrays X and y)"):
        sources(cfg)


def test_pack_names_the_type_in_one_line(tmp_path, capsys):
    path = parquet(tmp_path / "a.parquet", y=ARROW["list"][0])
    given = ["--channels", ",".join(CHANNELS), "--labels", "0=qcd,1=top", "--quiet"]
    assert main(["pack", str(path), "--out", str(tmp_path / "set"), *given]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "a.parquet: expected one whole number an event in y, found a list" in said
