"""Which files a list of paths stands for: the same rules for every family."""

import os

import numpy as np
import pytest
from helpers import event_files
from helpers.packed_sets import GRID, LABELS, batch
from helpers.shower_files import showers, write_fixed

from hepjax import InputError
from hepjax.cli import main
from hepjax.formats import files, notes
from hepjax.formats.files import require_apart
from hepjax.formats.hdf5 import list_files
from hepjax.formats.jets.reader import list_jet_files
from hepjax.formats.packed.reader import open_packed
from hepjax.formats.packed.writer import write_packed
from hepjax.formats.particleflow.reader import holds_events, list_event_files, open_events
from hepjax.formats.recognise import recognise
from hepjax.formats.showers.reader import open_showers

LISTS = {"showers": list_files, "jets": list_jet_files, "events": list_event_files}


@pytest.fixture(autouse=True)
def _nothing_noted_before(monkeypatch):
    monkeypatch.setattr(notes, "_said", set())


def write(kind, path):
    if kind == "showers":
        return write_fixed(path, showers(20))
    if kind == "events":
        return event_files.write_hdf5(path, event_files.events())
    return jet_files_hdf5(path)


def jet_files_hdf5(path):
    import h5py

    with h5py.File(path, "w") as file:
        file["X"], file["y"] = np.ones((4, 8, 8, 2), "f4"), np.arange(4) % 2
    return path


@pytest.mark.parametrize("kind", LISTS)
def test_one_file_under_several_names_counts_once_and_is_noted(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    path = write(kind, tmp_path / "b.h5")
    (tmp_path / "c.h5").symlink_to("b.h5")
    os.link(path, tmp_path / "d.h5")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "e.h5").symlink_to(path)
    (tmp_path / "elsewhere").symlink_to("folder")
    found = LISTS[kind](["b.h5", "c.h5", "d.h5", str(path), "./b.h5", "folder", "elsewhere"])
    assert len(found) == 1
    assert found[0].samefile(path)
    said = capsys.readouterr().err
    assert "the same file as" in said
    assert said.count("\n") == 1
    (tmp_path / "copy.h5").write_bytes(path.read_bytes())
    assert len(LISTS[kind](["b.h5", "copy.h5"])) == 2


@pytest.mark.parametrize(
    ("files", "validation", "found"),
    [
        (["a.h5"], ["b.h5"], ""),
        (["a.h5"], ["a.h5"], "found it in both"),
        (["a.h5"], ["./a.h5"], "found it in both"),
        (["a.h5", "b.h5"], ["link.h5"], r"link\.h5: .* the same data, b\.h5 in both"),
        (["folder"], ["folder/c.h5"], r"folder/c\.h5: "),
        (["folder/c.h5"], ["folder"], r"folder/c\.h5: "),
        (["folder"], ["other"], ""),
        (["folder"], ["elsewhere"], "elsewhere: .* the same data, folder in both"),
        (["set:train"], ["set:test"], ""),
        (["set:train"], ["set:train"], "found it in both"),
        ([], ["a.h5"], ""),
    ],
)
def test_one_file_in_two_lists_is_refused(tmp_path, monkeypatch, files, validation, found):
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "other", "set"):
        (tmp_path / name).mkdir()
    for name in ("a.h5", "b.h5", "folder/c.h5", "other/d.h5", "README.md"):
        (tmp_path / name).write_text(name)
    for name in ("folder/README.md", "other/README.md"):  # no data
        (tmp_path / name).symlink_to("../README.md")
    (tmp_path / "link.h5").symlink_to("b.h5")
    (tmp_path / "elsewhere").symlink_to("folder")
    lists = {"data.files": files, "data.validation_files": validation}
    if not found:
        require_apart(lists)
        return
    with pytest.raises(InputError, match=found) as raised:
        require_apart(lists)
    assert "one of data.files and data.validation_files" in str(raised.value)


def test_one_packed_set_under_two_names_counts_once(tmp_path, capsys):
    packed = write_packed(tmp_path / "set", [batch(30)], GRID, LABELS, events_per_shard=20)
    (tmp_path / "link").symlink_to("set")
    assert len(open_packed([packed, tmp_path / "link"])) == 30
    assert "the same file as" in capsys.readouterr().err


@pytest.mark.parametrize("kind", LISTS)
def test_suffixes_count_in_any_case(tmp_path, kind):
    path = write(kind, tmp_path / "A.H5")
    (tmp_path / "README.TXT").write_text("what it is")
    assert LISTS[kind](tmp_path) == [path]
    path = path.rename(tmp_path / "a.HDF5")
    assert LISTS[kind](tmp_path) == [path]


@pytest.mark.parametrize("kind", LISTS)
def test_a_pipe_is_refused_at_once(tmp_path, capsys, kind):
    os.mkfifo(tmp_path / "p.h5")
    for read in (LISTS[kind], recognise, holds_events):
        with pytest.raises(InputError, match=r"p\.h5: expected a regular file, found a pipe"):
            read(tmp_path / "p.h5")
    assert main(["inspect", str(tmp_path / "p.h5")]) == 2
    assert "found a pipe" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.npz", "a.yaml", "a.csv", "a.root", "a.parquet"])
def test_a_pipe_of_any_suffix_is_not_waited_for(tmp_path, capsys, name):
    os.mkfifo(tmp_path / name)
    assert main(["inspect", str(tmp_path / name)]) == 2
    assert "found a pipe" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path)]) == 2


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("showers", "a.h5", "a.h5: expected a regular file, found a pipe"),
        ("jets", "a.npz", "expected a folder with data files, found none in it"),
        ("events", "a.pkl.bz2", "a.pkl.bz2: expected a regular file, found a pipe"),
    ],
)
def test_a_pipe_in_a_folder_is_refused_at_once(tmp_path, kind, name, found):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=found):
        LISTS[kind](tmp_path)


@pytest.mark.parametrize("kind", LISTS)
def test_a_link_that_leads_nowhere_names_its_target(tmp_path, kind):
    (tmp_path / "a.h5").symlink_to("gone.h5")
    with pytest.raises(InputError, match=r"a\.h5: .* found a link to gone\.h5, which is not there"):
        LISTS[kind](tmp_path / "a.h5")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may act as somebody else")
@pytest.mark.parametrize("read", [*LISTS.values(), recognise, holds_events, open_showers])
def test_a_folder_of_somebody_else(tmp_path, read):
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    write("showers", folder / "a.h5")
    tmp_path.chmod(0o755)
    os.seteuid(65534)
    try:
        for path in (folder, folder / "a.h5"):
            with pytest.raises(InputError, match=r"private.*: expected .* found no permission"):
                read(path)
    finally:
        os.seteuid(0)


def test_listing_keeps_the_order_of_names(tmp_path):
    for name in ("b.h5", "a.h5", "c.hdf5", ".hidden.h5", "d.txt"):
        write("showers", tmp_path / name)
    assert [path.name for path in list_files(tmp_path)] == ["a.h5", "b.h5", "c.hdf5"]
    assert files.as_paths("a") == files.as_paths(["a"])


def test_events_of_a_linked_file_are_not_on_both_sides(tmp_path):
    path = write("events", tmp_path / "a.h5")
    (tmp_path / "b.h5").symlink_to(path)
    assert len(open_events(tmp_path, buckets=[16])) == 9
