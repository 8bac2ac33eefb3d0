"""Measure what a GPU is good for, in the minutes for which it is lent.

    bash benchmarks/gpu.sh OUT --minutes 9                on the GPU
    bash benchmarks/gpu.sh OUT --rehearse --minutes 60    small sizes on a CPU, to see that it works
    bash benchmarks/gpu.sh OUT --plan                     what would run, and what is missing

Parts run one after another in the order of their value, each as a process with a limit of its own;
one that has no time any more is skipped by name. OUT gets ``results.json`` and ``table.md``, both
written anew after each part, ``log.txt``, and what a part keeps. A part that fails or takes too
long is named, and what it had measured until then stays. ``--only`` takes some parts, for a second
call.

Packages that the machine lacks can be brought along as wheels (``--wheels FOLDER``); they are
installed beside, not into, its Python.
"""

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from benchmarks.gpu.parts import FULL, REHEARSAL, Part, parts
from benchmarks.gpu.table import table
from benchmarks.setting import ROOT, environment

NEEDED = {
    "jax": "jax", "flax": "flax", "optax": "optax", "orbax.checkpoint": "orbax-checkpoint",
    "grain": "grain", "portpicker": "portpicker", "array_record": "array_record", "jraph": "jraph",
    "h5py": "h5py", "numpy": "numpy", "scipy": "scipy", "pyarrow": "pyarrow",
    "tensorflow_datasets": "tensorflow-datasets", "google_crc32c": "google-crc32c",
    "importlib_resources": "importlib_resources", "yaml": "pyyaml", "rich": "rich",
}  # fmt: skip
"""Modules that hepjax and its dependencies import, and the packages that bring them."""
WELCOME = {"torch": "torch", "pynvml": "nvidia-ml-py"}
"""What some parts need: PyTorch beside us, and energy."""
RESERVE = 5
"""Seconds at the end for writing."""
GRACE = 5
"""Seconds between asking a part to end and killing it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--rehearse", action="store_true", help="small sizes, on a CPU")
    parser.add_argument("--plan", action="store_true", help="say what would run, and end")
    parser.add_argument("--only", nargs="+", metavar="PART", help="names of the plan")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="packages to bring along")
    args = parser.parse_args()
    planned = parts(REHEARSAL if args.rehearse else FULL)
    if unknown := [name for name in args.only or () if name not in {p.name for p in planned}]:
        parser.error(f"--only: expected parts of the plan (--plan shows them), found {unknown[0]}")
    planned = [part for part in planned if args.only is None or part.name in args.only]
    if not 0 < args.minutes < 1e4:
        parser.error(f"--minutes: expected more than 0, found {args.minutes:g}")
    with tempfile.TemporaryDirectory(prefix="hepjax-gpu-") as scratch:
        if args.wheels is not None:
            bring(args.wheels, Path(scratch) / "site", parser.error)
        lacking = missing(NEEDED | WELCOME)
        print(said(lacking), end="", flush=True)
        if args.plan:
            print(plan(planned, args.minutes, lacking))
            return 0
        if "jax" in lacking:  # every part would fail
            parser.error(
                f"expected a Python with jax (PYTHON names it), found {sys.executable} without"
            )
        args.out.mkdir(parents=True, exist_ok=True)
        results = run(planned, args, lacking, Path(scratch))
    print((args.out / "table.md").read_text())
    failed = [p for p, r in results["parts"].items() if r["status"] in ("failed", "out of time")]
    if failed:
        print(f"failed: {', '.join(failed)}; see {args.out}/log.txt", file=sys.stderr)
    return 1 if failed else 0


def bring(wheels: Path, site: Path, refuse: Callable[[str], Any]) -> None:
    """Install wheels into a folder that this process and the parts find."""
    files = sorted(wheels.glob("*.whl"))
    if not files:
        refuse(f"--wheels: expected a folder with wheels, found none in {wheels}")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile"]
    done = subprocess.run([*pip, "--target", str(site), *map(str, files)], check=False)
    if done.returncode:
        refuse(
            f"--wheels: expected wheels for this Python, found some that pip refuses in {wheels}"
        )
    sys.path.insert(0, str(site))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(site), *([before] if before else [])])


def missing(modules: dict[str, str]) -> dict[str, str]:
    """The modules that are not here, and the packages that bring them."""

    def here(name: str) -> bool:
        try:
            return importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:  # the package around it
            return False

    return {name: package for name, package in modules.items() if not here(name)}


def said(lacking: dict[str, str]) -> str:
    """What is missing, and how it can be brought along; empty if nothing is."""
    lines = []
    for names, why in ((NEEDED, "hepjax needs them"), (WELCOME, "parts are skipped without them")):
        packages = [package for name, package in lacking.items() if name in names]
        if packages:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            lines.append(f"missing, {why}: {' '.join(packages)}\n")
            lines.append(
                "  where there is a network: python3 -m pip download --no-deps "
                f"--only-binary=:all: --python-version {version} -d wheels {' '.join(packages)}\n"
                "  and here: --wheels wheels\n"
            )
    return "".join(lines)


def plan(planned: list[Part], minutes: float, lacking: dict[str, str]) -> str:
    """The parts as a table; how long they may take beside the time there is."""
    lines = [f"{'part':20} {'begun with':>10} {'limit':>6}  question"]
    for part in planned:
        without = [name for name in part.needs if name in lacking]
        note = f" (skipped: no {', '.join(without)})" if without else ""
        lines.append(f"{part.name:20} {part.least:8} s {part.limit:4} s  {part.question}{note}")
    least, limit = (sum(getattr(p, n) for p in planned) for n in ("least", "limit"))
    lines.append(f"{'all':20} {least:8} s {limit:4} s  of {60 * minutes:.0f} s")
    return "\n".join(lines)


def run(
    planned: list[Part], args: argparse.Namespace, lacking: dict[str, str], scratch: Path
) -> dict[str, Any]:
    """Do the parts for which there is time; the results, as they were written."""
    deadline = time.monotonic() + 60 * args.minutes - RESERVE
    results: dict[str, Any] = {
        "minutes": args.minutes, "rehearsal": args.rehearse, "missing": sorted(lacking),
        "parts": {part.name: {"status": "not begun"} for part in planned},
    }  # fmt: skip
    around = environment() | {"HEPJAX_COMPILATION_CACHE": str(scratch / "programs")}
    with (args.out / "log.txt").open("a") as log:
        for part in planned:
            left = max(0.0, deadline - time.monotonic())
            without = [name for name in part.needs if name in lacking]
            if without or left < part.least:
                why = f"no {', '.join(without)}" if without else f"{left:.0f} s left"
                results["parts"][part.name] = {"status": "skipped", "why": why}
            else:
                print(f"{part.name}: {part.question}", flush=True)
                path = scratch / "part.json"
                path.unlink(missing_ok=True)
                limit = min(float(part.limit), left)
                found = one(part, around | part.environment, path, limit, log)
                results["parts"][part.name] = found
                if part.keeps and "result" in found:
                    shutil.copy(path, args.out / part.keeps)
                print(f"  {found['status']} after {found['seconds']} s", flush=True)
            written(args.out, results)
    return results


def one(
    part: Part, around: dict[str, str], path: Path, limit: float, log: TextIO
) -> dict[str, Any]:
    """Run one part; what it gave, however it ended."""
    command = part.command(str(path))
    log.write(f"== {part.name}: {' '.join(command[1:])}\n")
    log.flush()
    began, start = time.monotonic(), log.tell()
    process = subprocess.Popen(
        command, cwd=ROOT, env=around, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        code = process.wait(limit)
        status = "done" if code == 0 else "failed"
    except subprocess.TimeoutExpired:
        status = "out of time" if limit >= part.limit else "cut off by the end"
    finally:
        end(process)
    found: dict[str, Any] = {"status": status, "seconds": round(time.monotonic() - began, 1)}
    found |= {"question": part.question, "command": " ".join(part.words)}
    try:
        found["result"] = json.loads(path.read_text())
    except (OSError, ValueError):
        if status == "done":
            found["status"] = "failed"
    if found["status"] != "done":
        with open(log.name, errors="replace") as text:
            text.seek(start)
            found["last_lines"] = text.read().splitlines()[-5:]
    return found


def end(process: subprocess.Popen[Any]) -> None:
    """End a part with all its processes, should any still run."""
    for number, grace in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
            process.wait(grace)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def written(out: Path, results: dict[str, Any]) -> None:
    """Write results and table, each under another name first."""
    for name, text in (
        ("results.json", json.dumps(results, indent=1)),
        ("table.md", table(results)),
    ):
        part = out / f"{name}.part"
        part.write_text(text + "\n")
        part.replace(out / name)


if __name__ == "__main__":
    sys.exit(main())
