"""``hepjax train``: make or resume a run directory."""

import argparse
import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepjax.engine.workload import Workload


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``train``."""
    parser.add_argument("config", metavar="CONFIG", help="YAML file or packaged name (gan3d/demo)")
    parser.add_argument(
        "overrides", metavar="key.path=value", nargs="*", help="settings that replace the file's"
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="default: runs/<name of CONFIG>")
    parser.add_argument("--devices", type=int, metavar="N", help="same as mesh.devices=N")
    parser.add_argument(
        "--cluster", default="auto", choices=["auto", "none", "slurm", "mpi", "tpu"],
        help="how processes find each other; auto: hepjax launch, or a SLURM step of several tasks",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Train until done or interrupted; 143 or 130 after a saved interruption."""
    from hepjax.engine.config import find_config, read_settings
    from hepjax.engine.group.processes import join, leaving_at_once
    from hepjax.engine.host_memory import keep_memory
    from hepjax.engine.mesh import request_devices
    from hepjax.workloads import table

    keep_memory()
    path = find_config(args.config)
    devices = [] if args.devices is None else [f"mesh.devices={args.devices}"]
    workload, cfg = table.configure(read_settings(path, args.overrides + devices))
    name = args.config.removesuffix(".yaml").strip("./").replace("/", "-")
    processes = join(args.cluster)
    request_devices(-(-cfg.mesh.devices // processes))
    with leaving_at_once():
        return _train(workload, cfg, args.run or Path("runs") / name, quiet=args.quiet)


def _train(workload: "Workload", cfg: Any, directory: Path, *, quiet: bool) -> int:
    import jax

    from hepjax.engine import rundir
    from hepjax.engine.config import to_settings
    from hepjax.engine.group import processes
    from hepjax.engine.train import train

    received: list[int] = []

    def on_signal(number: int, frame: object) -> None:
        if received:
            raise KeyboardInterrupt  # asked twice: end now, the last checkpoint stands
        received.append(number)
        print("hepjax: saving before the end", file=sys.stderr)

    first = jax.process_index() == 0
    with contextlib.ExitStack() as stack:
        with processes.together():
            if first:
                stack.enter_context(rundir.locked(directory))
                settings = {"workload": workload.name} | to_settings(cfg)
                rundir.open_for_training(directory, settings)
        with processes.together():
            rundir.require_shared(directory)
        # In a group jax takes SIGTERM as the notice that all processes see at the same step.
        alone = jax.process_count() == 1
        for number in (signal.SIGINT, signal.SIGTERM) if alone else ():
            signal.signal(number, on_signal)
        outcome = train(
            workload, cfg, directory, quiet=quiet, interrupted=processes.interruption(received)
        )
    if outcome.signal is not None:
        if first:
            resumes = f"hepjax: saved at step {outcome.step}; the same command resumes"
            print(resumes, file=sys.stderr)
        return 128 + outcome.signal
    if first:
        print(f"{directory}: {outcome.epochs} epochs, {outcome.step} updates")
    return 0
