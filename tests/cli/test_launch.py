"""What ``hepjax launch`` prints is what runs, and bad requests end in one line."""

import json
import shlex
import subprocess
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


def test_doctor_of_two_processes_measures_between_them(capfd):
    assert main(["launch", "local", "-n", "2", "--", "doctor", "--json"]) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if "{" in line]
    assert len(lines) == 1
    report = json.loads(lines[0].removeprefix("[0] "))
    assert report["processes"] == 2
    assert report["all_reduce_gb_per_s"] > 0
