"""What the variables of SLURM mean, and that waiting for others is told."""

import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from hepjax import InputError
from hepjax.cli import main
from hepjax.engine.group import rollcall
from hepjax.engine.group.processes import Group, find_group, remark
from hepjax.engine.group.rollcall import Origin, call_roll

JOB = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_NODELIST": "n1"}
"""What an sbatch script of a job of four tasks sees."""
STEP = JOB | {
    "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NODELIST": "n[3-4]",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_PROCID": "3",
}  # fmt: skip
"""What srun sets in its last task."""
ALONE = {
    "a batch script": JOB,
    "an interactive step": JOB | {"SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1",
                                  "SLURM_STEP_NODELIST": "n1"},
    "some variables": {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"},
    "no job": {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_NODELIST": "n1"},
    "a shell without a task": {k: v for k, v in JOB.items() if k != "SLURM_PROCID"},
    "srun of one task": STEP | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},
    "a step of unknown size": JOB | {"SLURM_STEP_ID": "0"},
    "a number that is none": STEP | {"SLURM_STEP_NUM_TASKS": ""},
}  # fmt: skip


@pytest.mark.parametrize("environment", ALONE.values(), ids=ALONE)
def test_without_a_step_of_several_tasks_a_process_is_alone_and_told_so(environment):
    assert find_group("auto", environment) is None
    told = remark("auto", environment)
    assert "has 4 tasks" in told
    assert "srun" in told
    assert "--cluster none" in told
    assert remark("none", environment) == ""


def test_a_step_of_several_tasks_is_a_group():
    found = find_group("auto", STEP)
    assert found == Group("n3:61447", 4, 3, all_local_devices=False)
    assert remark("auto", STEP) == ""
    assert remark("auto", {}) == ""
    # A step smaller than its job counts its own tasks.
    two = STEP | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}
    assert find_group("auto", two).processes == 2
    one_a_node = STEP | {"SLURM_STEP_TASKS_PER_NODE": "1(x4)"}
    assert find_group("auto", one_a_node).all_local_devices
    for divided in ({"SLURM_GPUS_PER_TASK": "2"}, {"CUDA_VISIBLE_DEVICES": "0"}):
        assert find_group("auto", STEP | divided).all_local_devices


@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_processes_of_mpirun_are_told_how_to_train_together(name):
    assert "say --cluster mpi" in remark("auto", {name: "4"})
    assert remark("auto", {name: "1"}) == remark("auto", {name: "x"}) == ""
    assert remark("auto", STEP | {name: "4"}) == ""


def test_one_task_of_the_script_that_hepjax_prints_is_a_group_of_one():
    one = STEP | {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}
    assert find_group("slurm", one).processes == 1
    assert find_group("slurm", JOB | {"SLURM_NTASKS": "1"}).processes == 1


@pytest.mark.parametrize(
    ("cluster", "environment", "named"),
    [
        ("slurm", JOB, "^--cluster slurm: expected a step of several tasks, found a job of 4"),
        ("auto", STEP | {"SLURM_PROCID": "4"}, "^SLURM_PROCID: expected 0 to SLURM_STEP_NUM_TASKS"),
        ("auto", STEP | {"SLURM_JOB_ID": "x"}, "^SLURM_JOB_ID: expected a whole number"),
        ("auto", STEP | {"SLURM_STEP_NODELIST": "", "SLURM_JOB_NODELIST": ""}, "^SLURM_STEP_NODEL"),
    ],
)
def test_what_contradicts_itself_names_slurm_and_the_way_out(cluster, environment, named):
    with pytest.raises(InputError, match=named) as found:
        find_group(cluster, environment)
    assert "srun" in str(found.value)
    assert "--cluster none" in str(found.value)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_wait_is_told_at_once_and_again(monkeypatch, capsys):
    monkeypatch.setattr(rollcall, "SILENT_SECONDS", 0.1)
    monkeypatch.setattr(rollcall, "TOLD_EVERY_SECONDS", 0.3)
    place = f"127.0.0.1:{free_port()}"

    def last() -> None:
        with pytest.raises(InputError):
            call_roll(place, 3, 2, 1.4)

    other = threading.Thread(target=last)
    other.start()
    with pytest.raises(InputError, match=r"no sign of process 1 in time .*--cluster none"):
        call_roll(place, 3, 0, 1.4)
    other.join()
    told = capsys.readouterr().err
    assert told.count("process 0 waits for process 1") >= 2
    assert "process 0 waits for process 1 of 3 processes at 127.0.0.1" in told
    assert told.count("process 2 of 3 processes waits for process 0 at 127.0.0.1") >= 2
    assert "of at most 1 s" in told


def test_those_who_are_there_hear_nothing(capsys):
    place = f"127.0.0.1:{free_port()}"
    other = threading.Thread(target=call_roll, args=(place, 2, 1, 20))
    other.start()
    call_roll(place, 2, 0, 20)
    other.join()
    assert capsys.readouterr().err == ""


def test_a_roll_of_slurm_names_its_variables():
    from hepjax.engine.group.processes import SLURM

    assert isinstance(SLURM, Origin)
    with pytest.raises(InputError, match=r"^SLURM_STEP_NUM_TASKS: .*tasks of a SLURM.*srun"):
        call_roll(f"127.0.0.1:{free_port()}", 2, 0, 0.1, SLURM)
    with pytest.raises(InputError, match=r"^SLURM_STEP_NODELIST: expected process 0 .*srun"):
        call_roll("127.0.0.1:1", 2, 1, 0.1, SLURM)
    with pytest.raises(InputError, match="process 1, 2, 3, 4, 5, 6, 7, 8 and 991 more in time"):
        call_roll(f"127.0.0.1:{free_port()}", 1000, 0, 0.1, SLURM)


def test_doctor_works_in_a_batch_script_and_says_what_is_missing():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")} | JOB
    began = time.monotonic()
    command = [sys.executable, "-m", "hepjax", "doctor"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "this SLURM job has 4 tasks" in done.stderr
    assert time.monotonic() - began < 100


def test_doctor_takes_the_cluster_as_train_does(monkeypatch, capsys):
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    assert main(["doctor", "--cluster", "slurm"]) == 2
    assert "start the command with srun, or --cluster none" in capsys.readouterr().err
