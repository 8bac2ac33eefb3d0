"""The commands that signals.py interrupts, and what an undisturbed one leaves.

Trainings go on in one run directory each. Other verbs write into a new folder each round; it may
hold whole files of the undisturbed command and nothing else.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.setting import environment
from hepjax.bench import data
from hepjax.engine.checkpoint import complete_steps
from hepjax.formats.packed.manifest import PLAN_FILE

HEPJAX = [sys.executable, "-m", "hepjax"]
TRAININGS = {
    "gan3d": ("gan3d/small", 32, [
        "model.generator=[{dense: [5, 5, 5, 2], norm: true}, {upsample: [5, 5, 5], filters: 1, "
        "kernel: [3, 3, 3], activation: relu}]",
        "model.discriminator=[{filters: 2, kernel: [3, 3, 3], norm: true, pool: [5, 5, 5]}]",
        "train.batch_size=8",
    ]),
    "tagger": ("tagger/demo", 32, ["train.batch_size=8"]),
    "mlpf": ("mlpf/demo", 8, [
        "model.layers=1", "model.width=8", "model.head_width=8", "model.distance_hidden=8",
        "model.distance_dim=4", "train.batch_size=2",
    ]),
}  # fmt: skip
"""Configuration, events and overrides of small trainings."""
TEMPORARY = (".tmp", ".partial")


class Ground:
    """A folder with the data, one trained run of each workload, and undisturbed results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def data(self, workload: str) -> Path:
        """A few simulated events."""
        events = TRAININGS[workload][1]
        return data.prepare(workload, events, self.folder / "data", quiet=True)

    def training(self, workload: str, run: Path, steps: int | None = None) -> list[str]:
        """Words of a training that records each update; without end, or of so many updates."""
        config, _, overrides = TRAININGS[workload]
        share = [] if workload == "tagger" else ["data.validation_fraction=0.25"]
        end = "train.epochs=100000" if steps is None else f"train.steps={steps}"
        return [
            "train", config, f"data.files=[{self.data(workload) / 'train'}]", *share, *overrides,
            end, "train.record_every=1", "--run", str(run),
        ]  # fmt: skip

    def trained(self, workload: str) -> Path:
        """A run of one epoch."""
        run = self.folder / "trained" / workload
        if not complete_steps(run / "checkpoints"):
            call([*HEPJAX, *self.training(workload, run, 4), "--quiet"], self.variables(True))
        return run

    def variables(self, cached: bool) -> dict[str, str]:
        """Of a command: with or without programs that were compiled before."""
        cache = str(self.folder / "cache") if cached else "off"
        return environment() | {"HEPJAX_COMPILATION_CACHE": cache, "JAX_PLATFORMS": "cpu"}


Words = Callable[[Ground, Path], list[str]]
"""The command that writes into a folder."""
COMMANDS: dict[str, Words] = {
    **{
        f"evaluate {w}": lambda g, out, w=w: [
            "evaluate", str(g.trained(w)), "--out", str(out / "r"),
        ]
        for w in ("gan3d", "mlpf")
    },
    **{
        f"predict {w}": lambda g, out, w=w: [
            "predict", str(g.trained(w)), "--data", str(g.data(w) / "train"),
            "--out", str(out / "table.parquet"),
        ]
        for w in ("tagger", "mlpf")
    },
    "generate gan3d": lambda g, out: [
        "generate", str(g.trained("gan3d")), "--events", "100", "--seed", "1",
        "--out", str(out / "showers.h5"),
    ],
    **{
        f"simulate {kind}": lambda g, out, kind=kind, more=more: [
            "simulate", kind, *more, "--seed", "1", "--out", str(out / "events"),
        ]
        for kind, more in {
            "showers": ["--events", "120", "--events-per-file", "40"],
            "photons": ["--events", "100"],
            "jets": ["--events", "200", "--task", "top", "--toy"],
            "events": ["--events", "40", "--toy", "--pileup", "20"],
        }.items()
    },
    "pack gan3d": lambda g, out: [
        "pack", str(g.data("gan3d") / "train"), "--workers", "2", "--out", str(out / "set"),
    ],
    **{
        f"inspect {w}": lambda g, out, w=w: ["inspect", str(g.data(w) / "train"), "--json"]
        for w in TRAININGS
    },
    "bench tagger": lambda g, out: [
        "bench", "tagger", "--data", str(g.data("tagger")), "--batch-size", "2", "--epochs", "2",
        "--devices", "1", "--out", str(out / "bench"),
    ],
    "doctor": lambda g, out: ["doctor"],
}  # fmt: skip
"""Verbs other than train."""


def call(command: list[str], variables: dict[str, str]) -> float:
    """Run a command to its end; its seconds.

    Raises:
      RuntimeError: it failed.
    """
    began = time.monotonic()
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: code {done.returncode}: {done.stderr[-500:]}")
    return time.monotonic() - began


@dataclass(frozen=True)
class Undisturbed:
    """What a command takes and leaves."""

    seconds: float
    files: dict[str, str]
    """Digest of each file; empty where two calls give different bytes (times, random names)."""


def undisturbed(name: str, ground: Ground) -> Undisturbed:
    """Of one of ``COMMANDS``; called twice at first, then read from the folder."""
    about = ground.folder / "undisturbed" / f"{name.replace(' ', '-')}.json"
    if not about.exists():
        seconds, found = [], []
        for _ in range(2):
            out = new_folder(ground)
            command = [*HEPJAX, *COMMANDS[name](ground, out)]
            seconds.append(call(command, ground.variables(True)))
            found.append(contents(out))
        files = {k: v if found[1].get(k) == v else "" for k, v in found[0].items()}
        about.parent.mkdir(exist_ok=True)
        about.write_text(json.dumps({"seconds": seconds[1], "files": files}))
    return Undisturbed(**json.loads(about.read_text()))


def new_folder(ground: Ground) -> Path:
    """An empty folder for results, the same each time: some files name it."""
    out = ground.folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    return out


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, by its name below the folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def unfinished(found: dict[str, str], whole: dict[str, str], folder: Path) -> list[str]:
    """Names of files that the undisturbed command does not leave, or leaves otherwise.

    The plan of a set that is not packed to its end is what the same command goes on with.
    """
    plans = {name for name in found if Path(name).name == PLAN_FILE and _ends(folder / name)}
    return [
        name for name, digest in found.items()
        if name not in plans and (
            name not in whole or (whole[name] and digest != whole[name])
            or not (whole[name] or _ends(folder / name))
        )
    ]  # fmt: skip


def _ends(path: Path) -> bool:
    """Whether a file whose bytes differ from call to call looks whole."""
    content = path.read_bytes()
    if path.suffix == ".json":
        try:
            json.loads(content)
        except ValueError:
            return False
    if path.suffix == ".jsonl":
        return content.endswith(b"\n")
    return content.rstrip().endswith(b"</html>") if path.suffix == ".html" else bool(content)


def temporary(name: str) -> bool:
    """Whether a name is that of a file or folder that is being written."""
    parts = name.split(os.sep)
    return any(part.startswith(".") and part.endswith(TEMPORARY) for part in parts)
