"""Rows that the layout does not allow are refused with event and row, in every layout."""

import bz2
import gzip
import lzma
import pickle
import zlib

import numpy as np
import pytest
from helpers.event_files import events, lists, write_hdf5, write_pickle, write_tfds

from hepjax import InputError
from hepjax.cli import main
from hepjax.formats.particleflow import pickles
from hepjax.formats.particleflow.reader import describe, holds_events, list_event_files, open_events
from hepjax.formats.recognise import recognise
from hepjax.physics.particleflow.inspect import inspect

EVENT, ROW = 4, 1
BAD = {
    "half a charge": ("ygen", 1, 0.5, r"charge -1, 0 or 1 in ygen, found charge 0\.5"),
    "charge 2": ("ygen", 1, 2, "charge -1, 0 or 1 in ygen, found charge 2"),
    "charge 3": ("ycand", 1, 3, "charge -1, 0 or 1 in ycand, found charge 3"),
    "charge -2": ("X", 9, -2, "charge -1, 0 or 1 in X, found charge -2"),
    "pT of an element": ("X", 1, -0.1, r"pT that is not negative in X, found pT -0\.1"),
    "pT of a particle": ("ygen", 2, -3, "pT that is not negative in ygen, found pT -3"),
    "pT of a candidate": ("ycand", 2, -3, "pT that is not negative in ycand, found pT -3"),
    "energy of an element": ("X", 5, -2, "energy that is not negative in X, found energy -2"),
    "energy of a particle": ("ygen", 6, -3, "energy that is not negative in ygen, found energy -3"),
    "energy of a candidate": ("ycand", 6, -3, "not negative in ycand, found energy -3"),
    "sine": ("X", 3, 1.5, r"between -1 and 1 in X, found sine or cosine 1\.5"),
    "cosine": ("X", 4, -1.01, r"between -1 and 1 in X, found sine or cosine -1\.01"),
    "outer sine": ("X", 7, 2, "between -1 and 1 in X at the calorimeter, found sine or cosine 2"),
    "sine of a particle": ("ygen", 4, 2, "between -1 and 1 in ygen, found sine or cosine 2"),
    "cosine of a candidate": ("ycand", 5, -2, "1 in ycand, found sine or cosine -2"),
}


def made(table, column, value):
    found = events(longest=12)
    found[EVENT] = {key: rows.copy() for key, rows in found[EVENT].items()}
    assert found[EVENT]["X"][ROW, 0] == 2  # a track
    found[EVENT][table][ROW, column] = value
    return found


def read(path):
    source = open_events(path, buckets=(12,))
    return source[np.arange(len(source))]


WRITERS = {
    "pickle": lambda folder, made: write_pickle(folder / "a.pkl.bz2", lists(made)),
    "hdf5": lambda folder, made: write_hdf5(folder / "a.h5", made),
    "tfds": lambda folder, made: write_tfds(folder, {"train": made}),
}


@pytest.mark.parametrize("layout", ["pickle", "hdf5"])
@pytest.mark.parametrize(("table", "column", "value", "message"), BAD.values(), ids=BAD)
def test_values_that_the_documentation_refuses(tmp_path, layout, table, column, value, message):
    path = WRITERS[layout](tmp_path, made(table, column, value))
    with pytest.raises(InputError, match=rf"expected .*{message} in event {EVENT}, row {ROW}"):
        read(path)
    report = inspect(path)
    assert sum(report["checks"]["broken_rows"].values()) == 1
    assert (report["checks"]["first_bad_event"], report["checks"]["first_bad_row"]) == (EVENT, ROW)


@pytest.mark.parametrize("bad", ["charge 2", "sine"])
def test_the_same_in_tfds(tmp_path, bad):
    *change, message = BAD[bad]
    with pytest.raises(InputError, match=rf"{message} in event \d, row {ROW}"):  # shuffled
        read(write_tfds(tmp_path, {"train": made(*change)}))


def test_inspect_ends_with_2_and_names_the_row(tmp_path, capsys):
    path = WRITERS["hdf5"](tmp_path, made("ygen", 1, 0.5))
    assert main(["inspect", str(path), "--quiet"]) == 2
    assert f"the first in event {EVENT} (row {ROW})" in capsys.readouterr().out


def test_rounded_sines_are_sound(tmp_path):
    assert len(read(WRITERS["hdf5"](tmp_path, made("X", 3, np.nextafter(np.float32(1), 2))))["X"])


COMPRESSED = {
    "a.pkl": bytes,
    "a.pkl.gz": gzip.compress,
    "a.pkl.xz": lzma.compress,
    "A.PKL.BZ2": bz2.compress,
    "b.pickle": bytes,
    "events.dat": gzip.compress,
    "wrong.pkl.bz2": lzma.compress,
    "plain.pkl.bz2": bytes,
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(("name", "compress"), COMPRESSED.items(), ids=COMPRESSED)
def test_pickles_are_told_by_content(tmp_path, name, compress, protocol):
    path = tmp_path / name
    path.write_bytes(compress(pickle.dumps(lists(events()), protocol)))
    assert holds_events(path)
    assert recognise(path) == "mlpf"
    assert len(describe(path)) == 9
    np.testing.assert_array_equal(read(path)["X"][0], read(path)["X"][0])
    if name != "events.dat":  # in a folder names count
        assert list_event_files(tmp_path) == [path]
        assert recognise(tmp_path) == "mlpf"


def test_compressed_otherwise(tmp_path, monkeypatch):
    path = tmp_path / "a.pkl.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    with pytest.raises(InputError, match=r"a\.pkl\.zst: expected .* bz2, gzip, xz .* found zstd"):
        describe(path)
    whole = pickle.dumps(lists(events()))
    others = {
        "a.pkl.lzma": lzma.compress(whole, lzma.FORMAT_ALONE),
        "a.pkl.z": zlib.compress(whole),
    }
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=r"found (lzma|zlib); decompress it first"):
            describe(tmp_path / name)
    whole = lzma.compress(whole)
    path = tmp_path / "a.pkl.xz"
    for data, message in (
        (whole[:-50], "expected a whole xz file, found one cut short"),
        (whole[:60] + bytes(40) + whole[100:], "expected a readable xz file"),
        (lzma.compress(bytes(2**25)), "at most 16 MiB when decompressed"),
    ):
        monkeypatch.setattr(pickles, "MAX_BYTES", 2**24)
        path.write_bytes(data)
        with pytest.raises(InputError, match=rf"a\.pkl\.xz: .*{message}"):
            describe(path)
