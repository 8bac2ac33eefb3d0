"""What ``hepjax launch`` prints is what runs, and bad requests end in one line."""

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hepjax.cli import main

LAUNCH = Path(__file__).parents[2] / "launch"


def test_local_prints_one_command_for_each_process(capsys):
    assert main(["launch", "local", "-n", "2", "--dry-run", "--", "train", "gan3d/demo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "HEPJAX_PROCESS=1" in lines[1]
    assert shlex.split(lines[1])[-4:] == ["-m", "hepjax", "train", "gan3d/demo"]


def test_slurm_prints_the_batch_command(capsys):
    words = ["launch", "slurm", "--nodes", "4", "--gpus-per-node", "4", "--image", "h.sif"]
    assert main([*words, "--", "train", "gan3d/demo", "data.files=[a b]"]) == 0
    command = shlex.split(capsys.readouterr().out)
    assert command[0] == "sbatch"
    assert {"--nodes=4", "--gpus-per-node=4", "--export=ALL,HEPJAX_IMAGE=h.sif"} <= set(command)
    assert command[-4:] == ["launch/slurm.sbatch", "train", "gan3d/demo", "data.files=[a b]"]


def test_slurm_warns_where_the_nodes_would_not_find_hepjax(tmp_path, monkeypatch, capsys):
    words = ["launch", "slurm", "--nodes", "2"]
    for name in ("HEPJAX_VENV", "HEPJAX_IMAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([*words, "--", "train", "gan3d/demo"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("sbatch")
    assert f"or export HEPJAX_VENV={sys.prefix}\n" in said.err
    assert main([*words, "--image", "h.sif", "--", "train", "gan3d/demo"]) == 0
    (tmp_path / "hepjax").touch(mode=0o755)
    assert main([*words, "--", "train", "gan3d/demo"]) == 0
    assert capsys.readouterr().err == ""


def test_tpu_vm_prints_how_to_make_and_use_the_slice(capsys):
    words = ["launch", "tpu-vm", "--name", "a", "--zone", "z", "--type", "v5litepod-16"]
    assert main([*words, "--", "train", "gan3d/demo"]) == 0
    create, use = map(shlex.split, capsys.readouterr().out.splitlines())
    assert create[:6] == ["gcloud", "compute", "tpus", "tpu-vm", "create", "a"]
    assert use == ["launch/tpu_vm.sh", "a", "z", "train", "gan3d/demo"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["local", "-n", "2", "--", "pack", "a"], "or '-- doctor', found 'pack a'"),
        (["local", "-n", "0", "--", "train", "x"], "--processes: expected 1 to 64, found 0"),
        (["slurm", "--nodes", "1"], "expected '-- train CONFIG ...' or"),
    ],
)
def test_bad_requests_name_the_option(words, message, capsys):
    assert main(["launch", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("script", ["slurm.sbatch", "tpu_vm.sh"])
def test_scripts_are_sound_shell(script):
    subprocess.run(["bash", "-n", LAUNCH / script], check=True)
    assert (LAUNCH / script).stat().st_mode & 0o100


def slurm_job(folder, srun, restarts=0, state="RUNNING"):
    """The batch script with stand-ins for srun and for scontrol, which notes a requeue."""
    programs = {
        "hepjax": "exit 9",
        "srun": srun,
        "scontrol": f'case $1 in show) echo "JobId=7 JobState={state} Reason=None";; '
                    f'*) echo "$@" > {folder}/requeued;; esac',
        "scancel": "exit 0",
    }  # fmt: skip
    for name, line in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    return subprocess.Popen(
        [LAUNCH / "slurm.sbatch", "train", "gan3d/demo"], stderr=subprocess.DEVNULL,
        env={"PATH": f"{folder}:/usr/bin:/bin", "SLURM_JOB_ID": "7",
             "SLURM_RESTART_COUNT": str(restarts)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "restarts", "requeued"),
    [(0, 0, False), (2, 0, False), (3, 0, False), (134, 0, True), (137, 2, True), (137, 3, False),
     (143, 3, False)],
)  # fmt: skip
def test_slurm_script_requeues_what_another_start_can_mend(tmp_path, code, restarts, requeued):
    job = slurm_job(tmp_path, f"exit {code}", restarts)
    assert job.wait(30) == (0 if requeued else code)
    assert (tmp_path / "requeued").exists() == requeued


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "PREEMPTED"])
def test_slurm_script_leaves_a_cancelled_job_alone(tmp_path, state):
    assert slurm_job(tmp_path, "exit 143", state=state).wait(30) == 143
    assert not (tmp_path / "requeued").exists()


def test_slurm_script_says_that_hepjax_is_not_there(tmp_path):
    (tmp_path / "hepjax").mkdir()  # srun would take it for the program
    done = subprocess.run(
        [LAUNCH / "slurm.sbatch", "train", "gan3d/demo"], cwd=tmp_path, capture_output=True,
        env={"PATH": "/usr/bin:/bin"}, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("hepjax: error: hepjax: expected this program on ")
    assert "HEPJAX_VENV=DIR" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("code", "requeued"), [(143, True), (0, False), (3, False)])
def test_slurm_script_goes_by_what_the_tasks_say_after_the_notice(tmp_path, code, requeued):
    job = slurm_job(tmp_path, f"echo > {tmp_path}/here; sleep 1; exit {code}", restarts=9)
    while not (tmp_path / "here").exists():
        time.sleep(0.01)
    job.send_signal(signal.SIGTERM)
    assert job.wait(30) == (0 if requeued else code)
    assert (tmp_path / "requeued").exists() == requeued


def test_tpu_script_asks_for_its_arguments():
    done = subprocess.run([LAUNCH / "tpu_vm.sh", "a"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("usage:")


def test_tpu_script_goes_on_after_a_preemption(tmp_path):
    """A stand-in for gcloud: the slice is gone once, then ready; the training ends with 0."""
    fake = tmp_path / "gcloud"
    fake.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {tmp_path}/calls\n'
        f'case "$*" in *scp*) tar -tzf "$5" > {tmp_path}/sent;; esac\n'
        f'case "$*" in *describe*) if [ -f {tmp_path}/back ]; then echo READY; '
        f"else touch {tmp_path}/back; echo PREEMPTED; fi;; esac\n"
    )
    sleep = tmp_path / "sleep"
    sleep.write_text("#!/bin/sh\n")
    for program in (fake, sleep):
        program.chmod(0o755)
    subprocess.run(
        [LAUNCH / "tpu_vm.sh", "name", "zone", "train", "gan3d/demo", "data.files=[a b]"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}, check=True,
        capture_output=True,
    )  # fmt: skip
    calls = (tmp_path / "calls").read_text().splitlines()
    assert sum("describe" in call for call in calls) == 2
    assert "train gan3d/demo data.files=\\[a\\ b\\] --cluster tpu" in calls[-1]
    sent = (tmp_path / "sent").read_text().split()
    assert {
        "pyproject.toml",
        "LICENSE",
        "hepjax/cli/__init__.py",
        "configs/gan3d/demo.yaml",
    } <= set(sent)
    assert not [name for name in sent if name.startswith((".git", "runs"))]


@pytest.mark.slow
def test_doctor_of_two_processes_measures_between_them(capfd):
    assert main(["launch", "local", "-n", "2", "--", "doctor", "--json"]) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if "{" in line]
    assert len(lines) == 1
    report = json.loads(lines[0].removeprefix("[0] "))
    assert report["processes"] == 2
    assert report["all_reduce_gb_per_s"] > 0
