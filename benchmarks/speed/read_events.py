"""Events a second read from MLPF files of each layout, and the padding of their batches.

python -m benchmarks.speed.read_events --data FILE [--repeats 3] [--batch-size 4] [--json FILE]

Writes the events of FILE as the published pickle, flat HDF5 and a TFDS data set and trains on each
in turn without a network: opening (which finds the lengths), a first epoch and one from the cache.
The table has the best of the repeats, in events a second of wall time, and of CPU time in brackets.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from hepjax.engine.input import BatchReader, per_epoch
from hepjax.formats.particleflow.events import Events
from hepjax.formats.particleflow.reader import EventSource, open_events
from hepjax.formats.particleflow.writer import write_events
from hepjax.workloads.mlpf.config import DataConfig

WINDOW = 1024
KEYS = ("X", "ygen", "ycand")


def main() -> None:
    """Write the files, read them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="events to take")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    args = parser.parse_args()
    buckets = DataConfig().buckets
    source = open_events(args.data, buckets=buckets)
    elements = float(source.elements.mean())
    padded = {"buckets": padding(source, args.batch_size), "one bucket": one_bucket(source)}
    print(f"{len(source)} events of {elements:,.0f} elements, in batches of {args.batch_size}")
    for name, share in padded.items():
        print(f"padding, {name}: {100 * share:.1f} % of all rows")
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(folder), source)
        sizes = {name: size_of(path) for name, path in files.items()}
        rates = measure(files, args.repeats, args.batch_size)
    print(f"{'':14}{'MB/event':>10}" + "".join(f"{way:>20}" for way in next(iter(rates.values()))))
    for name, ways in rates.items():
        cells = (f"{wall:,.0f} ({cpu:,.0f})" for wall, cpu in ways.values())
        megabytes = sizes[name] / len(source) / 1e6
        print(f"{name:14}{megabytes:>10.2f}" + "".join(f"{cell:>20}" for cell in cells))
    if args.json:
        report = {"events": len(source), "elements": elements, "padding": padded,
                  "bytes": sizes, "events_per_second": rates}  # fmt: skip
        args.json.write_text(json.dumps(report, indent=1))


def padding(source: EventSource, batch_size: int) -> float:
    """Share of the rows of an epoch's batches that hold no element."""
    read = BatchReader(source, batch_size, WINDOW, 0)
    batches = [read(i) for i in range(per_epoch(source, batch_size))]
    rows = sum(batch["X"].shape[0] * batch["X"].shape[1] for batch in batches)
    return 1 - sum(int(batch["n"].sum()) for batch in batches) / rows


def one_bucket(source: EventSource) -> float:
    """The same if all events were padded to the largest bucket."""
    return 1 - float(source.elements.mean() / source.buckets[-1])


def write(folder: Path, source: EventSource) -> dict[str, Path]:
    """The events in each layout."""
    pieces = list(source.stream())
    events = [event for piece in pieces for event in single(piece)]
    pickles = folder / "pickles"
    write_events(pickles, events, stem="tev14_pythia8_ttbar_0", dataset=None, provenance={})
    (dataset,) = write_events(
        folder, events, stem=None, dataset=("delphes_ttbar_pf", "train"), provenance={}
    )
    flat = folder / "flat.h5"
    with h5py.File(flat, "w") as file:
        for key in KEYS:
            rows = np.concatenate([getattr(piece, key) for piece in pieces])
            chunk = (min(20_000, len(rows)), rows.shape[1])
            file.create_dataset(key, data=rows, chunks=chunk, compression="gzip")
        file["offsets"] = np.cumsum([0, *source.elements])
    return {"pkl.bz2": pickles, "flat HDF5": flat, "array_record": dataset}


def single(piece: Events) -> list[dict[str, np.ndarray]]:
    """One table a key and event."""
    cuts = piece.first[1:-1]
    split = {key: np.split(getattr(piece, key), cuts) for key in KEYS}
    return [dict(zip(KEYS, event, strict=True)) for event in zip(*split.values(), strict=True)]


def size_of(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    return sum(p.stat().st_size for p in ([path] if path.is_file() else path.iterdir()))


def measure(
    files: dict[str, Path], repeats: int, batch_size: int
) -> dict[str, dict[str, tuple[float, float]]]:
    """Best (wall, CPU) events a second of opening and of two epochs, each layout in turn."""
    best: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in files}
    for _ in range(repeats):
        for name, path in files.items():
            opened: list[EventSource] = []
            ways: dict[str, Callable[[], object]] = {
                "opening": partial(open_one, path, opened),
                "first epoch": partial(epoch, opened, batch_size, 0),
                "from the cache": partial(epoch, opened, batch_size, 1),
            }
            for way, run in ways.items():
                wall, cpu = time.perf_counter(), time.process_time()
                run()
                seconds = time.perf_counter() - wall, time.process_time() - cpu
                so_far = best[name].get(way, (0.0, 0.0))
                rate = [len(opened[0]) / taken for taken in seconds]
                best[name][way] = max(so_far[0], rate[0]), max(so_far[1], rate[1])
    return best


def open_one(path: Path, opened: list[EventSource]) -> None:
    """Open a file and put it into ``opened``."""
    opened.append(open_events(path, buckets=DataConfig().buckets))


def epoch(opened: list[EventSource], batch_size: int, number: int) -> None:
    """All batches of an epoch, as training reads them."""
    (source,) = opened
    read, count = BatchReader(source, batch_size, WINDOW, 0), per_epoch(source, batch_size)
    for i in range(number * count, (number + 1) * count):
        read(i)


if __name__ == "__main__":
    main()
