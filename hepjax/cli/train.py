"""``hepjax train``: make or resume a run directory."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hepjax.engine.train import Outcome


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
    from hepjax import run
    from hepjax.engine import signals
    from hepjax.engine.group.processes import join, leaving_at_once
    from hepjax.engine.host_memory import keep_memory

    keep_memory()
    devices = [] if args.devices is None else [f"mesh.devices={args.devices}"]
    workload, cfg = run.configured(args.config, args.overrides + devices)
    name = args.config.removesuffix(".yaml").strip("./").replace("/", "-")
    directory = args.run or Path("runs") / name
    processes = join(args.cluster)
    if processes > 1:
        # jax takes SIGTERM as the notice that all processes see at the same step.
        signals.enter(signals.State.GROUP)
    with leaving_at_once():
        outcome = run.train(
            workload, cfg, directory, quiet=args.quiet, group=processes, received=signals.received
        )
        return _told(directory, outcome)


def _told(directory: Path, outcome: "Outcome") -> int:
    """Say how the training ended, in the first process; the exit code."""
    import jax

    first = jax.process_index() == 0
    if outcome.signal is not None:
        if first:
            resumes = f"hepjax: saved at step {outcome.step}; the same command resumes"
            print(resumes, file=sys.stderr)
        return 128 + outcome.signal
    if first:
        print(f"{directory}: {outcome.epochs} epochs, {outcome.step} updates")
    return 0
