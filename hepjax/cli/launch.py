"""``hepjax launch``: one training over several processes, here, on a SLURM cluster or on TPU VMs.

``local`` runs the processes; the others print the exact commands and leave running them to you.
"""

import argparse
import os
import shlex
import shutil
import sys

MAX_LOCAL = 64
HEPJAX = [sys.executable, "-m", "hepjax"]
"""The program that ``local`` runs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``launch``."""
    where = parser.add_subparsers(dest="where", metavar="WHERE", required=True)
    local = where.add_parser("local", help="run N processes on this machine")
    local.add_argument("-n", "--processes", type=int, required=True, metavar="N")
    local.add_argument(
        "--restarts", type=int, default=0, metavar="N",
        help="start again so often when a process dies of a fault; default: %(default)s",
    )  # fmt: skip
    local.add_argument("--dry-run", action="store_true", help="print the commands only")

    slurm = where.add_parser("slurm", help="print the sbatch command of launch/slurm.sbatch")
    slurm.add_argument("--nodes", type=int, required=True, metavar="N")
    slurm.add_argument("--gpus-per-node", type=int, default=0, metavar="N", help="0: CPU nodes")
    slurm.add_argument(
        "--tasks-per-node", type=int, default=1, metavar="N",
        help="CPU nodes: their NUMA domains; GPU nodes: 1, or one for each GPU",
    )  # fmt: skip
    slurm.add_argument("--partition", metavar="NAME")
    slurm.add_argument("--time", default="04:00:00", metavar="HH:MM:SS")
    slurm.add_argument("--image", metavar="FILE.sif", help="Apptainer image to run in")

    tpu = where.add_parser("tpu-vm", help="print the commands for a Cloud TPU slice")
    tpu.add_argument("--name", required=True, metavar="NAME", help="of the TPU VM")
    tpu.add_argument("--zone", required=True, metavar="ZONE")
    tpu.add_argument("--type", required=True, metavar="TYPE", help="accelerator: v5litepod-16")
    tpu.add_argument("--version", default="v2-alpha-tpuv5-lite", help="of the VM's software")
    for parser_of in (local, slurm, tpu):
        parser_of.add_argument(
            "command", nargs=argparse.REMAINDER, metavar="-- train ...", help="hepjax command"
        )


def run(args: argparse.Namespace) -> int:
    """Print the commands, or run them."""
    from hepjax import InputError

    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if command[:1] not in (["train"], ["doctor"]):
        raise InputError(
            f"launch: expected '-- train CONFIG ...' or '-- doctor', found {shlex.join(command)!r}"
        )
    if args.where == "local":
        return _local(args, command)
    if args.where == "slurm" and not _on_path(args):
        print(
            "hepjax: warning: hepjax: expected on the PATH that sbatch hands to the nodes, found "
            f"none; activate its environment first, or export HEPJAX_VENV={sys.prefix}",
            file=sys.stderr,
        )
    lines = _slurm(args, command) if args.where == "slurm" else _tpu(args, command)
    print("\n".join(lines))
    return 0


def _on_path(args: argparse.Namespace) -> bool:
    """Whether launch/slurm.sbatch finds hepjax with the environment of here, or in an image."""
    named = args.image or os.environ.get("HEPJAX_IMAGE") or os.environ.get("HEPJAX_VENV")
    return bool(named) or shutil.which("hepjax") is not None


def _local(args: argparse.Namespace, command: list[str]) -> int:
    from hepjax import InputError
    from hepjax.engine.group.launcher import RESTART_AFTER, run_group

    if not 1 <= args.processes <= MAX_LOCAL:
        raise InputError(f"--processes: expected 1 to {MAX_LOCAL}, found {args.processes}")
    whole = [*HEPJAX, *command]
    if args.dry_run:
        from hepjax.engine.group.rollcall import COORDINATOR, PROCESS, PROCESSES

        for process in range(args.processes):
            print(
                f"{COORDINATOR}=127.0.0.1:PORT {PROCESSES}={args.processes} {PROCESS}={process} "
                f"{shlex.join(whole)}"
            )
        return 0
    for attempt in range(args.restarts + 1):
        code = run_group(whole, args.processes, os.environ)
        if code not in RESTART_AFTER or attempt == args.restarts:
            break
        print(f"hepjax: a process died (code {code}); starting again", file=sys.stderr)
    return code


def _slurm(args: argparse.Namespace, command: list[str]) -> list[str]:
    options = [
        f"--nodes={args.nodes}",
        f"--ntasks-per-node={args.tasks_per_node}",
        f"--time={args.time}",
    ]
    if args.gpus_per_node:
        options.append(f"--gpus-per-node={args.gpus_per_node}")
    if args.partition:
        options.append(f"--partition={args.partition}")
    image = [f"--export=ALL,HEPJAX_IMAGE={args.image}"] if args.image else []
    return [shlex.join(["sbatch", *options, *image, "launch/slurm.sbatch", *command])]


def _tpu(args: argparse.Namespace, command: list[str]) -> list[str]:
    where = [args.name, f"--zone={args.zone}"]
    create = [
        "gcloud", "compute", "tpus", "tpu-vm", "create", *where,
        f"--accelerator-type={args.type}", f"--version={args.version}",
    ]  # fmt: skip
    script = ["launch/tpu_vm.sh", args.name, args.zone, *command]
    return [shlex.join(create), shlex.join(script)]
