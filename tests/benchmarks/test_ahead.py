"""Steps compiled for devices that need not be here: what a device computes, holds and sends."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers.gan3d import TINY
from helpers.toy import TOY, ToyConfig

from benchmarks import setting
from benchmarks.scaling import ahead
from benchmarks.scaling.collectives import collectives
from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.workloads.gan3d.workload import WORKLOAD


def toy_step(mesh: MeshConfig):
    raw = {"x": jax.ShapeDtypeStruct((8, 32), np.float32),
           "y": jax.ShapeDtypeStruct((8,), np.float32)}  # fmt: skip
    compiled = ahead.compile_step(TOY, ToyConfig(mesh=mesh), jax.devices()[:8], raw)
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


def gan_step(devices: int, batch: int, layout: str = "replicated"):
    mesh = MeshConfig(layout, devices=devices, model_devices=2 if layout == "hybrid" else 1)
    cfg = replace(TINY, mesh=mesh, train=TrainConfig(batch_size=batch))
    raw = ahead.raw_batch("gan3d", cfg)
    return ahead.compile_step(WORKLOAD, cfg, jax.devices()[:devices], raw)


@pytest.mark.parametrize("layout", ["fsdp", pytest.param("hybrid", marks=pytest.mark.slow)])
def test_weights_go_to_the_events_and_not_events_to_the_weights(layout, monkeypatch):
    """Left alone, the compiler sums activations over devices that hold parts of a kernel."""
    monkeypatch.setenv("HEPJAX_CONV3D", "xla")
    found = gan_step(4, 8, layout)
    moved = {c.kind: 0 for c in collectives(found.as_text(), 4)}
    for c in collectives(found.as_text(), 4):
        moved[c.kind] += c.payload
    state = jax.eval_shape(lambda: WORKLOAD.init(TINY, jax.random.key(0)))
    networks = (state.generator.params, state.discriminator.params)
    weights = sum(4 * x.size for x in jax.tree.leaves(networks))
    assert set(moved) == {"all-gather", "all-reduce"}
    assert moved["all-gather"] <= 4 * weights  # at most once for each of the four updates
    assert moved["all-reduce"] <= 4 * weights


@pytest.mark.slow
def test_a_device_makes_and_judges_its_own_share_of_the_fakes(monkeypatch):
    """Fakes come of random keys, which are on all devices: nothing but the engine spreads them."""
    monkeypatch.setenv("HEPJAX_CONV3D", "xla")  # whose products the compiler can count
    one, four = gan_step(1, 2).cost_analysis()["flops"], gan_step(4, 8).cost_analysis()["flops"]
    assert four == pytest.approx(one, rel=0.25)


@pytest.mark.parametrize(
    "text",
    [
        "Program hbm requirement 149.12G exceeds available HBM (15.48G)",
        "Ran out of memory on HBM, the total memory required for HLO temporaries (149.12G) exceeds "
        "available HBM (15.48G).",
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
    command = [sys.executable, "-m", "benchmarks.scaling.ahead", *arguments, "--json", str(out)]
    subprocess.run(command, check=True, env=setting.environment(), cwd=tmp_path)
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
    gradient = 4 * 94_226  # two biases of a residual sum have one gradient, which is sent once
    assert gradient - 1000 <= row["collectives"]["all-reduce"]["payload_bytes"] < gradient + 1000


@pytest.mark.slow
def test_sums_go_on_beside_the_backward_pass_of_a_tpu(tmp_path):
    """Five layers of 1024 x 1024: only the sum of the first, which comes last, has to wait."""
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("needs the extra tpu (libtpu)")
    program = tmp_path / "program.py"
    program.write_text(LAYERS)
    done = subprocess.run(
        [sys.executable, program], check=True, capture_output=True, text=True,
        env=setting.environment(),
    )  # fmt: skip
    without, with_overlap = map(float, done.stdout.split())
    assert without == 0.0
    assert with_overlap == pytest.approx(0.8)


LAYERS = """
from benchmarks.scaling import ahead

ahead.prepare_jax("v5e:2x2")
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.scaling.collectives import collectives, overlap
from hepjax.engine.mesh import OVERLAP


def loss(weights, x):
    for w in weights:
        x = jnp.tanh(x @ w)
    return (x**2).mean()


def step(weights, x):
    return [w - g for w, g in zip(weights, jax.grad(loss)(weights, x))]


mesh = Mesh(np.asarray(ahead.devices_of("v5e:2x2"), dtype=object), ("data",))
whole, cut = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
weights = [jax.ShapeDtypeStruct((1024, 1024), np.float32, sharding=whole)] * 5
events = jax.ShapeDtypeStruct((8192, 1024), np.float32, sharding=cut)
lowered = jax.jit(step, out_shardings=whole, donate_argnums=0).lower(weights, events)
for options in (None, OVERLAP):
    print(overlap(collectives(lowered.compile(compiler_options=options).as_text(), 4)))
"""


def test_parser_reads_what_this_compiler_writes():
    mesh = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    total = jax.jit(lambda a: a.sum(0), in_shardings=spread)
    text = total.lower(jax.ShapeDtypeStruct((8, 100), np.float32)).compile().as_text()
    (found,) = collectives(text, 8)
    assert (found.kind, found.group, found.payload) == ("all-reduce", 8, 400)
