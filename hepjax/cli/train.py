"""``hepjax train``: make or resume a run directory."""

import argparse
import signal
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``train``."""
    parser.add_argument("config", metavar="CONFIG", help="YAML file or packaged name (gan3d/demo)")
    parser.add_argument(
        "overrides", metavar="key.path=value", nargs="*", help="settings that replace the file's"
    )
    parser.add_argument("--run", type=Path, metavar="DIR", help="default: runs/<name of CONFIG>")
    parser.add_argument("--devices", type=int, metavar="N", help="same as mesh.devices=N")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Train until done or interrupted; 143 or 130 after a saved interruption."""
    from hepjax import workloads
    from hepjax.engine import rundir
    from hepjax.engine.config import find_config, read_settings, to_settings
    from hepjax.engine.mesh import request_devices

    path = find_config(args.config)
    devices = [] if args.devices is None else [f"mesh.devices={args.devices}"]
    workload, cfg = workloads.configure(read_settings(path, args.overrides + devices))
    directory = args.run or Path("runs") / args.config.removesuffix(".yaml").strip("./").replace(
        "/", "-"
    )
    request_devices(cfg.mesh.devices)

    from hepjax.engine.train import train

    received: list[int] = []

    def on_signal(number: int, frame: object) -> None:
        if received:
            raise KeyboardInterrupt  # asked twice: end now, the last checkpoint stands
        received.append(number)
        print("hepjax: saving before the end", file=sys.stderr)

    with rundir.locked(directory):
        rundir.open_for_training(directory, {"workload": workload.name} | to_settings(cfg))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, on_signal)
        outcome = train(
            workload, cfg, directory,
            quiet=args.quiet, interrupted=lambda: received[0] if received else None,
        )  # fmt: skip
    if outcome.signal is not None:
        print(f"hepjax: saved at step {outcome.step}; the same command resumes", file=sys.stderr)
        return 128 + outcome.signal
    print(f"{directory}: {outcome.epochs} epochs, {outcome.step} updates")
    return 0
