"""Milliseconds of processor time an event of exported ONNX models in ONNX Runtime, by batch size.

    python -m benchmarks.speed.exported float.onnx int8.onnx

Models are timed in turns, so that a busy machine slows all alike; the median of the turns is
printed, and the size of each file. With more than one thread those that wait count too.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from hepjax.engine.workload import Field, Range
from hepjax.export.parity import examples, session

TYPES = {"tensor(float)": "float32", "tensor(bool)": "bool", "tensor(int32)": "int32"}


def feeds(runtime, batch, elements, rng):
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64, 256])
    parser.add_argument("--elements", type=int, default=1280, help="of an event, where open")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    runtimes = {path: session(path.read_bytes(), args.threads) for path in args.models}
    rng = np.random.default_rng(0)
    print("model".ljust(32), "MB".rjust(8), *(f"batch {b}".rjust(12) for b in args.batches))
    times = {(path, b): [] for path in runtimes for b in args.batches}
    for batch in args.batches:
        given = {p: feeds(r, batch, args.elements, rng) for p, r in runtimes.items()}
        for turn in range(args.rounds + 1):
            for path, runtime in runtimes.items():
                start = time.process_time()
                runtime.run(None, given[path])
                if turn:
                    times[path, batch].append(1e3 * (time.process_time() - start) / batch)
    for path in runtimes:
        row = [f"{np.median(times[path, b]):.3f} ms".rjust(12) for b in args.batches]
        print(path.name.ljust(32), f"{path.stat().st_size / 1e6:.2f}".rjust(8), *row)


if __name__ == "__main__":
    main()
