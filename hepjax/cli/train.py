"""``hepjax train``: make or resume a run directory."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepjax.engine.train import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``train``."""
    parser.add_argument(
        "config", metavar="CONFIG", nargs="?",
        help="YAML file or packaged name (gan3d/demo); with --params it may be in that file",
    )  # fmt: skip
    parser.add_argument(
        "overrides", metavar="key.path=value", nargs="*", help="settings that replace the file's"
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="default: runs/<name of CONFIG>")
    parser.add_argument(
        "--params", type=Path, metavar="FILE",
        help="JSON object of settings by their path, and config: what a workflow system writes",
    )  # fmt: skip
    parser.add_argument(
        "--result", type=Path, metavar="FILE", help="JSON file to write: the score, or why not"
    )
    parser.add_argument("--devices", type=int, metavar="N", help="same as mesh.devices=N")
    parser.add_argument(
        "--cluster", default="auto", choices=["auto", "none", "slurm", "mpi", "tpu"],
        help="how processes find each other; auto: hepjax launch, or a SLURM step of several tasks",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Train until done or interrupted; 143 or 130 after a saved interruption."""
    from hepjax import HepjaxError
    from hepjax.studies import steered

    if args.result is None:
        return _trained(args, *steered.configured(args))
    steered.require_writable(args.result)
    try:
        config, workload, cfg = steered.configured(args)
        code = _trained(args, config, workload, cfg)
    except HepjaxError as error:
        steered.write_failure(args.result, error)
        raise
    if code == 0:
        steered.write_score(args.result, _directory(args, config), workload)
    return code


def _directory(args: argparse.Namespace, config: str) -> Path:
    """The run directory: that of the command, or one with the name of the configuration."""
    name = config.removesuffix(".yaml").strip("./").replace("/", "-")
    return args.run or Path("runs") / name


def _trained(args: argparse.Namespace, config: str, workload: Any, cfg: Any) -> int:
    """Train; the exit code."""
    from hepjax import run
    from hepjax.engine import signals
    from hepjax.engine.group.processes import join, leaving_at_once
    from hepjax.engine.host_memory import keep_memory

    keep_memory()
    directory = _directory(args, config)
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
