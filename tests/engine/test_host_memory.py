"""Memory kept by a process that trains; seen from the page faults of another process."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from hepjax.engine.host_memory import keep_memory
if sys.argv[1] == "kept" and not keep_memory():
    print("absent")
    sys.exit()
before = 0
for turn in range(12):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**23)  # 64 MiB: 16,384 pages, or 32 huge ones
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> str:
    arguments = [sys.executable, "-c", PROGRAM, how]
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip()


def test_kept_memory_is_not_taken_from_the_system_again():
    kept = page_faults("kept")
    if kept == "absent":
        pytest.skip("no glibc")
    assert 3 * int(kept) < int(page_faults("given back"))
