"""QONNX files: written and read again, refused where they are not exact, and executed by others.

What the package qonnx and C++ of hls4ml say is compared with JAX to the last bit.
"""

import importlib.util
import shutil
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
from helpers.trigger import INPUTS, integers, quantised

from hepjax import InputError
from hepjax.export import qonnx
from hepjax.ops.fixed_point import execute

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def trained():
    mlp, variables, x = quantised(10_000)
    return integers(variables), np.asarray(x), np.asarray(jax.jit(mlp.apply)(variables, x)[0])


def written(network, tmp_path, batch=1):
    path = tmp_path / "network.onnx"
    path.write_bytes(qonnx.model(network, batch).SerializeToString())
    return path


def test_a_file_read_again_is_the_same_network(trained, tmp_path):
    network, x, sums = trained
    again = qonnx.read(written(network, tmp_path))
    assert again.inputs == network.inputs
    assert [layer.after for layer in again.layers] == [layer.after for layer in network.layers]
    for a, b in zip(again.layers, network.layers, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight)
    said, overflow = execute(again, x)
    assert np.count_nonzero(said != sums) == 0
    assert sum(overflow) > 0


def test_the_package_qonnx_says_the_same_to_the_last_bit(trained, tmp_path):
    pytest.importorskip("qonnx")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    network, x, sums = trained
    model = ModelWrapper(str(written(network, tmp_path, batch=200)))
    said = execute_onnx(model, {qonnx.INPUT: x[:200]})[qonnx.OUTPUT]
    np.testing.assert_array_equal(said, sums[:200])


def changed(network, tmp_path, change):
    proto = qonnx.model(network)
    change(proto.graph)
    path = tmp_path / "changed.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def constant(name, value):
    def change(graph):
        tensor = next(t for t in graph.initializer if t.name == name)
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.asarray(value, np.float32), name))

    return change


def attribute(node, name, value):
    def change(graph):
        found = next(n for n in graph.node if n.name == node)
        kept = [a for a in found.attribute if a.name != name]
        del found.attribute[:]
        found.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])

    return change


def other_op(graph):
    next(n for n in graph.node if n.op_type == "Relu").op_type = "Tanh"


BAD = {
    "scale": (constant("dense_0_quant_scale", 0.3),
              r"dense_0_quant: expected a scale that is a power of two, found 0.3"),
    "scales": (constant("quant_in_scale", [0.5, 0.25]), r"one constant scale, .* found others"),
    "zero": (constant("quant_in_zeropt", 1.0), r"zero point 0, .* found zero point 1"),
    "bits": (constant("quant_in_bits", 2.5), r"whole bits, found .* 2.5 bits"),
    "narrow": (attribute("quant_in", "narrow", 1), r"all values, .* found .* narrow 1"),
    "rounding": (attribute("quant_in", "rounding_mode", "FLOOR"), r"ROUND .* found .*FLOOR"),
    "weights": (constant("dense_0_weight_quant_bits", 2.0), r"constants .* found \d+ beyond it"),
    "operation": (other_op, r"expected Relu after dense_0_add_out, found Tanh"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_files_that_are_not_exact_are_refused(trained, tmp_path, kind):
    change, message = BAD[kind]
    with pytest.raises(InputError, match=message) as error:
        qonnx.read(changed(trained[0], tmp_path, change))
    assert "changed.onnx" in str(error.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="expected to read it, found: No such file"):
        qonnx.read(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"\x00\x01 not a model")
    with pytest.raises(InputError, match=r"bad.onnx: expected (an ONNX file|one input)"):
        qonnx.read(tmp_path / "bad.onnx")


HLS4ML = """
import json, sys
import numpy as np
import hls4ml
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.cleanup import cleanup_model

path, events, out = sys.argv[1:]
model = cleanup_model(ModelWrapper(path))
config = hls4ml.utils.config_from_onnx_model(
    model, granularity="name", backend="Vitis", default_precision="fixed<16,6>"
)
# Not truncated before the network's own grid rounds them.
config["LayerName"]["global_in"]["Precision"] = "fixed<32,8,RND_CONV,SAT>"
made = hls4ml.converters.convert_from_onnx_model(
    model, output_dir=out, io_type="io_parallel", backend="Vitis", hls_config=config
)
made.compile()
x = np.ascontiguousarray(np.load(events))
np.save(events + ".said.npy", made.predict(x))
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_compiled_firmware_says_the_same_to_the_last_bit(trained, tmp_path):
    """C++ of hls4ml on 10,000 events; in a process of its own, as it prints and changes folders."""
    if not importlib.util.find_spec("hls4ml"):
        pytest.skip("hls4ml is not installed")
    network, x, sums = trained
    # On a grid of 24 fraction bits at most, as a wire would carry them; float32 has more near 0.
    given = (np.rint(x * 2.0**20) / 2.0**20).astype(np.float32)
    said, _ = execute(network, given)
    assert np.count_nonzero(said != sums) == 0
    np.save(tmp_path / "x.npy", given)
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(HLS4ML))
    path = written(network, tmp_path)
    done = subprocess.run(
        [sys.executable, script, path, tmp_path / "x.npy", tmp_path / "firmware"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = np.load(tmp_path / "x.npy.said.npy").reshape(sums.shape)
    assert np.count_nonzero(found != sums) == 0
    assert found.shape == (10_000, network.layers[-1].weight.shape[1])
    assert network.size == INPUTS
