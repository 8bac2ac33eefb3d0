"""Groups of processes: who belongs, what all see, and what happens when one dies."""

import os
import random
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import toy
from helpers.toy import TOY, ToyConfig, final_state

from benchmarks.faults.ground import Ground, saved, steps_done
from hepjax import InputError
from hepjax.cli import main
from hepjax.engine import records
from hepjax.engine.checkpoint import complete_steps
from hepjax.engine.config import MeshConfig
from hepjax.engine.group.launcher import _cause, run_group
from hepjax.engine.group.processes import Group, find_group, lost_another
from hepjax.engine.group.rollcall import call_roll
from hepjax.engine.train import train

SLURM = {
    "SLURM_JOB_ID": "4097", "SLURM_NTASKS": "4", "SLURM_PROCID": "2",
    "SLURM_STEP_NODELIST": "gpu[007-009,12]-ib,cpu1",
}  # fmt: skip
EXPLICIT = {"HEPJAX_COORDINATOR": "a:99", "HEPJAX_PROCESSES": "2", "HEPJAX_PROCESS": "1"}


def test_a_process_alone_has_no_group():
    assert find_group("auto", {}) is None
    assert find_group("none", SLURM | EXPLICIT) is None
    assert find_group("auto", {"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}) is None


def test_the_surroundings_name_the_group():
    assert find_group("auto", SLURM) == Group("gpu007-ib:61441", 4, 2)
    assert find_group("slurm", SLURM | {"SLURM_STEP_NODELIST": "n3,n4"}).coordinator == "n3:61441"
    one_for_each_gpu = SLURM | {"SLURM_NTASKS_PER_NODE": "4"}
    assert not find_group("auto", one_for_each_gpu).all_local_devices
    assert find_group("auto", SLURM | EXPLICIT) == Group("a:99", 2, 1)


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        (EXPLICIT | {"HEPJAX_PROCESS": "2"}, "HEPJAX_PROCESS:.*process 2 of 2"),
        (EXPLICIT | {"HEPJAX_PROCESSES": "two"}, "HEPJAX_PROCESSES:.*whole number, found 'two'"),
        (EXPLICIT | {"HEPJAX_COORDINATOR": "here"}, "HEPJAX_COORDINATOR: expected host:port"),
        ({"HEPJAX_COORDINATOR": "a:99"}, "expected all three or none"),
        (SLURM | {"SLURM_STEP_NODELIST": ""}, "SLURM_STEP_NODELIST"),
        (SLURM | {"SLURM_JOB_ID": ""}, "SLURM_JOB_ID"),
    ],
)
def test_contradictions_name_the_variable(environment, names):
    with pytest.raises(InputError, match=names):
        find_group("auto", environment)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def roll(*members: tuple[int, int], seconds: float = 20.0) -> list[str]:
    """What each (process, of how many) hears; empty when all is well."""
    coordinator, heard = f"127.0.0.1:{free_port()}", [""] * len(members)

    def answer(i: int, process: int, processes: int) -> None:
        try:
            call_roll(coordinator, processes, process, seconds)
        except InputError as error:
            heard[i] = str(error)

    threads = [threading.Thread(target=answer, args=(i, *m)) for i, m in enumerate(members)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return heard


def test_everybody_there_is_well():
    assert roll((0, 3), (1, 3), (2, 3)) == ["", "", ""]


def test_different_numbers_of_processes_are_told_to_both():
    for message in roll((0, 2), (1, 3)):
        assert "expected 2 different processes, found process 1 of 3" in message


def test_the_same_process_twice_is_told():
    assert any("found process 1 of 3" in message for message in roll((0, 3), (1, 3), (1, 3)))


def test_a_missing_process_is_named():
    first, second = roll((0, 3), (2, 3), seconds=0.5)
    assert "no sign of process 1" in first
    assert "no sign of process 1" in second


def test_a_missing_coordinator_is_named():
    (message,) = roll((1, 2), seconds=0.3)
    assert message.startswith("HEPJAX_COORDINATOR: expected process 0 at 127.0.0.1:")


def test_strangers_at_the_door_do_no_harm():
    port = free_port()
    outcome: list[str] = []

    def first() -> None:
        call_roll(f"127.0.0.1:{port}", 2, 0, 20)
        outcome.append("well")

    thread = threading.Thread(target=first)
    thread.start()
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"7", b'["x"]', b""):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1) as peer:
                    peer.sendall(noise)
                break
            except OSError:
                time.sleep(0.05)
    call_roll(f"127.0.0.1:{port}", 2, 1, 20)
    thread.join()
    assert outcome == ["well"]


def toy_group(run: Path, delay: str = "0", processes: int = 2, **more: str) -> int:
    script = toy.__file__
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("XLA_FLAGS", "JAX_NUM_CPU"))
    }
    environment |= {"HEPJAX_HEARTBEAT_SECONDS": "10", "JAX_PLATFORMS": "cpu"} | more
    return run_group([sys.executable, script, str(run), delay], processes, environment)


def test_two_processes_train_what_one_does(tmp_path):
    assert toy_group(tmp_path / "two") == 0
    (tmp_path / "one").mkdir()
    one = train(TOY, ToyConfig(mesh=MeshConfig(devices=2)), tmp_path / "one", quiet=True)
    assert one.step == complete_steps(tmp_path / "two" / "checkpoints")[-1]
    for x, y in zip(
        jax.tree.leaves(final_state(tmp_path / "two")),
        jax.tree.leaves(final_state(tmp_path / "one")),
        strict=True,
    ):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7)
    steps = [r["step"] for r in records.read(tmp_path / "two" / "metrics.jsonl")]
    assert steps == sorted(steps)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"HEPJAX_PROCESS": "1", "HEPJAX_PROCESSES": "2", "HEPJAX_JOIN_SECONDS": "1"},
         "HEPJAX_COORDINATOR: expected process 0 at 127.0.0.1:1, found: connection refused"),
        ({"HEPJAX_PROCESS": "3", "HEPJAX_PROCESSES": "2"}, "HEPJAX_PROCESS: expected 0 to"),
        ({"HEPJAX_PROCESSES": "2"}, "expected all three or none"),
    ],
)  # fmt: skip
def test_a_group_that_cannot_be_is_one_line_and_code_2(variables, named, monkeypatch, capsys):
    monkeypatch.setenv("HEPJAX_COORDINATOR", "127.0.0.1:1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["train", "gan3d/demo", "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert named.lower() in line.lower()


def test_a_lost_process_is_told_from_an_error_of_this_one():
    gone = ValueError("UNKNOWN: Gloo AllGather failed: Connection closed by peer [127.0.0.1]:1")
    assert "Gloo" in lost_another(gone)
    told = InputError("step_4: expected to write a checkpoint")
    told.__cause__ = TimeoutError("Timed out while waiting for async_write_complete barrier.")
    assert "barrier" in lost_another(told)
    for own in (None, InputError("step_4: found: no space left"), KeyError("weight")):
        assert not lost_another(own)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    ground = Ground(tmp_path_factory.mktemp("ground"), random.Random(0))
    yield ground
    ground.clean()


@pytest.mark.parametrize(
    ("number", "process"),
    [(signal.SIGINT, 1)]
    + [pytest.param(n, 0, marks=pytest.mark.slow) for n in (signal.SIGHUP, signal.SIGTERM)],
)
def test_a_signal_to_one_process_ends_all_with_its_code(ground, number, process):
    run = ground.new_run()
    job = ground.start(run, 2)
    ground.reach_step(job, run)
    job.send(process, number)
    assert job.codes() == [128 + number] * 2
    assert saved(run)[-1] == steps_done(run)
    assert f"saved at step {steps_done(run)}" in job.text()


def test_a_saved_end_gives_the_others_their_time(tmp_path):
    """One process is preempted and ends first; the other still writes, longer than failures get."""
    program = (
        "import os, signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "first = os.environ['HEPJAX_PROCESS'] == '0'\n"
        "if first: time.sleep(4); open(sys.argv[1], 'w').close()\n"
        "sys.exit(143)"
    )
    whole = [sys.executable, "-c", program, str(tmp_path / "saved")]
    assert run_group(whole, 2, os.environ) == 143
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize(
    ("codes", "cause"),
    [([0, None], 0), ([1, -9], -9), ([-6, 2], 2), ([-6, -9], -9), ([134, 0], 134), ([-6, -11], -11),
     ([143, 143], 143)],
)  # fmt: skip
def test_of_processes_that_end_at_once_the_first_cause_counts(codes, cause):
    assert _cause(codes) == cause


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_launcher_ends_with_the_code_of_its_signal(number):
    program = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); "
        "time.sleep(60)"
    )
    timer = threading.Timer(2, os.kill, (os.getpid(), number))
    timer.start()
    assert run_group([sys.executable, "-c", program], 2, os.environ) == 128 + number


def test_a_failed_command_ends_the_group_with_its_code(tmp_path):
    program = (
        "import os, sys, time; os.environ['HEPJAX_PROCESS'] == '1' and sys.exit(3); "
        "time.sleep(60); open(sys.argv[1], 'w').close()"
    )
    whole = [sys.executable, "-c", program, str(tmp_path / "waited")]
    assert run_group(whole, 2, os.environ) == 3
    assert not (tmp_path / "waited").exists()
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run_group([sys.executable, "-c", killed], 1, os.environ) == 128 + signal.SIGKILL


def test_lines_carry_the_number_of_their_process(capfd):
    program = "import os; print('I am', os.environ['HEPJAX_PROCESS'])"
    assert run_group([sys.executable, "-c", program], 2, os.environ) == 0
    assert sorted(capfd.readouterr().out.split("\n")) == ["", "[0] I am 0", "[1] I am 1"]
