"""What the three demonstrations compute, as numbers and digests: ``python measure.py FOLDER``.

Only commands are used, so the script outlives any change inside. It prints one JSON object:
``numbers`` (records of 40 updates, scores, generated and predicted values) and ``sha256`` of the
files that are bytes for bytes the same on one kind of machine. Standard error has the progress.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import h5py
import jax
import numpy as np
import pyarrow.parquet as pq

from hepjax.cli import main
from hepjax.ops import active_conv3d

UPDATES = 40
RECORD_EVERY = 5
IDLE = {"event", "step", "epoch", "time", "events_per_second"}
"""Entries of records that say nothing about the numbers, or tell the time."""


def command(*words: object) -> None:
    """One ``hepjax`` command, which must succeed; its output goes to standard error."""
    stdout, sys.stdout = sys.stdout, sys.stderr
    try:
        code = main([str(word) for word in words])
    finally:
        sys.stdout = stdout
    if code:
        raise SystemExit(f"hepjax {' '.join(map(str, words))} ended with {code}")


def sha256(folder: Path, pattern: str) -> str:
    """Of the names and contents of the files in a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob(pattern)):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {digest}\n".encode())
    return total.hexdigest()


def outline(values: np.ndarray) -> list[float]:
    """Size, mean, mean square, and nine of the values of an array."""
    flat = np.asarray(values, np.float64).ravel()
    picked = flat[np.linspace(0, len(flat) - 1, 9).astype(int)]
    return [float(len(flat)), float(flat.mean()), float((flat**2).mean()), *picked.tolist()]


def train(name: str, data: Path, run: Path, *settings: str) -> dict[str, list[float]]:
    """The records of a demonstration's first updates, by event and name."""
    size = [f"train.steps={UPDATES}", f"train.record_every={RECORD_EVERY}"]
    command("train", name, f"data.files=[{data}]", *size, *settings, "--run", run, "--quiet")
    curves: dict[str, list[float]] = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        for key, value in record.items():
            if key not in IDLE:
                curves.setdefault(f"{record['event']} {key}", []).append(value)
    return curves


def scores(run: Path, data: Path) -> dict[str, float | None]:
    """The plain numbers of ``scores.json`` by their path in it."""
    command("evaluate", run, "--data", data, "--quiet")
    found: dict[str, float | None] = {}

    def walk(value: object, path: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}/{key}")
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                walk(inner, f"{path}/{number}")
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            found[path] = value

    content = json.loads((run / "report" / "scores.json").read_text())
    content.pop("provenance")
    walk(content, "")
    return found


def showers(folder: Path) -> tuple[dict[str, object], dict[str, str]]:
    """gan3d/demo on simulated showers."""
    data, test, run = folder / "showers", folder / "showers-test", folder / "gan3d"
    command("simulate", "showers", "--events", 240, "--out", data, "--seed", 1, "--quiet")
    command("simulate", "showers", "--events", 96, "--out", test, "--seed", 2, "--quiet")
    command("pack", data, "--out", folder / "packed-showers", "--workers", 1, "--quiet")
    records = train("gan3d/demo", data, run, "train.batch_size=8")
    made = folder / "made.h5"
    command("generate", run, "--events", 40, "--seed", 3, "--out", made, "--quiet")
    with h5py.File(made) as file:
        cells = file["ECAL"][...]
    numbers = {"records": records, "scores": scores(run, test), "generated": outline(cells)}
    files = {
        "simulated": sha256(data, "*.h5"),
        "packed": sha256(folder / "packed-showers", "*.parquet"),
    }
    return numbers, files


def jets(folder: Path) -> tuple[dict[str, object], dict[str, str]]:
    """tagger/demo on toy jets."""
    data, test, run = folder / "jets", folder / "jets-test", folder / "tagger"
    for out, seed, events in ((data, 1, 240), (test, 2, 80)):
        command("simulate", "jets", "--task", "top", "--toy", "--events", events, "--seed", seed,
                "--out", out, "--quiet")  # fmt: skip
    records = train("tagger/demo", data, run, "train.batch_size=8")
    numbers = {"records": records, "scores": scores(run, test)}
    numbers["predicted"] = {"score": outline(predicted(run, test)["score"])}
    return numbers, {"simulated": sha256(data, "*.parquet")}


def events(folder: Path) -> tuple[dict[str, object], dict[str, str]]:
    """mlpf/demo on toy collisions without pile-up."""
    data, test, run = folder / "events", folder / "events-test", folder / "mlpf"
    for out, seed, number in ((data, 1, 80), (test, 2, 24)):
        command("simulate", "events", "--toy", "--pileup", 0, "--events", number, "--seed", seed,
                "--out", out, "--quiet")  # fmt: skip
    # The library that writes array_record files makes no two with the same bytes; pickles are ours.
    pickles = folder / "events-pickled"
    command("simulate", "events", "--toy", "--pileup", 5, "--events", 12, "--format", "pkl",
            "--out", pickles, "--quiet")  # fmt: skip
    records = train("mlpf/demo", data, run, "train.batch_size=4")
    found = predicted(run, test)
    numbers = {"records": records, "scores": scores(run, test)}
    numbers["predicted"] = {name: outline(values) for name, values in sorted(found.items())}
    return numbers, {"simulated": sha256(pickles, "*.pkl.bz2")}


def predicted(run: Path, data: Path) -> dict[str, np.ndarray]:
    """The table of ``hepjax predict``."""
    path = run / "predicted.parquet"
    command("predict", run, "--data", data, "--out", path, "--quiet")
    table = pq.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}


def machine() -> dict[str, str]:
    """What decides how sums round: instruction set, native kernels, versions, cores."""
    flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0]
    sets = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_tile") if name in flags]
    kernels = str(active_conv3d()).partition(", /")[0]
    return {
        "instructions": " ".join(sets), "conv3d": kernels, "jax": jax.__version__,
        "numpy": np.__version__, "cores": str(len(os.sched_getaffinity(0))),
    }  # fmt: skip


if __name__ == "__main__":
    report: dict[str, object] = {"machine": machine(), "numbers": {}, "sha256": {}}
    for name, measured in (("gan3d", showers), ("tagger", jets), ("mlpf", events)):
        report["numbers"][name], report["sha256"][name] = measured(Path(sys.argv[1]))
    print(json.dumps(report))
