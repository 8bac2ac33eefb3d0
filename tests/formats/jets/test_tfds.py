"""Jet images in a TFDS folder, prepared and read without TensorFlow."""

import shutil
import sys

import numpy as np
import pytest
from helpers.jet_files import CHANNELS, GRID, assert_same, jets, read_all

from benchmarks.speed import legacy_layouts as legacy
from hepjax import InputError
from hepjax.formats.jets.reader import open_jets
from hepjax.formats.recognise import recognise

MADE = jets(12)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Splits of 9 and 3 jets with named classes."""
    folder = tmp_path_factory.mktemp("tfds") / "1.0.0"
    splits = {"train": 9, "test": 3}
    return legacy.write_tfds(folder, *MADE, GRID, splits=splits, classes=["qcd", "top"])


def test_a_folder_reads_split_after_split(prepared, capfd):
    (file,) = open_jets(prepared, channels=CHANNELS)
    assert (file.layout, file.events, file.labels) == ("tfds", 12, {0: "qcd", 1: "top"})
    assert recognise(prepared) == "jets"
    assert_same(read_all(prepared, labels=None), MADE)
    assert_same(read_all(prepared, batch=4, start=7, stop=11), MADE, 7, 11)
    assert "tensorflow" not in sys.modules
    assert capfd.readouterr() == ("", "")


def test_channels_have_to_be_named(prepared):
    with pytest.raises(InputError, match=r"found 3 without names; .* --channels pT,ECAL,HCAL"):
        open_jets(prepared)


def damaged(prepared, folder, change):
    shutil.copytree(prepared, folder)
    change(folder)
    with pytest.raises(InputError, match=rf"^{folder}: expected [^\n]+"):
        read_all(folder)


def test_damaged_folders(prepared, tmp_path):
    train = "jets-train.array_record-00000-of-00001"
    whole = (prepared / train).read_bytes()
    damaged(prepared, tmp_path / "1", lambda f: (f / train).unlink())
    damaged(prepared, tmp_path / "2", lambda f: (f / train).write_bytes(whole[:-100]))
    damaged(prepared, tmp_path / "3", lambda f: (f / train).write_bytes(b""))
    damaged(prepared, tmp_path / "4", lambda f: (f / "features.json").write_text("{"))
    damaged(prepared, tmp_path / "5", lambda f: (f / "dataset_info.json").write_text("[]"))
    flipped = bytearray(whole)
    written = np.flatnonzero(np.frombuffer(whole, np.uint8))  # the file is padded with zeros
    flipped[written[len(written) // 2]] ^= 1
    damaged(prepared, tmp_path / "6", lambda f: (f / train).write_bytes(flipped))


def test_the_library_prints_nothing_between_our_lines(prepared, tmp_path, capfd):
    def other_type(folder):
        path = folder / "features.json"
        path.write_text(path.read_text().replace("float32", "floatXY"))

    damaged(prepared, tmp_path / "7", other_type)
    assert capfd.readouterr().out == ""


def test_folders_of_another_file_format(prepared, tmp_path):
    folder = tmp_path / "jets"
    shutil.copytree(prepared, folder)
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    with pytest.raises(InputError, match="array_record files, found tfrecord; give its TFRecord"):
        open_jets(folder, channels=CHANNELS)
