"""HDF5 files that are whole but not at hand: in use, without locks, compressed, or in parts."""

import errno
import subprocess
import sys

import h5py
import numpy as np
import pytest
from helpers.shower_files import showers, write_fixed

from hepjax import InputError
from hepjax.formats import hdf5, hdf5_filters
from hepjax.formats.particleflow.reader import holds_events
from hepjax.formats.recognise import container, recognise
from hepjax.formats.showers.reader import open_showers

MADE = showers(20)
TARGET = np.stack([MADE["energy"], MADE["energy"]], axis=1)

WRITER = """
import os, sys, h5py, numpy as np
file = h5py.File(sys.argv[1], "w", libver=sys.argv[2])
file["ECAL"], file["target"] = np.ones((4, 5, 5, 4)), np.ones((4, 2))
if sys.argv[3] == "swmr":
    file.swmr_mode = True
file.flush()
print("open", flush=True)
sys.stdin.read()
os._exit(9)
"""


def refused(path, message):
    with pytest.raises(InputError, match=rf"^\S*{path.name}: {message}") as raised:
        open_showers(path)
    assert "copy it again" not in str(raised.value)


@pytest.mark.parametrize(
    ("version", "mode", "during", "after"),
    [
        ("latest", "plain", "another program has it open|that another program has open", "h5clear"),
        ("latest", "swmr", "h5clear -s", "h5clear -s"),
    ],
)
def test_a_file_that_a_writer_holds_or_never_closed(tmp_path, version, mode, during, after):
    path = tmp_path / "a.h5"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, path, version, mode],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as writer:  # fmt: skip
        writer.stdout.readline()
        refused(path, f".*({during})")
        writer.stdin.close()
        writer.wait()
    refused(path, f".*{after}")


@pytest.mark.parametrize("number", [37, 38, 95, 524])
def test_a_file_system_without_locks(tmp_path, monkeypatch, number):
    path = write_fixed(tmp_path / "a.h5", MADE)
    real = h5py.File

    def without_locks(name, mode, locking=None):
        if locking is None:
            raise OSError(number, f"unable to lock file, errno = {number}")
        return real(name, mode, locking=locking)

    monkeypatch.setattr(hdf5.h5py, "File", without_locks)
    source = open_showers(path)
    np.testing.assert_array_equal(source[np.arange(20)]["ecal"], MADE["ecal"])


@pytest.mark.parametrize(
    ("number", "name"), [(32001, "Blosc"), (32015, "Zstandard"), (32004, "LZ4"), (39999, "39999")]
)
def test_a_filter_that_is_not_installed_is_named(tmp_path, monkeypatch, number, name):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)  # importing it fails
    monkeypatch.setattr(hdf5_filters.h5py.h5z, "filter_avail", lambda found: found != number)
    path = tmp_path / "a.h5"
    monkeypatch.setattr(
        hdf5_filters, "filters", lambda dataset: [(number, hdf5_filters.NAMES.get(number, "39999"))]
    )
    with pytest.raises(
        InputError, match=rf"a\.h5: .*'ECAL' .* found {name} .*hepjax\[hdf5plugin\]"
    ):
        open_showers(write_fixed(path, MADE))


@pytest.mark.parametrize("name", ["Blosc", "Zstd", "LZ4", "Bitshuffle"])
def test_filters_of_the_extra_are_read(tmp_path, name):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(
            "ECAL", data=MADE["ecal"], chunks=(8, 5, 5, 4), **getattr(hdf5plugin, name)()
        )
        file["target"] = TARGET
    source = open_showers(tmp_path / "a.h5")
    np.testing.assert_array_equal(source[np.arange(20)]["ecal"], MADE["ecal"])
    said = hdf5.list_datasets(tmp_path / "a.h5")["ECAL"]["compression"]
    assert name[:2].lower() in said.lower()


def virtual(path, *parts, events=20, shape=(10, 5, 5, 4)):
    layout = h5py.VirtualLayout((events, 5, 5, 4), "f4")
    for k, part in enumerate(parts):
        layout[k * shape[0] : (k + 1) * shape[0]] = h5py.VirtualSource(part, "ECAL", shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("ECAL", layout)
        file["target"] = TARGET
    return path


@pytest.fixture
def halves(tmp_path):
    (tmp_path / "parts").mkdir()
    for k, name in enumerate("ab"):
        half = {field: values[10 * k : 10 * k + 10] for field, values in MADE.items()}
        write_fixed(tmp_path / "parts" / f"{name}.h5", half, chunk=5)
    return ["parts/a.h5", "parts/b.h5"]


def test_a_whole_virtual_dataset_is_read_from_any_directory(tmp_path, halves):
    path = virtual(tmp_path / "v.h5", *halves)
    source = open_showers(path)
    np.testing.assert_array_equal(source[np.arange(20)]["ecal"], MADE["ecal"])


def test_a_virtual_dataset_with_gaps_names_what_is_missing(tmp_path, halves):
    refused(virtual(tmp_path / "v.h5", halves[0], "gone.h5"), ".* the file gone.h5, .* is missing")
    refused(virtual(tmp_path / "v.h5", halves[0]), r".* its 1 sources hold 1000 of 2000 numbers")
    refused(
        virtual(tmp_path / "v.h5", halves[0], shape=(20, 5, 5, 4)),
        r".* 'ECAL' in \S*a\.h5 has shape \(10, 5, 5, 4\), less than",
    )
    with h5py.File(tmp_path / halves[1], "w") as file:
        file["HCAL"] = MADE["ecal"]
    refused(virtual(tmp_path / "v.h5", *halves), r".* \S*b\.h5 has no dataset 'ECAL'")
    with h5py.File(tmp_path / halves[1], "w") as file:
        file.create_dataset("ECAL", (10, 5, 5, 4), "f4", chunks=(5, 5, 5, 4))
    with pytest.raises(InputError, match=r"b\.h5: .* some were never written"):
        open_showers(virtual(tmp_path / "v.h5", *halves))


def test_external_links_are_followed_and_dead_ones_name_the_file(tmp_path, halves):
    whole = write_fixed(tmp_path / "parts" / "whole.h5", MADE)
    path = tmp_path / "l.h5"
    with h5py.File(path, "w") as file:
        file["ECAL"] = h5py.ExternalLink("parts/whole.h5", "/ECAL")
        file["target"] = TARGET
    assert recognise(path) == "clic"
    np.testing.assert_array_equal(open_showers(path)[np.arange(20)]["ecal"], MADE["ecal"])
    whole.unlink()
    assert recognise(path) == "clic"
    refused(path, ".*a link to the file parts/whole.h5, which is missing")
    with h5py.File(path, "a") as file:
        del file["ECAL"]
        file["ECAL"] = h5py.SoftLink("/cells")
    refused(path, ".*a link to '/cells', which is not there")


def test_raw_files_are_read_and_missing_or_short_ones_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "r.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "ECAL", shape=MADE["ecal"].shape, dtype="f4",
            external=[("cells.bin", 0, h5py.h5f.UNLIMITED)],
        )  # fmt: skip
        file["target"] = TARGET
    refused(path, ".* in the file cells.bin, found none of this name")
    MADE["ecal"][:19].tofile("cells.bin")
    with pytest.raises(InputError, match=r"expected 8000 bytes .*cells\.bin, found 7600"):
        open_showers(path)
    MADE["ecal"].tofile("cells.bin")
    np.testing.assert_array_equal(open_showers(path)[np.arange(20)]["ecal"], MADE["ecal"])


def test_virtual_datasets_that_grow_are_read_and_loops_refused(tmp_path, halves):
    for k, half in enumerate(halves):
        (tmp_path / half).rename(tmp_path / f"part{k}.h5")
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    space = h5py.h5s.create_simple((20, 5, 5, 4), (h5py.h5s.UNLIMITED, 5, 5, 4))
    space.select_hyperslab((0,) * 4, (h5py.h5s.UNLIMITED, 1, 1, 1), (10, 1, 1, 1), (10, 5, 5, 4))
    plan.set_virtual(space, b"part%b.h5", b"ECAL", h5py.h5s.create_simple((10, 5, 5, 4)))
    space = h5py.h5s.create_simple((20, 5, 5, 4), (h5py.h5s.UNLIMITED, 5, 5, 4))
    with h5py.File(tmp_path / "v.h5", "w") as file:
        h5py.h5d.create(file.id, b"ECAL", h5py.h5t.NATIVE_FLOAT, space, plan)
        file["target"] = TARGET
    source = open_showers(tmp_path / "v.h5")
    np.testing.assert_array_equal(source[np.arange(20)]["ecal"], MADE["ecal"])
    (tmp_path / "part1.h5").unlink()
    refused(tmp_path / "v.h5", r".* as many rows in 'target' as showers \(10\), found 20")
    refused(virtual(tmp_path / "w.h5", ".", shape=(20, 5, 5, 4)), ".* it is its own source")


@pytest.mark.parametrize("call", [hdf5.is_hdf5, holds_events, container])
def test_a_file_that_may_not_be_looked_at_is_named(call, tmp_path, monkeypatch):
    """What h5py says of it is a page without the name where we have it."""

    def refuse(path):
        raise PermissionError(errno.EACCES, f"Unable to determine if {path} is accessible as hdf5")

    (tmp_path / "a.h5").write_bytes(b"x" * 100)
    monkeypatch.setattr(h5py, "is_hdf5", refuse)
    with pytest.raises(InputError) as error:
        call(tmp_path / "a.h5")
    said = f"{tmp_path}/a.h5: expected a readable file, found: Permission denied"
    assert str(error.value) == said
