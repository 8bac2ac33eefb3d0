"""ROOT files that are written: read back with uproot, and through a data card."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from hepjax import InputError, MissingExtraError
from hepjax.formats.root.tree import trees
from hepjax.formats.root.writer import root_showers
from hepjax.formats.showers.reader import open_showers
from hepjax.formats.table_writer import write_table

uproot = pytest.importorskip("uproot")


def pieces():
    for k in range(3):
        yield {
            "index": np.arange(2) + 2 * k, "score": np.array([0.25, 0.5]) + k,
            "half": np.array([1, 2], np.float16), "flag": np.array([True, False]),
        }  # fmt: skip


def test_a_table(tmp_path):
    path = tmp_path / "scores π.root"
    assert write_table(path, pieces(), {"run": "runs/a", "step": "7"}) == 6
    with uproot.open(path) as file:
        tree = file["events"]
        assert tree["index"].array().tolist() == list(range(6))
        assert tree["score"].array().tolist() == [0.25, 0.5, 1.25, 1.5, 2.25, 2.5]
        assert tree["half"].array().tolist() == [1, 2] * 3
        assert tree["flag"].array().tolist() == [True, False] * 3
        assert file["hepjax_run"] == "runs/a"
    assert trees(path)[0].entries == 6
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_hdf5_holds_the_same(tmp_path):
    assert write_table(tmp_path / "scores.h5", pieces(), {"run": "runs/a"}) == 6
    with h5py.File(tmp_path / "scores.h5") as file:
        assert file["index"][:].tolist() == list(range(6))
        assert file["score"].dtype == np.float64
        assert file.attrs["hepjax.run"] == "runs/a"


@pytest.mark.parametrize("name", ["a.root", "a.h5"])
def test_nothing_is_left_of_what_fails(tmp_path, name):
    def broken():
        yield {"index": np.arange(2)}
        raise InputError("no more")

    for rows, said in ((broken(), "no more"), (iter(()), "found none")):
        with pytest.raises(InputError, match=said):
            write_table(tmp_path / name, rows, {})
    assert list(tmp_path.iterdir()) == []


def test_texts_are_refused_in_root(tmp_path):
    with pytest.raises(InputError, match="expected columns of numbers, found <U1 in name"):
        write_table(tmp_path / "a.root", [{"name": np.array(["x"])}], {})
    assert list(tmp_path.iterdir()) == []


def test_showers_come_back_through_a_card(tmp_path):
    rng = np.random.default_rng(0)
    cells = rng.random((5, 25, 25, 25)).astype(np.float32)
    energy = np.arange(1.0, 6.0, dtype=np.float32)
    with root_showers(tmp_path / "a.root", {"unit": "GeV"}) as write:
        write({"ecal": cells[:3], "energy": energy[:3]})
        write({"ecal": cells[3:], "energy": energy[3:]})
    (tmp_path / "card.yaml").write_text(
        "root:\n  files: a.root\n"
        "  showers: {ecal: ecal, energy: energy, unit: GeV, calorimeter: clic-25}\n"
    )
    batch = open_showers(tmp_path / "card.yaml")[np.arange(5)]
    assert np.array_equal(batch["ecal"], cells)
    assert np.array_equal(batch["energy"], energy)


def test_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "uproot", None)
    for work in (
        lambda: write_table(tmp_path / "a.root", pieces(), {}), lambda: trees(tmp_path / "a.root"),
    ):  # fmt: skip
        with pytest.raises(MissingExtraError, match=r"pip install 'hepjax\[root\]'"):
            work()
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_root_is_imported_before_it_is_needed():
    code = (
        "import sys, hepjax.formats.recognise, hepjax.formats.table_writer; "
        "sys.exit('uproot' in sys.modules or 'awkward' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
