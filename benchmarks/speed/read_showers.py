"""Events a second read from shower files as published: h5py one by one, and hepjax by blocks.

python -m benchmarks.speed.read_showers [--data FILE] [--events 2048] [--repeats 5] [--json FILE]

Writes the showers of FILE (or made-up ones of the same kind) with gzip in chunks of 1, 16 and 128
events and reads each file in every way in turn, from the page cache. The table has the best of the
repeats, in events a second of wall time, and of CPU time in brackets.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from hepjax.engine.input import shuffled
from hepjax.formats.showers.reader import ShowerSource, open_showers

BATCH = 128
WINDOW = 1024
RANDOM_READS = 64
CHUNKS = (1, 16, 128)


def main() -> None:
    """Write the files, read them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="FILE", help="showers to take")
    parser.add_argument("--events", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    args = parser.parse_args()
    showers, energy = take(args.data, args.events) if args.data else make(args.events)
    occupancy = float((showers > 0).mean())
    print(f"{len(showers)} showers of {showers.shape[1:]} cells, {100 * occupancy:.1f} % hit")
    with tempfile.TemporaryDirectory() as folder:
        files = {chunk: write(Path(folder), chunk, showers, energy) for chunk in CHUNKS}
        rates = measure(files, args.repeats)
    print(f"{'':34}" + "".join(f"{f'gzip, chunk {chunk}':>20}" for chunk in CHUNKS))
    for name, by_chunk in rates.items():
        cells = (f"{wall:,.0f} ({cpu:,.0f})" for wall, cpu in by_chunk.values())
        print(f"{name:34}" + "".join(f"{cell:>20}" for cell in cells))
    if args.json:
        report = {"events": len(showers), "occupancy": occupancy, "events_per_second": rates}
        args.json.write_text(json.dumps(report, indent=1))


def take(path: Path, events: int) -> tuple[np.ndarray, np.ndarray]:
    """The first showers and energies of a file."""
    source = open_showers(path)
    batch = source[np.arange(min(events, len(source)))]
    return batch["ecal"], batch["energy"]


def make(events: int) -> tuple[np.ndarray, np.ndarray]:
    """Showers with 20 % of 25 x 25 x 25 cells hit, around the axis, energies over many decades."""
    rng = np.random.default_rng(0)
    energy = rng.uniform(10, 500, events).astype(np.float32)
    across = np.abs(np.arange(25) - 12)
    hit = 0.9 * np.exp(-np.hypot(across[:, None], across) / 6.0)[:, :, None]
    cells = rng.lognormal(0, 2.5, (events, 25, 25, 25)) * (rng.random((events, 25, 25, 25)) < hit)
    cells *= (0.02 * energy / cells.sum((1, 2, 3)))[:, None, None, None]
    return cells.astype(np.float32), energy


def write(folder: Path, chunk: int, showers: np.ndarray, energy: np.ndarray) -> Path:
    """One fixed-angle file with ``chunk`` showers in each chunk."""
    path = folder / f"EleEscan_{chunk}.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "ECAL", data=showers, chunks=(chunk, *showers.shape[1:]), compression="gzip"
        )
        file["target"] = np.stack([np.full_like(energy, 11), energy], axis=1)
    return path


def measure(files: dict[int, Path], repeats: int) -> dict[str, dict[int, tuple[float, float]]]:
    """Best (wall, CPU) events a second of each way of reading each file, in turn."""
    best: dict[str, dict[int, tuple[float, float]]] = {}
    for repeat in range(repeats):
        for chunk, path in files.items():
            source = open_showers(path)
            order = shuffled(source.blocks, WINDOW, 0, repeat)
            ways: dict[str, Callable[[], int]] = {
                "h5py, single events at random": partial(h5py_random, path, order),
                "h5py, slices of 128 in order": partial(h5py_in_order, path),
                "hepjax, in order": partial(in_order, source),
                "hepjax, shuffled epoch": partial(epoch, source, order, 1),
                "hepjax, next epoch from the cache": partial(epoch, source, order, 1),
                "hepjax, shuffled epoch, 2 threads": partial(epoch, open_showers(path), order, 2),
            }
            for name, read in ways.items():
                wall, cpu = time.perf_counter(), time.process_time()
                events = read()
                rate = events / (time.perf_counter() - wall), events / (time.process_time() - cpu)
                so_far = best.setdefault(name, {}).get(chunk, (0.0, 0.0))
                best[name][chunk] = max(so_far[0], rate[0]), max(so_far[1], rate[1])
    return best


def h5py_random(path: Path, order: np.ndarray) -> int:
    """As a training loop that indexes the file event by event."""
    with h5py.File(path) as file:
        for event in order[:RANDOM_READS]:
            file["ECAL"][event]
    return RANDOM_READS


def h5py_in_order(path: Path) -> int:
    """As a conversion script."""
    with h5py.File(path) as file:
        n = len(file["ECAL"])
        for start in range(0, n, BATCH):
            file["ECAL"][start : start + BATCH]
    return n


def in_order(source: ShowerSource) -> int:
    """As ``hepjax inspect``."""
    return sum(len(batch["ecal"]) for batch in source.stream())


def epoch(source: ShowerSource, order: np.ndarray, threads: int) -> int:
    """As ``hepjax train``: batches of events shuffled by block, then inside a window."""
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda batch: len(source[batch]["ecal"]), batches))


if __name__ == "__main__":
    main()
