"""Steps compiled for devices that need not be here: what a device computes, holds and sends."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import ahead
import jax
import numpy as np
import pytest
from collectives import collectives
from tiny import TINY
from toy import Toy, ToyConfig

from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.gan3d.workload import WORKLOAD

SCRIPT = Path(ahead.__file__)


def toy_step(mesh: MeshConfig):
    raw = {"x": jax.ShapeDtypeStruct((8, 32), np.float32),
           "y": jax.ShapeDtypeStruct((8,), np.float32)}  # fmt: skip
    compiled = ahead.compile_step(Toy(), ToyConfig(mesh=mesh), jax.devices()[:8], raw)
    return ahead.numbers(compiled, compiled.as_text(), 8)


def test_replicated_sums_the_gradient_and_the_loss_and_no_more():
    found = toy_step(MeshConfig(devices=8))["collectives"]
    assert set(found) == {"all-reduce"}
    assert 32 * 64 * 4 + 4 <= found["all-reduce"]["payload_bytes"] <= 32 * 64 * 4 + 16


def test_fsdp_gathers_and_holds_a_part_of_the_state():
    """Here it gathers the events, which are fewer bytes than the weights they meet."""
    part, whole = toy_step(MeshConfig("fsdp", devices=8)), toy_step(MeshConfig(devices=8))
    assert part["collectives"]["all-gather"]["payload_bytes"] >= 8 * 32 * 4
    arguments = [step["memory_bytes"]["arguments"] for step in (part, whole)]
    assert arguments[0] < arguments[1] / 4


def gan_step(devices: int, batch: int):
    cfg = replace(TINY, mesh=MeshConfig(devices=devices), train=TrainConfig(batch_size=batch))
    raw = ahead.raw_batch("gan3d", cfg)
    return ahead.compile_step(WORKLOAD, cfg, jax.devices()[:devices], raw)


def test_a_device_makes_and_judges_its_own_share_of_the_fakes(monkeypatch):
    """Fakes come of random keys, which are on all devices: nothing but the engine spreads them."""
    monkeypatch.setenv("HEPJAX_CONV3D", "xla")  # whose products the compiler can count
    one, four = gan_step(1, 2).cost_analysis()["flops"], gan_step(4, 8).cost_analysis()["flops"]
    assert four == pytest.approx(one, rel=0.25)


@pytest.mark.parametrize(
    "text",
    [
        "Program hbm requirement 149.12G exceeds available HBM (15.48G)",
        "Ran out of memory in memory space hbm. Used 149.12G of 15.48G hbm.\n\nTotal hbm usage",
    ],
)
def test_too_little_memory_is_one_line(text):
    error = ahead._overflow(jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: XLA:TPU {text}"))
    assert str(error) == "does not fit: needs 149.12GB of memory, a device has 15.48GB"


def test_other_failures_stay_what_they_are():
    error = jax.errors.JaxRuntimeError("INTERNAL: no")
    assert ahead._overflow(error) is error


def run(tmp_path, *arguments):
    out = tmp_path / "rows.json"
    command = [sys.executable, str(SCRIPT), *arguments, "--json", str(out)]
    subprocess.run(command, check=True)
    return json.loads(out.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("devices", [256, 512])
def test_hundreds_of_virtual_devices(tmp_path, devices):
    (row,) = run(tmp_path, "--target", f"cpu:{devices}", "--config", "tagger/top", "--events", "1")
    assert row["devices"] == row["batch"] == devices
    gradient = 4 * 94_226
    assert gradient <= row["collectives"]["all-reduce"]["payload_bytes"] < gradient + 1000


@pytest.mark.slow
def test_the_compiler_for_tpus(tmp_path):
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("needs the extra tpu (libtpu)")
    (row,) = run(tmp_path, "--target", "v3:2x2", "--config", "tagger/top", "--events", "8")
    assert row["devices"] == 8
    assert row["collectives"]["all-reduce"]["payload_bytes"] >= 4 * 94_226


def test_parser_reads_what_this_compiler_writes():
    mesh = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    total = jax.jit(lambda a: a.sum(0), in_shardings=spread)
    text = total.lower(jax.ShapeDtypeStruct((8, 100), np.float32)).compile().as_text()
    (found,) = collectives(text, 8)
    assert (found.kind, found.group, found.payload) == ("all-reduce", 8, 400)
