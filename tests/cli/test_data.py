"""``hepjax data``: listed, shown, and got from a server on this machine or a folder."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from helpers.web import site

from hepjax.cli import main
from hepjax.formats.catalogue import sets
from hepjax.formats.catalogue.sets import PublicFile

ONE, TWO = b"one" * 1000, b"two" * 500
NAME = "calochallenge-2"


def md5(content):
    return "md5", hashlib.md5(content).hexdigest()


@pytest.fixture
def web(monkeypatch):
    """The set calochallenge-2 with two small files at a server here: of one the md5 is stated, of
    the other, whose name has a space and Greek letters, nothing."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with site() as made:
        made.files |= {"/1.hdf5": ONE, "/%CF%80%20and%20%CE%BC.hdf5": TWO}
        files = (
            PublicFile("1.hdf5", f"{made.address}/1.hdf5", len(ONE), md5(ONE)),
            PublicFile("π and μ.hdf5", f"{made.address}/%CF%80%20and%20%CE%BC.hdf5"),
        )
        public = replace(sets.find(NAME), files=files)
        monkeypatch.setitem(sets.catalogue(), NAME, public)
        yield made


def get(out, *more, name=NAME):
    return main(["data", "get", name, "--out", str(out), "--quiet", *more])


def test_list_and_show(capsys):
    assert main(["data", "list"]) == 0
    listed = capsys.readouterr().out
    assert "calochallenge-2" in listed
    assert main(["data", "list", "--json"]) == 0
    assert {s["name"] for s in json.loads(capsys.readouterr().out)["sets"]} == set(sets.catalogue())
    assert main(["data", "show", "zjets"]) == 0
    shown = capsys.readouterr().out
    assert "https://zenodo.org/records/3548091" in shown
    assert "checksums stated: 68" in shown
    assert main(["data", "show", "calochallange-2", "--json"]) == 2
    assert "did you mean calochallenge-2?" in capsys.readouterr().err


def test_get_and_again(web, tmp_path, capsys):
    out = tmp_path / "mine π"
    assert get(out) == 0
    said = capsys.readouterr().out
    assert "2 files, 0.0 MB, 2 fetched now; 1 checked against what is stated" in said
    assert "of 1 nobody states size or checksum (π and μ.hdf5 ...)" in said
    assert f"use: hepjax train calo/flow 'data.files=[{out}/dataset_2_1.hdf5]'" in said
    assert (out / "1.hdf5").read_bytes() == ONE
    assert (out / "π and μ.hdf5").read_bytes() == TWO
    assert sorted(p.name for p in out.iterdir()) == [
        "1.hdf5", "public-data.json", "π and μ.hdf5",
    ]  # fmt: skip
    asked = len(web.asked)
    assert get(out, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert [file["new"] for file in report["files"]] == [False, False]
    assert report["files"][1]["sha256"] == hashlib.sha256(TWO).hexdigest()
    assert len(web.asked) == asked


def test_only_some(web, tmp_path):
    assert get(tmp_path / "out", "--files", "π*") == 0
    assert not (tmp_path / "out/1.hdf5").exists()


@pytest.mark.parametrize("same_size", [True, False])
def test_another_file_than_stated_is_not_kept(web, tmp_path, capsys, same_size):
    web.files["/1.hdf5"] = ONE[::-1] if same_size else ONE + b"x"
    assert get(tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert ("1.hdf5: expected md5 " if same_size else "expected 3,000 bytes") in error
    assert not (tmp_path / "out/1.hdf5").exists()
    web.files["/1.hdf5"] = ONE
    assert get(tmp_path / "out") == 0


@pytest.mark.parametrize("name", ["1.hdf5", "π and μ.hdf5"])
def test_files_that_are_there_are_not_overwritten(web, tmp_path, capsys, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_bytes(b"mine")
    assert get(out) == 2
    assert "it is not overwritten: move it away" in capsys.readouterr().err
    assert (out / name).read_bytes() == b"mine"


def test_a_file_that_changed_since(web, tmp_path, capsys):
    out = tmp_path / "out"
    assert get(out) == 0
    (out / "π and μ.hdf5").write_bytes(b"changed")
    assert get(out) == 2
    assert "expected the file that came first" in capsys.readouterr().err
    (out / "public-data.json").write_text("{")
    assert get(out) == 2
    assert "expected the record that hepjax writes" in capsys.readouterr().err


def test_a_good_file_that_was_there(web, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "1.hdf5").write_bytes(ONE)
    assert get(out, "--files", "1.hdf5") == 0
    assert web.asked == []


def test_mirrors(web, tmp_path, capsys):
    assert get(tmp_path / "a", "--mirror", f"{web.address}/") == 0
    assert get(tmp_path / "b", "--mirror", str(tmp_path / "a")) == 0
    assert (tmp_path / "b/π and μ.hdf5").read_bytes() == TWO
    assert get(tmp_path / "c", "--mirror", str(tmp_path / "none")) == 2
    assert "--mirror: expected a folder or an address" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
    (tmp_path / "a/1.hdf5").write_bytes(ONE[::-1])
    assert get(tmp_path / "d", "--mirror", str(tmp_path / "a")) == 2
    assert "expected md5" in capsys.readouterr().err
    assert get(tmp_path / "e", "--mirror", "ftp://x") == 2
    assert get(tmp_path / "e", name="trackml") == 2
    assert "expected --mirror with a folder that has train_sample.zip" in capsys.readouterr().err


def test_a_set_whose_record_lists_it(web, tmp_path, monkeypatch, capsys):
    """The archive is unpacked, and one that climbs out is refused."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("inside")
    packed = shutil.make_archive(str(tmp_path / "clic"), "gztar", tmp_path / "in")
    with open(packed, "rb") as file:
        content = web.files["/clic.tar.gz"] = file.read()
    item = {
        "key": "clic.tar.gz", "size": len(content), "checksum": ":".join(md5(content)),
        "links": {"self": f"{web.address}/clic.tar.gz"},
    }  # fmt: skip
    web.files["/read%20me"] = b"not an archive"
    readme = {
        "key": "read me", "size": 14, "checksum": ":".join(md5(b"not an archive")),
        "links": {"self": f"{web.address}/read%20me"},
    }  # fmt: skip
    web.files["/api"] = json.dumps({"files": [item, readme]}).encode()
    public = replace(sets.find("clic-angle"), listing=f"{web.address}/api")
    monkeypatch.setitem(sets.catalogue(), "clic-angle", public)
    out = tmp_path / "out"
    assert get(out, name="clic-angle") == 0
    assert (out / "clic/a.txt").read_text() == "inside"
    assert (out / "read me").read_bytes() == b"not an archive"
    assert get(out, name="clic-angle") == 0
    assert get(tmp_path / "other", "--mirror", str(out), "--files", "*.gz", name="clic-angle") == 0
    assert (tmp_path / "other/clic/a.txt").exists()
    capsys.readouterr()
    assert get(tmp_path / "x", "--mirror", web.address, name="clic-angle") == 2
    assert "expected a folder for clic-angle" in capsys.readouterr().err
    web.files["/api"] = b"<html>"
    assert get(tmp_path / "x", name="clic-angle") == 2
    assert "give their folder with --mirror" in capsys.readouterr().err


def test_packed(web, tmp_path, monkeypatch, capsys):
    """Images come out as hepjax pack makes them, channels and labels being those of the entry."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "two.npz", X=rng.random((6, 32, 32, 2), np.float32), y=np.array([0, 1] * 3))
    web.files["/two.npz"] = (tmp_path / "two.npz").read_bytes()
    files = (PublicFile("two.npz", f"{web.address}/two.npz"),)
    public = replace(sets.find("cms-egamma"), files=files)
    monkeypatch.setitem(sets.catalogue(), "cms-egamma", public)
    packed = tmp_path / "packed"
    assert get(tmp_path / "out", "--pack", str(packed), name="cms-egamma") == 0
    manifest = json.loads((packed / "manifest.json").read_text())
    assert "photon" in json.dumps(manifest)
    assert f"packed: {packed}" in capsys.readouterr().out
