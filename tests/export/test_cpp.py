"""The generator in C++ without Python: compiled, run, and compared with ONNX Runtime in Python.

Give the headers of ONNX Runtime for C++ in ``CMAKE_PREFIX_PATH``; the library is that of the Python
package.
"""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers import calo
from helpers.exporting import exported
from helpers.gan3d import TINY

from hepjax.export import parity
from hepjax.workloads import table

onnxruntime = pytest.importorskip("onnxruntime")
SOURCE = Path(__file__).resolve().parents[2] / "launch" / "cpp"
SHOWERS = 12
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """The program."""
    if shutil.which("cmake") is None:
        pytest.skip("no cmake here")
    folder = tmp_path_factory.mktemp("cpp")
    (there,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*.*.*")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / name).symlink_to(there)
    library = f"-DONNXRUNTIME_LIBRARY={folder / 'libonnxruntime.so'}"
    build = folder / "build"
    found = subprocess.run(["cmake", "-S", SOURCE, "-B", build, library], capture_output=True)
    if b"found '" in found.stderr:
        pytest.skip("CMAKE_PREFIX_PATH names no headers of ONNX Runtime for C++")
    assert found.returncode == 0, found.stderr
    made = subprocess.run(["cmake", "--build", build], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "warning" not in made.stdout + made.stderr
    return build / "generator"


def case(name):
    """A model with its noise outside, and cells along its last axis."""
    if name == "gan3d":
        return exported(table.get("gan3d"), TINY)[-1], 25
    cfg = calo.tiny(calo.CYLINDER)
    return exported(table.get("calo"), cfg)[-1], cfg.calorimeter.shape[-1]


@pytest.mark.parametrize("name", ["gan3d", "calo"])
@pytest.mark.parametrize("threads", [1, 3])
def test_mean_energies_are_those_of_python(generator, tmp_path, name, threads):
    content, depth = case(name)
    model, inputs = tmp_path / "model.onnx", tmp_path / "inputs.bin"
    model.write_bytes(content)
    runtime, rng = parity.session(content, threads=1), np.random.default_rng(0)
    energy = np.linspace(20, 90, SHOWERS, dtype=np.float32)
    size = runtime.get_inputs()[1].shape[1]
    noise = rng.normal(size=(SHOWERS, size)).astype(np.float32)
    np.concatenate([energy[:, None], noise], axis=1).tofile(inputs)
    asked = [i.name for i in runtime.get_inputs()]
    cells = np.concatenate([
        runtime.run(None, dict(zip(asked, (energy[k : k + 1], noise[k : k + 1]), strict=True)))[0]
        for k in range(SHOWERS)
    ])  # fmt: skip
    expected = cells.astype(float).reshape(SHOWERS, -1, depth).sum(1).mean(0)
    assert expected.min() > 0
    words = [generator, model, inputs, str(depth), str(SHOWERS), str(threads)]
    found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert re.fullmatch(r"[\d.]+ ms a shower, [\d.]+ ms of processor time", found[0])
    assert re.fullmatch(r"[\d.]+ MB for the model and a shower, -?[\d.]+ MB a thread", found[1])
    layers = np.array([line.split() for line in found[2:]], float)
    np.testing.assert_array_equal(layers[:, 0], np.arange(depth))
    np.testing.assert_allclose(layers[:, 1], expected, rtol=1e-5)


def test_wrong_files_are_told_in_a_line(generator, tmp_path):
    model, inputs = tmp_path / "model.onnx", tmp_path / "inputs.bin"
    model.write_bytes(exported(table.get("gan3d"), TINY)[-1])
    for content, words in ((b"", "expected a multiple of 20 bytes, found 0"), (b"123", "found 3")):
        inputs.write_bytes(content)
        made = subprocess.run([generator, model, inputs, "25"], capture_output=True, text=True)
        assert made.returncode == 2
        assert made.stderr.startswith(f"generator: {inputs}: ")
        assert words in made.stderr
    model.write_bytes(b"no model")
    made = subprocess.run([generator, model, inputs, "25"], capture_output=True, text=True)
    assert made.returncode == 2
    assert made.stderr.startswith("generator: ")
    made = subprocess.run([generator, model], capture_output=True, text=True)
    assert (made.returncode, made.stdout) == (2, "")
