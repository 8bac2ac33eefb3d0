"""Milliseconds of processor time an event of exported ONNX models in ONNX Runtime, by batch size.

    python -m benchmarks.speed.exported float.onnx int8.onnx

Models are timed in turns, so that a busy machine slows all alike; the median of the turns is
printed, and the size of each file. With more than one thread those that wait count too.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepjax.engine.workload import Field, Range
from hepjax.export.parity import examples, session

TYPES = {"tensor(float)": "float32", "tensor(bool)": "bool", "tensor(int32)": "int32"}


def feeds(
    runtime: Any, batch: int, elements: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:  # fmt: skip
    """Numbers for every input of a model."""
    ranges = {"energy": Range(10.0, 500.0, "GeV"), "theta": Range(1.1, 2.0, "rad"),
              "xyz": Range(-1000.0, 1000.0, "mm")}  # fmt: skip
    fields, lengths = [], {}
    for port in runtime.get_inputs():
        batch = port.shape[0] if isinstance(port.shape[0], int) else batch
        axes = tuple(n for n in port.shape[1:] if isinstance(n, str))
        lengths |= dict.fromkeys(axes, elements)
        shape = tuple(None if n in axes else n for n in port.shape[1:])
        fields.append(Field(port.name, shape, TYPES[port.type], axes=axes))
    return examples(fields, batch, lengths, ranges, rng)


def timed(
    models: Sequence[Path], batches: Sequence[int], elements: int, *, threads: int = 1,
    rounds: int = 7,
) -> dict[tuple[Path, int], float]:  # fmt: skip
    """Milliseconds of processor time an event, by model and batch size: the median of the turns.

    Args:
      elements: of an event, where they are open.
    """
    runtimes = {path: session(path.read_bytes(), threads) for path in models}
    rng = np.random.default_rng(0)
    found = {}
    for batch in batches:
        given = {p: feeds(r, batch, elements, rng) for p, r in runtimes.items()}
        times: dict[Path, list[float]] = {path: [] for path in runtimes}
        for turn in range(rounds + 1):
            for path, runtime in runtimes.items():
                start = time.process_time()
                runtime.run(None, given[path])
                if turn:
                    times[path].append(1e3 * (time.process_time() - start) / batch)
        found |= {(path, batch): float(np.median(values)) for path, values in times.items()}
    return found


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64, 256])
    parser.add_argument("--elements", type=int, default=1280, help="of an event, where open")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    times = timed(
        args.models, args.batches, args.elements, threads=args.threads, rounds=args.rounds
    )
    print("model".ljust(32), "MB".rjust(8), *(f"batch {b}".rjust(12) for b in args.batches))
    for path in args.models:
        row = [f"{times[path, b]:.3f} ms".rjust(12) for b in args.batches]
        print(path.name.ljust(32), f"{path.stat().st_size / 1e6:.2f}".rjust(8), *row)


if __name__ == "__main__":
    main()
