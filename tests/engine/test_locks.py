"""Folders on file systems without flock, stood for by a preloaded one that fails."""

import shutil
import subprocess
import sys

import pytest

from hepjax.engine import locks

SHIM = """
#include <errno.h>
#include <stdlib.h>
int flock(int fd, int op) { (void)fd; (void)op; errno = atoi(getenv("FLOCK_ERRNO")); return -1; }
"""
PROGRAM = """
import sys
from pathlib import Path
from hepjax.engine import compilation, locks
from hepjax.engine.rundir import locked
print(locks.can_lock(Path(sys.argv[1])), compilation.use_cache())
with locked(Path(sys.argv[1]) / "run"):
    print("trains")
"""


def test_a_folder_is_locked_by_one(tmp_path):
    with (tmp_path / "lock").open("w") as one, (tmp_path / "lock").open("w") as other:
        assert locks.lock(one) == ""
        with pytest.raises(BlockingIOError):
            locks.lock(other)
    assert locks.can_lock(tmp_path)
    assert not locks.can_lock(tmp_path / "none")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the shim is compiled with gcc")
@pytest.mark.parametrize("number", [37, 38, 95, 524])
def test_one_warning_and_no_cache_of_programs_where_flock_fails(tmp_path, number):
    source, shim = tmp_path / "shim.c", tmp_path / "shim.so"
    source.write_text(SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, source], check=True)
    around = {
        "LD_PRELOAD": str(shim), "FLOCK_ERRNO": str(number), "HOME": str(tmp_path),
        "PYTHONPATH": ":".join(sys.path), "JAX_PLATFORMS": "cpu",
    }  # fmt: skip
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "None", "trains"]
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"hepjax: warning: {tmp_path}/run: its file system has no locks (")
