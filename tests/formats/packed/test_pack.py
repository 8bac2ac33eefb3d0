"""Packing files: the same set from any number of workers, resumed after a kill, never mixed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.packed_sets import bits, dense_of, jets, memory_files

from hepjax import HepjaxError, InputError
from hepjax.formats.jets.reader import open_jets
from hepjax.formats.packed import pack as packing
from hepjax.formats.packed.pack import pack
from hepjax.formats.packed.reader import open_packed

UNITS = {"pt": "GeV"}


@pytest.fixture(autouse=True)
def shards_of_30(monkeypatch):
    """Small shards, so that few events make several."""
    monkeypatch.setattr(packing, "EVENTS_PER_SHARD", 30)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_events_come_in_the_order_of_the_files(tmp_path):
    files = memory_files(tmp_path, events=(10, 25, 100, 5))
    manifest = pack(files, tmp_path / "set", units=UNITS, workers=1)
    # Small files share a shard, the large one fills three.
    assert [shard.events for shard in manifest.shards] == [35, 34, 34, 32, 5]
    assert manifest.events == 140
    assert [f["path"] for f in manifest.made_from["files"]] == [str(f.path) for f in files]
    source = open_packed(tmp_path / "set")
    dense = np.concatenate([jets(file.events, file.seed)[0] for file in files])
    assert np.array_equal(dense_of(source[np.arange(140)], source.grid), dense)
    assert source.units == UNITS
    assert not list((tmp_path / "set").glob(".*"))


def test_files_without_random_access_are_not_split(tmp_path):
    files = memory_files(tmp_path, events=(100, 20), layout="tfrecord")
    for _ in range(2):
        manifest = pack(files, tmp_path / "set", units={}, workers=1)
        assert [shard.events for shard in manifest.shards] == [100, 20]


def test_any_number_of_workers_gives_the_same_bytes(tmp_path):
    files = memory_files(tmp_path)
    for workers in (1, 2):
        pack(files, tmp_path / f"set{workers}", units=UNITS, workers=workers)
    assert contents(tmp_path / "set1") == contents(tmp_path / "set2")


KILLED = """
import sys
from dataclasses import replace
from helpers.packed_sets import memory_files
from hepjax.formats.packed import pack as packing
packing.EVENTS_PER_SHARD = 30
files = memory_files(sys.argv[1])
files[2] = replace(files[2], kill_at=20)
packing.pack(files, sys.argv[1] + "/set", units={"pt": "GeV"}, workers=1)
"""


def test_a_killed_pack_resumes_with_the_finished_shards(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    folder = tmp_path / "set"
    assert sorted(contents(folder)) == ["pack.json", "shard-00000.parquet", "shard-00001.parquet"]
    with pytest.raises(InputError, match=r"interrupted\? run again: hepjax pack"):
        open_packed(folder)
    (folder / ".shard-00002.parquet.1.tmp").write_text("half")
    damaged = folder / "shard-00001.parquet"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:100] + b"?" + whole[101:])
    kept = (folder / "shard-00000.parquet").stat().st_mtime_ns

    files = memory_files(tmp_path)
    manifest = pack(files, folder, units=UNITS, workers=1)
    assert (folder / "shard-00000.parquet").stat().st_mtime_ns == kept
    assert damaged.read_bytes() == whole
    pack(files, tmp_path / "fresh", units=UNITS, workers=1)
    assert contents(folder) == contents(tmp_path / "fresh")
    assert manifest.events == 90


def test_the_same_command_again_finds_all_done(tmp_path):
    files = memory_files(tmp_path)
    pack(files, tmp_path / "set", units=UNITS, workers=1)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set").glob("*.parquet")}
    pack(files, tmp_path / "set", units=UNITS, workers=1)
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set").glob("*.parquet")}
    assert before == after


def test_a_folder_of_other_input_is_refused_by_name(tmp_path):
    files = memory_files(tmp_path)
    folder = tmp_path / "set"
    pack(files, folder, units=UNITS, workers=1)
    with pytest.raises(InputError, match="a set packed from 3 files, not 2"):
        pack(files[:2], folder, units=UNITS, workers=1)
    other = [replace(file, labels={0: "g", 1: "q"}) for file in files]
    with pytest.raises(InputError, match=r"set: expected .* a set packed with labels"):
        pack(other, folder, units=UNITS, workers=1)
    files[1].path.write_text("other")
    with pytest.raises(InputError, match=r"a set packed from 3 files \(.*input1: changed since\)"):
        pack(files, folder, units=UNITS, workers=1)
    (folder / "manifest.json").unlink()
    with pytest.raises(InputError, match="found other Parquet files; choose another folder"):
        pack(files, folder, units=UNITS, workers=1)


def test_what_is_wrong_with_a_file_names_it(tmp_path):
    (short,) = memory_files(tmp_path, events=(50,), missing=3)
    with pytest.raises(InputError, match="input0: expected events 0 to 50, found only 47"):
        pack([short], tmp_path / "short", units={}, workers=1)
    (bad,) = memory_files(tmp_path, events=(50,), nan_at=31)
    with pytest.raises(InputError, match=r"input0: .* found nan in event 31, channel d0"):
        pack([bad], tmp_path / "bad", units={}, workers=1)
    assert not (tmp_path / "bad").exists()
    (tmp_path / "bad").mkdir()
    with pytest.raises(InputError, match="found nan in event 31"):
        pack([bad], tmp_path / "bad", units={}, workers=1)
    assert not contents(tmp_path / "bad")  # a folder that was there stays, with nothing in it
    (good,) = memory_files(tmp_path, events=(20,))
    pack([good], tmp_path / "bad", units={}, workers=1)
    assert len(open_packed(tmp_path / "bad")) == 20
    with pytest.raises(InputError, match="workers: expected at least 1, found 0"):
        pack([bad], tmp_path / "none", units={}, workers=0)


def test_errors_and_deaths_of_workers_arrive(tmp_path):
    files = memory_files(tmp_path)
    files[1] = replace(files[1], nan_at=3)
    with pytest.raises(InputError, match=r"input1: .* found nan in event 3"):
        pack(files, tmp_path / "nan", units={}, workers=2)
    files = memory_files(tmp_path, kill_at=10)
    with pytest.raises(HepjaxError, match=r"one was killed .* fewer --workers"):
        pack(files, tmp_path / "killed", units={}, workers=2)
    assert json.loads((tmp_path / "killed" / "pack.json").read_text())["events_per_shard"] == 30


def test_the_400_dense_jets_of_pythia_and_delphes(tmp_path, reference_data):
    path = reference_data / "jets_top_qcd_dense400.parquet"
    labels = {0: "qcd", 1: "top"}
    channels = ("pT", "d0", "dz", "ECAL", "HCAL", "BPIX1", "BPIX2", "BPIX3")
    files = open_jets(path, channels=channels, labels=labels)
    pack(files, tmp_path / "set", units=UNITS, workers=1)
    source = open_packed(tmp_path / "set")
    table = pq.ParquetFile(path)
    for group, rows in ((0, np.arange(32)), (12, np.arange(384, 400))):
        stored = table.read_row_group(group)
        pixels = stored.column("X_jet").combine_chunks().flatten().flatten().flatten()
        dense = pixels.to_numpy().astype(np.float32).reshape(-1, 8, 125, 125)
        read = dense_of(source[rows], source.grid)
        assert np.array_equal(bits(read), bits(np.moveaxis(dense, 1, -1)))
