"""Files that only one of several workers makes, also without hard links."""

import errno
import os
import subprocess
import sys

import pytest

from hepjax import InputError
from hepjax.studies import shared_files


@pytest.mark.parametrize("links", [True, False])
def test_one_of_many_makes_a_file(tmp_path, monkeypatch, links):
    def refused(*args):
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", refused)
    assert shared_files.create(tmp_path / "a", {"by": 1})
    assert not shared_files.create(tmp_path / "a", {"by": 2})
    assert shared_files.read(tmp_path / "a") == {"by": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_processes_that_race_make_each_file_once(tmp_path):
    code = """
import sys
from pathlib import Path
from hepjax.studies.shared_files import create
folder = Path(sys.argv[1])
print(*[n for n in range(200) if create(folder / f"{n}", {})])
"""
    argv = [sys.executable, "-c", code, str(tmp_path)]
    workers = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    made = [int(n) for worker in workers for n in worker.communicate()[0].split()]
    assert sorted(made) == list(range(200))


def test_a_link_whose_answer_was_lost_is_ours(tmp_path, monkeypatch):
    """NFS: the server makes the link, the retry of the client says that it exists."""
    link = os.link

    def answer_lost(source, target):
        link(source, target)
        raise FileExistsError(errno.EEXIST, "exists")

    monkeypatch.setattr(os, "link", answer_lost)
    assert shared_files.create(tmp_path / "a", {})


def test_a_disk_that_refuses_is_told_in_one_line(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"a: expected to write it, found: No space left"):
        shared_files.create(tmp_path / "a", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_damage_reads_as_nothing(tmp_path, text):
    (tmp_path / "a").write_text(text)
    assert shared_files.read(tmp_path / "a") is None
    assert shared_files.read(tmp_path / "b") is None
