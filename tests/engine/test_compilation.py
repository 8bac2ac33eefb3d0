"""Compiled programs are kept for the next start, where users want it and the disk allows it."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers.toy import TOY, ToyConfig

import hepjax.run
from hepjax.engine import begin, compilation
from hepjax.engine import train as training
from hepjax.engine.begin import begin_or_restore
from hepjax.engine.compilation import AUTOTUNED, VARIABLE, options, use_cache
from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.engine.inference import Placed
from hepjax.engine.mesh import make_mesh
from hepjax.engine.step import compiled_step
from hepjax.engine.workload import Model, Spec
from hepjax.workloads import table

OPTIONS = (
    "jax_compilation_cache_dir",
    "jax_compilation_cache_max_size",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_enable_xla_caches",
)


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """As a process begins: no cache chosen, a home of its own; afterwards all is as before."""
    before = {name: jax.config.values[name] for name in OPTIONS}
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    yield tmp_path
    for name, value in before.items():
        jax.config.update(name, value)


def chosen():
    return jax.config.values["jax_compilation_cache_dir"]


def test_programs_are_kept_in_the_cache_folder_of_the_user(fresh, monkeypatch):
    folder = use_cache()
    assert folder.parent == fresh / ".cache" / "hepjax" / "compiled"
    assert (folder / AUTOTUNED).is_dir()
    assert jax.config.values["jax_persistent_cache_enable_xla_caches"] == AUTOTUNED
    assert chosen() == str(folder)
    assert jax.config.values["jax_compilation_cache_max_size"] == compilation.LARGEST_BYTES
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(fresh / "xdg"))
    assert use_cache().parent == fresh / "xdg" / "hepjax" / "compiled"


def test_another_folder_may_be_named(fresh, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(fresh / "there"))
    assert use_cache().parent == fresh / "there"
    assert not (fresh / ".cache").exists()


@pytest.mark.parametrize("word", ["off", "OFF", "0", "false", "no"])
def test_it_can_be_switched_off(fresh, monkeypatch, word):
    monkeypatch.setenv(VARIABLE, word)
    assert use_cache() is None
    assert chosen() is None
    assert list(fresh.iterdir()) == []


@pytest.mark.parametrize("kept", [True, False])
def test_a_setting_switches_it_off(fresh, kept):
    policy = TrainConfig(batch_size=8, steps=1, keep_compiled=kept)
    hepjax.run.train(TOY, ToyConfig(policy), fresh / "run")
    assert (chosen() is not None) == (fresh / ".cache").exists() == kept


def test_the_choice_of_the_user_is_left_alone(fresh):
    jax.config.update("jax_compilation_cache_dir", str(fresh / "own"))
    before = {name: jax.config.values[name] for name in OPTIONS}
    assert use_cache() == fresh / "own"
    assert {name: jax.config.values[name] for name in OPTIONS} == before
    assert list(fresh.iterdir()) == []


def test_a_home_that_cannot_be_written_means_no_cache(fresh, monkeypatch, capfd):
    (fresh / "file").write_text("")
    for home in ("/proc/none", str(fresh / "file")):
        monkeypatch.setenv("HOME", home)
        assert use_cache() is None
    monkeypatch.setenv("HOME", str(fresh))
    # Root may write everywhere.
    monkeypatch.setattr("hepjax.engine.compilation.can_lock", lambda folder: False)
    assert use_cache() is None
    assert chosen() is None
    assert capfd.readouterr() == ("", "")


def test_no_home_at_all_means_no_cache(fresh, monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    assert use_cache() is None
    assert chosen() is None


def test_processors_and_kernels_have_folders_of_their_own(fresh, monkeypatch):
    first = use_cache()
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setattr("hepjax.__version__", "0.0.0")
    assert use_cache() != first


SCRIPT = """
import jax, sys
from hepjax.engine import compilation
compilation.SHORTEST_SECONDS = 0.0
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name))
folder = compilation.use_cache()
value = jax.jit(lambda x: (x @ x).sum())(jax.numpy.ones((8, 8)))
print(folder, sum(name.endswith("cache_hits") for name in hits), float(value))
"""


def test_processes_share_programs(tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    env |= {VARIABLE: str(tmp_path / "cache"), "JAX_PLATFORMS": "cpu"}

    def start():
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT], env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    for process in (start(), start()):  # at the same time
        said, errors = process.communicate()
        assert process.returncode == 0, errors
    (folder,) = (tmp_path / "cache").iterdir()
    programs = sorted(path.name for path in folder.iterdir() if path.name.endswith("-cache"))
    assert programs
    third = start()
    said, errors = third.communicate()
    assert said.split()[0] == str(folder)
    assert int(said.split()[1]) > 0
    assert float(said.split()[2]) == 512
    assert sorted(p.name for p in folder.iterdir() if p.name.endswith("-cache")) == programs


TRAINING = """
import jax, sys
from pathlib import Path
from helpers.toy import TOY, ToyConfig
from hepjax import run
from hepjax.engine import compilation
compilation.SHORTEST_SECONDS = 0.0
counts = {"hits": 0, "misses": 0}
def count(name, **_):
    for kind in counts:
        counts[kind] += name.endswith("cache_" + kind)
jax.monitoring.register_event_listener(count)
run.train(TOY, ToyConfig(), Path(sys.argv[1]))
print(counts["hits"], counts["misses"])
"""


def test_a_second_start_compiles_nothing(tmp_path):
    """State, updates, validation and checkpoints: all programs of a training are kept."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    env |= {VARIABLE: str(tmp_path / "cache"), "JAX_PLATFORMS": "cpu"}
    env["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    counted = []
    for run in ("cold", "warm"):
        command = [sys.executable, "-c", TRAINING, str(tmp_path / run)]
        done = subprocess.run(command, env=env, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        counted.append([int(word) for word in done.stdout.split()])
    (_, cold_misses), (warm_hits, warm_misses) = counted
    assert cold_misses > 3
    assert warm_misses == 0
    assert warm_hits >= cold_misses


def test_the_variable_of_jax_counts(tmp_path):
    env = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "own"), "JAX_PLATFORMS": "cpu"}
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=env, text=True, capture_output=True, check=True
    )
    assert made.stdout.split()[0] == str(tmp_path / "own")


# What the compilers are asked for.


def test_what_a_platform_is_asked_for(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    own = {"gpu": {"xla_gpu_enable_triton_gemm": False}, "cpu": {"xla_backend_extra_options": "a"}}
    assert options("gpu", own) == own["gpu"]
    assert options("cpu", own) == own["cpu"]
    assert options("tpu", own) is None
    assert options("cpu", {}) is None


def test_flags_of_the_user_go_first(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_autotune_level=4 --xla_dump_to=a")
    own = {"xla_gpu_autotune_level": 2}
    assert options("gpu", {"gpu": own}) is None
    more = {"xla_gpu_enable_triton_gemm": False}
    assert options("gpu", {"gpu": own | more}) == more


WORKLOADS = ("gan3d", "mlpf", "tagger")


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_compiler_knows_every_option(name, monkeypatch):
    """All compilers of XLA parse the options of all, so a CPU tells whether a name is right."""
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    asked = options("gpu", table.get(name).compiler_options)
    assert float(jax.jit(lambda x: 2 * x, compiler_options=asked)(1.5)) == 3.0
    with pytest.raises(jax.errors.JaxRuntimeError, match="No such compile option"):
        jax.jit(lambda x: 2 * x, compiler_options={**(asked or {}), "xla_gpu_no_such": 1})(1.5)


def test_programs_of_a_gpu_are_compiled_with_them(monkeypatch):
    """The three jits of a training, and that of a trained model, where the devices are GPUs."""
    seen = []
    jit = jax.jit

    def noted(*args, compiler_options=None, **more):
        seen.append(compiler_options)
        return jit(*args, compiler_options=compiler_options, **more)

    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.setattr(jax, "jit", noted)
    # On a CPU the engine must take these for its own platform.
    wanted = {"xla_gpu_autotune_level": 2, "xla_gpu_enable_triton_gemm": False}
    own = {"cpu": wanted}
    toy = replace(TOY, compiler_options=own)
    cfg = ToyConfig(TrainConfig(batch_size=8, steps=1), MeshConfig(devices=1))
    mesh = make_mesh(cfg.mesh, 8)
    with jax.set_mesh(mesh):
        _, state, shardings = begin_or_restore(toy, cfg, mesh, Path("/nonexistent"))
        assert {**seen[-1]} == wanted | begin.QUICK
        compiled_step(toy, cfg, Spec(), 1, shardings, mesh)
        assert seen[-1] == wanted
        training._validator(toy, cfg, toy.sources(cfg).validation, shardings.model, mesh)
        assert seen[-1] == wanted
    placed = Placed(mesh, state.model, options("cpu", own))
    model = Model(toy, cfg, placed)
    assert len(list(model.given({"x": np.ones((4, 32), np.float32)}, 4))) == 1
    assert seen[-1] == wanted
