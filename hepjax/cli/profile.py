"""``hepjax profile``: where the time of an update goes, and a trace for other tools."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

LARGEST = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``profile``."""
    parser.add_argument(
        "config",
        metavar="CONFIG|RUN",
        help="YAML file, packaged name (gan3d/demo) or run directory",
    )
    parser.add_argument(
        "overrides", metavar="key.path=value", nargs="*", help="settings that replace the file's"
    )
    parser.add_argument(
        "--updates", type=int, default=10, metavar="N", help="how many are traced; default: 10"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="for traces; default: profiles/<name of CONFIG>"
    )
    parser.add_argument("--devices", type=int, metavar="N", help="same as mesh.devices=N")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Trace some updates and print the table."""
    from hepjax import InputError, run
    from hepjax.bench.profiled import profile
    from hepjax.engine import compilation
    from hepjax.engine.host_memory import keep_memory
    from hepjax.engine.mesh import request_devices

    if not 1 <= args.updates <= LARGEST:
        raise InputError(f"--updates: expected 1 to {LARGEST}, found {args.updates}")
    keep_memory()
    devices = [] if args.devices is None else [f"mesh.devices={args.devices}"]
    overrides = args.overrides + devices
    directory = Path(args.config)
    if is_run := (directory / "config.yaml").is_file():
        workload, cfg = run.stored(directory, overrides)
    else:
        workload, cfg = run.configured(args.config, overrides)
    request_devices(cfg.mesh.devices)
    compilation.use_cache(cfg.train.keep_compiled)
    name = args.config.removesuffix(".yaml").strip("./").replace("/", "-")
    out = args.out or Path("profiles") / name

    def say(text: str) -> None:
        if not args.quiet:
            print(f"hepjax: {text}", file=sys.stderr)

    report = profile(workload, cfg, directory if is_run else None, out, args.updates, say)
    print(json.dumps(report) if args.json else "\n".join(lines(report)))
    return 0


def lines(report: dict[str, Any]) -> list[str]:
    """The report as text."""
    from hepjax.bench.verdict import source

    times, compilation = report["time_ms"], report["compilation"]
    total = sum(times.values()) or 1.0
    slower = report["traced_ms_per_update"] / report["ms_per_update"] - 1
    text = [
        f"{report['workload']}: {report['batch_size']} events an update in {report['precision']} "
        f"on {report['devices']} x {report['device']}: {report['ms_per_update']:.2f} ms, "
        f"{report['events_per_second']:,.1f} events/s",
        f"compilation {compilation['compile_s']:.1f} s, tracing {compilation['trace_s']:.1f} s, "
        f"programs {compilation['programs']}; once, not in the table",
        "",
        f"{'where the time goes':40} {'ms':>10} {'share':>6}",
    ]
    text += [f"{name:40} {ms:10.3f} {ms / total:6.1%}" for name, ms in times.items()]
    text += [
        f"{'an update under the profiler':40} {total:10.3f} ({slower:+.0%})",
        "",
        f"{'top kernels':40} {'ms':>10} {'share':>6} {'calls':>6}  class, place",
    ]
    for kernel in report["top"]:
        place = source(kernel["source"])
        text.append(
            f"{kernel['kernel'][:40]:40} {kernel['ms']:10.3f} {kernel['ms'] / total:6.1%} "
            f"{kernel['calls']:6.0f}  {kernel['class']}{', ' if place else ''}{place}"
        )
    return [*text, "", report["bound"], f"trace: {report['trace']}"]
