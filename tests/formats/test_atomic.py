"""Files and folders appear whole or not at all, whatever the disk or the program does."""

import json
import os
import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hepjax import InputError
from hepjax.formats import atomic


def test_what_json_does_not_have_is_written_as_what_it_has(tmp_path):
    content = {"nan": np.nan, "array": np.arange(3), "number": np.float32(0.5), "t": (1, np.inf)}
    atomic.write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"nan": None, "array": [0, 1, 2], "number": 0.5, "t": [1, None]}
    assert text.endswith("}\n")


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyboardInterrupt(), OSError("disk")])
def test_a_failure_keeps_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write():
        with atomic.replacing(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(InputError if isinstance(error, OSError) else type(error)):
        write()
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_a_disk_that_is_full_is_one_line_and_nothing_is_left(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(InputError) as error:
            atomic.write_bytes(tmp_path / "a.bin", bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = f"{tmp_path}/a.bin: expected to write it, found: File too large; nothing was left behind"
    assert str(error.value) == said
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError, match=r"a\.txt: expected to write it, found: Not a directory; later"
    ):
        atomic.write_text(tmp_path / "file" / "a.txt", "", after="later")
    with pytest.raises(
        InputError, match=r"file/a: expected to make this folder, found: Not a directory"
    ):
        atomic.make_folder(tmp_path / "file" / "a")


@pytest.mark.parametrize("before", [None, "above", "above/out"])
@pytest.mark.parametrize("file", [None, "above/out/file", "above/file"])
def test_an_error_leaves_no_empty_folder_that_was_not_there(tmp_path, before, file):
    if before:
        (tmp_path / before).mkdir(parents=True)

    def refused():
        atomic.make_folder(tmp_path / "above" / "out")
        if file:
            (tmp_path / file).write_text("")
        raise KeyError

    with pytest.raises(KeyError), atomic.no_empty_folder(tmp_path / "above" / "out"):
        refused()
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    kept = {name for name in (before, file) if name}
    assert left == kept | {p.as_posix() for k in kept for p in Path(k).parents if p.name}


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_appears_whole(tmp_path, exists):
    out = tmp_path / "above" / "out"
    if exists:
        out.mkdir(parents=True)
    with atomic.replacing_folder(out) as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "a").write_text("a")
        assert out.exists() == exists
    assert [p.name for p in out.parent.iterdir()] == ["out"]
    assert (out / "inner" / "a").read_text() == "a"


def test_a_folder_with_files_is_not_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("")
    with pytest.raises(InputError, match=r"out: expected to write it"):  # noqa: SIM117
        with atomic.replacing_folder(tmp_path / "out") as partial:
            (partial / "new").write_text("")
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "old"]


def test_folders_of_killed_processes_go_and_those_of_living_ones_stay(tmp_path):
    killed, living = subprocess.Popen(["true"]), os.getppid()
    killed.wait()
    prefix = f".out.{os.uname().nodename}."
    for number in (killed.pid, living):
        (tmp_path / f"{prefix}{number}.tmp").mkdir()
    (tmp_path / ".out.elsewhere.1.tmp").mkdir()
    with atomic.replacing_folder(tmp_path / "out"):
        pass
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == sorted(["out", f"{prefix}{living}.tmp", ".out.elsewhere.1.tmp"])


@pytest.mark.parametrize("inside", [False, True])
def test_scratch_is_hidden_and_goes(tmp_path, inside):
    out = tmp_path / "out"
    with atomic.scratch(out, inside=inside) as folder:
        assert folder.parent == (out if inside else tmp_path)
        assert folder.name[0] == "."
        (folder / "a").write_text("a")
        os.replace(folder / "a", tmp_path / "a")
    assert not list(tmp_path.rglob(".*"))
    assert (tmp_path / "a").exists()
