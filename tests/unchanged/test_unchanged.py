"""The three demonstrations compute what they computed: records, scores, arrays, bytes of files.

``digests.json`` is the output of measure.py, numbers rounded to six significant digits. On a
machine of the same kind (instruction set, kernels, versions, cores) every number has to come out
within 1e-5 of its value and every file byte for byte. Elsewhere sums round differently and 40
updates of a GAN multiply that, so the records of the first ten updates and the data are compared,
to 2 %.

A change that has to round differently replaces the file in a commit that does nothing else:
``python tests/unchanged/measure.py FOLDER | python tests/unchanged/test_unchanged.py``.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DIGESTS = HERE / "digests.json"
CLOSE, ELSEWHERE = 1e-5, 0.02
FIRST_RECORDS = 2


@pytest.fixture(scope="module")
def stored():
    return json.loads(DIGESTS.read_text())


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    command = [sys.executable, HERE / "measure.py", tmp_path_factory.mktemp("unchanged")]
    # Compiled as users do (tests/conftest.py).
    env = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def flat(value, path=""):
    """Nested dictionaries and lists of numbers as path to number."""
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for name, inner in inside for k, v in flat(inner, f"{path}/{name}").items()}
    return {path: value}


def differing(expected, found, tolerance):
    expected, found = flat(expected), flat(found)
    # A number that is new changes none of the stored ones.
    assert not expected.keys() - found.keys()
    return [
        f"{path}: {value} became {found[path]}"
        for path, value in expected.items()
        if not _same(value, found[path], tolerance)
    ]


def _same(a, b, tolerance):
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-6)


@pytest.mark.parametrize("workload", ["gan3d", "tagger", "mlpf"])
def test_numbers_are_unchanged(workload, stored, found):
    before, now = (report["numbers"][workload] for report in (stored, found))
    if found["machine"] == stored["machine"]:
        assert not differing(before, now, CLOSE)
    else:
        first = [
            {name: curve[:FIRST_RECORDS] for name, curve in report["records"].items()
             if name.startswith("train")}
            for report in (before, now)
        ]  # fmt: skip
        assert not differing(*first, ELSEWHERE)


@pytest.mark.parametrize("workload", ["gan3d", "tagger", "mlpf"])
def test_files_are_unchanged(workload, stored, found):
    if found["machine"] != stored["machine"]:
        pytest.skip("files were stored on another kind of machine")
    assert found["sha256"][workload] == stored["sha256"][workload]


def test_a_changed_number_is_seen(stored):
    changed = json.loads(json.dumps(stored["numbers"]))
    changed["mlpf"]["records"]["train loss"][-1] *= 1 + 3e-5
    assert len(differing(stored["numbers"], changed, CLOSE)) == 1


if __name__ == "__main__":
    rounded = json.loads(sys.stdin.read(), parse_float=lambda text: float(f"{float(text):.6g}"))
    DIGESTS.write_text(json.dumps(rounded, indent=0) + "\n")
