"""What the variables of SLURM mean: a group are the tasks of one step, which ``srun`` starts.

An sbatch script, a shell of ``salloc`` and a login on a node of a job have variables of the job,
``SLURM_NTASKS`` and ``SLURM_PROCID`` among them, but run one process; they are in no step, or in
one of one task. So the number of tasks of the job says nothing about this process.
"""

import re
from collections.abc import Mapping

from hepjax import InputError

STEP = ("SLURM_STEP_ID", "SLURM_STEPID", "SLURM_STEP_NODELIST", "SLURM_STEP_NUM_TASKS")
"""Variables that a step alone has."""
NODES = re.compile(r"([^,\[]+)(?:\[(\d+)[^\]]*\]([^,]*))?")
"""The first name of "gpu[07-09,12],cpu1", with the first number of its bracket."""


def in_step(environment: Mapping[str, str]) -> bool:
    """Whether this process was started by ``srun``, or a shell was that started it."""
    return any(name in environment for name in STEP)


def step_tasks(environment: Mapping[str, str]) -> int:
    """Tasks of the step of this process; 1 without a step, or without a number in it.

    Where the step does not say its number of tasks but its nodes, it is that of the job.
    """
    known = "SLURM_STEP_NUM_TASKS" in environment
    if "SLURM_PROCID" not in environment or not (known or "SLURM_STEP_NODELIST" in environment):
        return 1
    return max(_whole(environment.get("SLURM_STEP_NUM_TASKS" if known else "SLURM_NTASKS")), 1)


def allocated_tasks(environment: Mapping[str, str]) -> int:
    """Tasks that the job may start; 0 outside a job."""
    names = ("SLURM_NTASKS", "SLURM_NPROCS")
    return max(_whole(environment.get(name)) for name in names)


def first_node(environment: Mapping[str, str]) -> str:
    """Where task 0 of the step runs.

    Raises:
      InputError: no node is named.
    """
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", "")
    first = NODES.match(nodes)
    if first is None:
        raise InputError(
            "SLURM_STEP_NODELIST: expected the nodes of the job step, found none; start the "
            "command with srun, or --cluster none for a process alone"
        )
    return first[1] + (first[2] or "") + (first[3] or "")


def shares_a_node(environment: Mapping[str, str]) -> bool:
    """Whether a node of the step runs several of its tasks, and they see each other's accelerators.

    With ``--gpus-per-task`` or one visible GPU each, SLURM has divided them already.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES", "")
    if "SLURM_GPUS_PER_TASK" in environment or (visible and "," not in visible):
        return False
    asked = environment.get("SLURM_NTASKS_PER_NODE", "1")
    found = environment.get("SLURM_STEP_TASKS_PER_NODE", "1")  # "2(x3),1": three nodes of two
    return asked != "1" or any(int(n) > 1 for n in re.findall(r"(?:^|,)(\d+)", found))


def _whole(text: str | None) -> int:
    return int(text) if text is not None and text.strip().isdecimal() else 0
