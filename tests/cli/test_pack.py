"""``hepjax pack`` end to end: jets and showers in, a set out, one line when it cannot."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.gan3d import TINY, raw_showers
from helpers.shower_files import showers

from benchmarks.speed.legacy_layouts import write_hdf5, write_nested_parquet
from hepjax.cli import main
from hepjax.formats.images import Channel, Grid, densify, sparsify
from hepjax.formats.packed.reader import open_packed
from hepjax.formats.showers.reader import open_showers
from hepjax.formats.showers.writer import write_showers
from hepjax.workloads.gan3d.workload import WORKLOAD

GRID = Grid((25, 25), tuple(Channel(name, "1") for name in ("pT", "ECAL", "HCAL")))


def jets(n):
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((n, 25, 25, 3)) < 0.03, rng.normal(size=(n, 25, 25, 3)), 0)
    towers = np.where(rng.random((n, 5, 5)) < 0.3, rng.exponential(size=(n, 5, 5)), 0)
    dense[..., 2] = np.repeat(np.repeat(towers, 5, 1), 5, 2)
    columns = {
        "label": rng.integers(0, 2, n).astype(np.int32),
        "pt": rng.uniform(70, 200, n).astype(np.float32),
        "mass": rng.uniform(5, 30, n).astype(np.float32),
    }
    return sparsify(dense.astype(np.float32), GRID), columns


@pytest.mark.parametrize("write", [write_nested_parquet, write_hdf5])
def test_jets_of_two_files(tmp_path, capsys, write):
    images, columns = jets(40)
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write(tmp_path / "in" / name, images, columns, GRID)
    out = tmp_path / "set"
    command = [
        "pack", str(tmp_path / "in"), "--out", str(out), "--workers", "1", "--quiet",
        "--channels", "pT,ECAL,HCAL", "--labels", "0=gluon,1=quark",
    ]  # fmt: skip
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    quarks = int(columns["label"].sum())
    assert report["events"] == 80
    assert report["input_files"] == 2
    assert report["events_by_label"] == {"gluon": 80 - 2 * quarks, "quark": 2 * quarks}
    assert report["channels"] == {"pT": 1, "ECAL": 1, "HCAL": 5}
    source = open_packed(out)
    assert source.units["mass"] == "GeV"
    raw = source[np.arange(40, 80)]
    inside = raw["cell"] < source.grid.size
    first = np.concatenate([[0], np.cumsum(inside.sum(1))])
    read = type(images)(first, raw["cell"][inside].astype(np.uint32), raw["value"][inside])
    assert np.array_equal(densify(read, source.grid), densify(images, GRID))
    assert np.array_equal(raw["label"], columns["label"])
    assert np.array_equal(raw["pt"], columns["pt"])
    assert main(command) == 0
    assert "80 events, all counted and verified" in capsys.readouterr().out


def test_showers(tmp_path, capsys):
    files = write_showers(tmp_path / "h5", [showers(30)], layout="fixed", events_per_file=20)
    command = ["pack", str(tmp_path / "h5"), "--out", str(tmp_path / "set"), "--workers", "1"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "30 events, all counted and verified (files: 2, shards: 1)" in captured.out
    assert "30/30 events" in captured.err
    a, b = open_showers(files)[np.arange(30)], open_showers(tmp_path / "set")[np.arange(30)]
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert main(["pack", str(tmp_path / "set"), "--out", str(tmp_path / "again")]) == 2
    assert "set: expected files to pack, found a packed set" in capsys.readouterr().err


def test_the_3dgan_reads_packed_showers(tmp_path):
    made = raw_showers(40)
    write_showers(tmp_path / "h5", [made], layout="fixed", events_per_file=20)
    packed = str(tmp_path / "set")
    command = ["pack", str(tmp_path / "h5"), "--out", packed, "--workers", "1", "--quiet"]
    assert main(command) == 0
    low, high = 100.0, 400.0
    data = replace(TINY.data, files=(packed,), energy_range=(low, high))
    sources = WORKLOAD.sources(replace(TINY, data=data))
    kept = np.flatnonzero((made["energy"] >= low) & (made["energy"] <= high))
    assert len(sources.train) + len(sources.validation) == len(kept)
    batch = sources.train[np.array([3, 0])]
    assert np.array_equal(batch["ecal"], made["ecal"][kept[[3, 0]]])
    assert np.array_equal(batch["energy"], made["energy"][kept[[3, 0]]])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--labels", "0=gluon,quark"], "--labels: expected for example 0=qcd,1=top"),
        (["--labels", "0=gluon"], "expected a label out of 0=gluon, found 1"),
        (
            ["--labels", "0=gluon,1=quark", "--channels", "pT,HCAL"],
            "expected 2 channels (pT,HCAL), found 3",
        ),
        (["--labels", "0=gluon,1=quark", "--workers", "0"], "workers: expected at least 1"),
    ],
)
def test_one_line_when_the_options_do_not_fit(tmp_path, capsys, options, line):
    path = write_nested_parquet(tmp_path / "jets.parquet", *jets(20), GRID)
    options = ["--channels", "pT,ECAL,HCAL", *options] if "--channels" not in options else options
    assert main(["pack", str(path), "--out", str(tmp_path / "set"), "--quiet", *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert line in error
    assert not (tmp_path / "set" / "manifest.json").exists()


def test_one_line_when_the_files_do_not_fit(tmp_path, capsys):
    assert main(["pack", str(tmp_path / "none"), "--out", str(tmp_path / "set")]) == 2
    assert "none: expected a file or folder, found none" in capsys.readouterr().err
    (path,) = write_showers(tmp_path / "h5", [showers(5)], layout="fixed", events_per_file=5)
    command = ["pack", str(path), "--out", str(tmp_path / "set"), "--labels", "0=a"]
    assert main(command) == 2
    assert "--labels: expected none for showers" in capsys.readouterr().err
    path.write_bytes(path.read_bytes()[:1000])
    assert main(["pack", str(path), "--out", str(tmp_path / "set")]) == 2
    assert "cut short" in capsys.readouterr().err
