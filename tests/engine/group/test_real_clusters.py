"""A real SLURM of two nodes and a real mpirun, on this machine: trainings that are killed and told.

SLURM is built by benchmarks/faults/slurm_here.sh, which needs root, slurm-wlm and munge.
"""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults.ground import Ground, environment, final_state, saved, steps_done

ROOT = Path(__file__).parents[3]
HERE = ROOT / "benchmarks" / "faults" / "slurm_here.sh"
SHORT = 400
"""Updates of a training that is killed."""
pytestmark = pytest.mark.slow
needs_slurm = pytest.mark.skipif(
    not (shutil.which("slurmctld") and shutil.which("munged") and os.geteuid() == 0),
    reason="needs root and a SLURM to start here (slurm-wlm, munge)",
)
needs_mpi = pytest.mark.skipif(
    not (shutil.which("mpirun") and find_spec("mpi4py")), reason="needs mpirun and mpi4py"
)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    ground = Ground(tmp_path_factory.mktemp("ground"), random.Random(0))
    yield ground
    ground.clean()


@pytest.fixture(scope="module")
def undisturbed(ground):
    """The final state of two processes that nothing disturbs, by the number of updates."""
    known = {}

    def state(steps):
        if steps not in known:
            run = ground.new_run()
            job = ground.start(run, 2, steps=steps)
            assert job.codes(600) == [0, 0], job.text()
            known[steps] = final_state(run, steps)
        return known[steps]

    return state


def same(one, other):
    return all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Variables of a process that uses the cluster, and finds the hepjax that knows the fit."""
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([HERE, "start", folder], check=True, timeout=60)
    program = folder / "venv" / "bin" / "hepjax"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m benchmarks.faults.line "$@"\n')
    program.chmod(0o755)
    yield environment() | {
        "SLURM_CONF": str(folder / "slurm.conf"), "HEPJAX_VENV": str(folder / "venv"),
    }  # fmt: skip
    subprocess.run([HERE, "stop", folder], check=True, timeout=60)


def submit(cluster, log, words, *options):
    """Submit launch/slurm.sbatch over both nodes; the number of the job."""
    command = ["sbatch", "--parsable", "--nodes=2", "--ntasks-per-node=1", f"--output={log}"]
    done = subprocess.run(
        [*command, *options, ROOT / "launch" / "slurm.sbatch", *words],
        env=cluster, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def state_of(cluster, job):
    """State, exit code and number of restarts of a job."""
    done = subprocess.run(
        ["scontrol", "show", "job", "--oneliner", job], env=cluster, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    words = dict(word.partition("=")[::2] for word in done.stdout.split())
    return words["JobState"], words["ExitCode"], int(words["Restarts"])


def wait_for_the_end(cluster, job, log, seconds=600):
    deadline = time.monotonic() + seconds
    while (found := state_of(cluster, job))[0] not in ("COMPLETED", "FAILED", "CANCELLED"):
        assert time.monotonic() < deadline, (found, log.read_text())
        time.sleep(0.5)
    assert found[:2] == ("COMPLETED", "0:0"), log.read_text()
    return found[2]


def task(job, number):
    """The process of one task of a job."""
    wanted = {b"SLURM_JOB_ID=" + job.encode(), b"SLURM_PROCID=%d" % number}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            variables = set((place / "environ").read_bytes().split(b"\0"))
            command = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if wanted <= variables and b"benchmarks.faults.line" in command:
            return int(place.name)
    raise AssertionError(f"job {job} has no task {number}")


def reach(run, step, log, alive):
    while steps_done(run) < step:
        assert alive(), log.read_text()
        time.sleep(0.05)


@needs_slurm
def test_a_killed_task_is_requeued_by_slurm_and_ends_in_the_same_bits(
    ground, undisturbed, cluster, tmp_path
):
    run, log = tmp_path / "run", tmp_path / "log"
    job = submit(cluster, log, ground.words(run, 2, SHORT))
    reach(run, 30, log, lambda: state_of(cluster, job)[0] in ("PENDING", "RUNNING"))
    os.kill(task(job, 1), signal.SIGKILL)
    assert wait_for_the_end(cluster, job, log) == 1
    assert "ended with code 137: requeued" in log.read_text()
    assert same(final_state(run, SHORT), undisturbed(SHORT))


@needs_slurm
def test_the_notice_before_the_time_limit_saves_and_requeues_but_scancel_ends(
    ground, undisturbed, cluster, tmp_path
):
    """The limit is brought near once it trains; SLURM looks at it every 30 s. Then: cancelled."""
    run, log = tmp_path / "run", tmp_path / "log"
    words = [*ground.words(run, 2, 10**6), "checkpoint.every_steps=100"]
    job = submit(cluster, log, words, "--time=60", "--signal=B:TERM@60")

    def alive():
        state = state_of(cluster, job)[0]
        ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
        assert state not in ended, (state, log.read_text())
        return True

    def limit(minutes):
        command = ["scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}"]
        subprocess.run(command, env=cluster, check=True)

    began = time.monotonic()
    reach(run, 30, log, alive)
    limit(int(time.monotonic() - began) // 60 + 2)
    while "ended with code 143: requeued" not in log.read_text():
        assert alive(), log.read_text()
        time.sleep(0.2)
    limit(60)
    assert "hepjax: saved at step" in log.read_text()
    noticed = saved(run)[-1]
    assert noticed == steps_done(run)
    assert same(final_state(run, noticed), undisturbed(noticed))
    reach(run, noticed + 20, log, alive)
    assert state_of(cluster, job)[2] == 1
    subprocess.run(["scancel", job], env=cluster, check=True)
    deadline = time.monotonic() + 120
    while state_of(cluster, job)[0] != "CANCELLED":  # and not queued again
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    time.sleep(10)
    assert state_of(cluster, job)[::2] == ("CANCELLED", 1)  # no third start
    later = saved(run)[-1]
    assert later > noticed
    assert same(final_state(run, later), undisturbed(later))


@needs_slurm
@pytest.mark.parametrize(("launcher", "processes"), [([], 1), (["srun", "-n2"], 2)])
def test_srun_makes_the_group(cluster, tmp_path, launcher, processes):
    script, out = tmp_path / "job.sh", tmp_path / "out.txt"
    command = shlex.join([*launcher, sys.executable, "-m", "hepjax", "doctor", "--json"])
    script.write_text(f"#!/bin/bash\n{command}\n")
    subprocess.run(
        ["sbatch", "-W", "-n2", f"--output={out}", script], check=True, timeout=300, env=cluster
    )
    report = next(line for line in out.read_text().splitlines() if line.startswith("{"))
    assert json.loads(report)["processes"] == processes
    assert ("this SLURM job has 2 tasks" in out.read_text()) == (processes == 1)


@needs_mpi
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, 137), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_signal_to_a_process_of_mpirun(ground, undisturbed, tmp_path, number, code):
    run = tmp_path / "run"
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    command = [
        "mpirun", *root, "--oversubscribe", "-n", "2", sys.executable, "-m",
        "benchmarks.faults.line", *ground.words(run, 2, SHORT), "--cluster", "mpi",
    ]  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        first = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)
    reach(run, 30, tmp_path / "log", lambda: first.poll() is None)
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    os.kill(int(children[-1]), number)
    assert first.wait(60) == code, (tmp_path / "log").read_text()
    if number != signal.SIGKILL:
        assert saved(run)[-1] == steps_done(run)
    assert subprocess.run(command, env=environment(), timeout=600, check=False).returncode == 0
    assert same(final_state(run, SHORT), undisturbed(SHORT))


@needs_mpi
def test_a_signal_to_mpirun_itself_saves_when_it_waits_long_enough(ground, tmp_path):
    """It waits so long before it passes SIGTERM on, and again before it kills; a second each."""
    run = tmp_path / "run"
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    wait = ["--mca", "odls_base_sigkill_timeout", "20"]
    command = [
        "mpirun", *root, *wait, "--oversubscribe", "-n", "2", sys.executable, "-m",
        "benchmarks.faults.line", *ground.words(run, 2, 10**6), "--cluster", "mpi",
    ]  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        job = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)
        reach(run, 30, tmp_path / "log", lambda: job.poll() is None)
        job.send_signal(signal.SIGTERM)
        assert job.wait(180) != 0
    assert saved(run)[-1] == steps_done(run)
