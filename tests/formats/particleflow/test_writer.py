"""MLPF events written in the published layouts, and read back."""

import bz2
import pickle
import resource
import signal

import numpy as np
import pytest

from hepjax import InputError
from hepjax.formats.particleflow.writer import dataset_name, write_events


def made(count, seed=0, jets=True):
    rng = np.random.default_rng(seed)
    for n in rng.integers(1, 30, count):
        event = {
            "X": rng.random((n, 12), np.float32),
            "ygen": rng.random((n, 7), np.float32),
            "ycand": rng.random((n, 7), np.float32),
        }
        yield {**event, "jet": rng.integers(0, 3, n).astype(np.float32)} if jets else event


def write(out, events, *, stem="tev14_toy_ttbar_0", dataset=("toy_ttbar_pf", "train")):
    return write_events(out, events, stem=stem, dataset=dataset, provenance={"generator": "a toy"})


def test_pickles_hold_a_hundred_events_and_float64_as_published(tmp_path):
    files = write(tmp_path, made(230), dataset=None)
    assert [f.name for f in files] == [f"tev14_toy_ttbar_0_{i}.pkl.bz2" for i in range(3)]
    contents = [pickle.loads(bz2.decompress(f.read_bytes())) for f in files]
    assert [len(c["X"]) for c in contents] == [100, 100, 30]
    events = list(made(230))
    for key in ("X", "ygen", "ycand"):
        arrays = [a for c in contents for a in c[key]]
        assert all(a.dtype == np.float64 for a in arrays)
        for array, event in zip(arrays, events, strict=True):
            np.testing.assert_array_equal(array, event[key])


def test_more_than_ten_pickles_come_in_the_order_of_their_events(tmp_path, monkeypatch):
    monkeypatch.setattr("hepjax.formats.particleflow.writer.EVENTS_PER_FILE", 1)
    files = write(tmp_path, made(12), dataset=None)
    assert [f.name.split(".")[0].rpartition("_")[2] for f in files] == [*map(str, range(12))]


def test_tfds_reads_the_data_set_without_tensorflow(tmp_path):
    import tensorflow_datasets as tfds

    (folder,) = write(tmp_path, made(120), stem=None)
    assert folder == tmp_path / "toy_ttbar_pf" / "1.2.0"
    builder = tfds.builder_from_directory(folder)
    assert builder.info.full_name == "toy_ttbar_pf/1.2.0"
    assert builder.info.metadata["generator"] == "a toy"
    source = builder.as_data_source()["train"]
    assert len(source) == 120
    for record, event in zip(source, made(120), strict=True):
        np.testing.assert_array_equal(record["X"], event["X"])
        for key in ("ygen", "ycand"):
            np.testing.assert_array_equal(record[key][:, :7], event[key])
            np.testing.assert_array_equal(record[key][:, 7], event["jet"])


def test_without_jets_their_column_is_zero(tmp_path):
    import tensorflow_datasets as tfds

    (folder,) = write(tmp_path, made(2, jets=False), stem=None)
    record = tfds.builder_from_directory(folder).as_data_source()["train"][0]
    assert record["ygen"].shape[1] == 8
    assert not record["ygen"][:, 7].any()


def test_the_same_events_give_the_same_bytes(tmp_path):
    first, second = write(tmp_path / "a", made(20)), write(tmp_path / "b", made(20))
    for a, b in zip(first, second, strict=True):
        files = sorted(a.iterdir()) if a.is_dir() else [a]
        for file in files:
            other = b / file.name if b.is_dir() else b
            assert file.read_bytes() == other.read_bytes()


def test_an_error_on_the_way_leaves_nothing(tmp_path):
    def broken():
        yield from made(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, broken())
    assert list(tmp_path.iterdir()) == []


def test_no_events_and_taken_names_are_refused(tmp_path):
    with pytest.raises(InputError, match="at least one event"):
        write(tmp_path, iter(()))
    files = write(tmp_path, made(2))
    before = files[0].read_bytes()
    with pytest.raises(InputError, match="choose another folder"):
        write(tmp_path, made(2, seed=1))
    assert files[0].read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("layout", ["pickle", "tfds"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, layout):
    chosen = {"dataset": None} if layout == "pickle" else {"stem": None}
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        with pytest.raises(InputError, match="expected to write it") as error:
            write(tmp_path, made(60), **chosen)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "File too large" in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected to write it"):
        write(tmp_path / "file", made(2))


def test_a_toy_never_bears_a_published_name():
    assert dataset_name("ttbar", toy=False) == "delphes_ttbar_pf"
    assert dataset_name("ttbar", toy=True) == "toy_ttbar_pf"
