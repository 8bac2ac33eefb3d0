"""What reading jet images costs beside the update of the ResNet-15, for each format and reader.

    python -m benchmarks.speed.jet_input --resolution 1 3 --out jet_input.json
    python -m benchmarks.speed.jet_input --reader packed 'packed, resident'     on an accelerator

Makes toy jets with the sparsity of the published images, writes them in every layout and measures
in turn: reading and copying to the device alone, densifying alone, the update of the network alone
(8 channels, float32), and the train loop with reading ahead. The columns are those of the published
benchmark (batches of 64 jets, epochs of 2,560,000), the medians of the rounds, from the page cache.

CPU times are of all threads together, so they are those of one core and hold on a busy machine;
wall times do not. Bytes to the device are those of the batch.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.speed import jet_readers, timing
from benchmarks.speed.tagger_loop import DENSE, Loop, read_ahead
from hepjax.engine import resident
from hepjax.engine.host_memory import keep_memory
from hepjax.engine.settings import find_config, read_settings
from hepjax.formats.source import Batch
from hepjax.workloads.table import configure
from hepjax.workloads.tagger.config import TaggerConfig
from hepjax.workloads.tagger.workload import WORKLOAD

EPOCH = 2_560_000
"""Jets of a published epoch."""
CONFIGS = {1: "tagger/top", 3: "tagger/top_x3"}
LEGACY, PACKED, RESIDENT = "nested Parquet, Python lists", "packed", "packed, resident"
PACKED_SETS = 16
"""Packed jets for each one of the legacy files, which are slow to write and read."""
WINDOW = 1024
NETWORK_CALLS = 3
"""Updates, or densified batches, in one sample."""


@dataclass(frozen=True)
class Way:
    """One reader at one resolution."""

    name: str
    batches: Callable[[], Iterator[Batch]]
    """One epoch, opened afresh."""
    loop: Loop
    densify: Callable[[], Any] | None
    """Makes the dense images of one batch on the device; None where they travel dense."""
    bytes_on_disk: float  # of a jet
    read_ahead: bool
    """Whether the loop has to read ahead; the engine's input does it itself."""


def main() -> None:
    """Write the files, measure, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, nargs="+", default=[1, 3], choices=CONFIGS)
    parser.add_argument("--batch", type=int, default=64, help="jets in a batch")
    parser.add_argument("--jets", type=int, default=256, help="jets in each legacy file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reader", nargs="+", help="only these (names of the table)")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the figures as JSON")
    args = parser.parse_args()
    if args.jets % args.batch or args.jets < 2 * args.batch:
        parser.error("--jets: expected a multiple of --batch, at least two batches")

    keep_memory()  # as hepjax train does
    about = timing.machine()
    print(about)
    rows: list[dict[str, Any]] = []
    for resolution in args.resolution:
        overrides = [f"train.batch_size={args.batch}", f"train.precision={args.precision}"]
        overrides += ["mesh.devices=1", f"input.window={WINDOW}"]
        settings = read_settings(find_config(CONFIGS[resolution]), overrides)
        cfg: TaggerConfig = configure(settings)[1]
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(cfg, resolution, Path(folder), args)
        print_table([row for row in rows if row["resolution"] == resolution])
    print_goals(rows)
    if args.out:
        timing.write_json(args.out, {"machine": about, "batch": args.batch, "rows": rows})


def measure(
    cfg: TaggerConfig, resolution: int, folder: Path, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """One row for each reader at one resolution."""
    images, columns = jet_readers.toy_jets(args.jets * PACKED_SETS, resolution)
    print(
        f"\nx{resolution}: {len(images.cell) / len(images):,.0f} cells a jet at native granularity"
    )
    dense = Loop(DENSE, cfg)
    ways = legacy_ways(cfg, dense, resolution, folder, args) + packed_ways(
        cfg, jet_readers.write_set(folder / "packed", images, columns, resolution)
    )
    ways = [way for way in ways if not args.reader or way.name in args.reader]
    shape = (args.batch, *cfg.data.shape, len(cfg.data.names))
    on_device = dense.put(dense_batch(shape))
    network = partial(wait, partial(dense.update, on_device))
    wait(partial(dense.update, on_device))
    for way in ways:  # compile
        print(f"preparing {way.name}", file=sys.stderr)
        way.loop.run(itertools.islice(way.batches(), 1))
        if way.densify:
            wait(way.densify)
    samples: dict[str, list[dict[str, Any]]] = {way.name: [] for way in ways}
    for number in range(args.rounds):
        computing = clocked(network, NETWORK_CALLS)
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            samples[way.name].append(sample(way, args) | {"compute": computing})
    return [summarise(way, samples[way.name], resolution, args.batch) for way in ways]


def legacy_ways(
    cfg: TaggerConfig, loop: Loop, resolution: int, folder: Path, args: argparse.Namespace
) -> list[Way]:
    """The readers of dense images."""
    images, columns = jet_readers.toy_jets(args.jets, resolution)
    files = jet_readers.write_legacy(folder, images, columns, resolution)
    return [
        Way(
            name,
            partial(jet_readers.as_batches, read, path, args.batch),
            loop,
            None,
            path.stat().st_size / args.jets,
            read_ahead=True,
        )
        for name, (path, read) in files.items()
    ]


def packed_ways(cfg: TaggerConfig, folder: Path) -> list[Way]:
    """A packed set read as training goes, and kept in the memory of the device."""
    batches = partial(jet_readers.packed_batches, cfg, folder)
    source = jet_readers.packed_source(cfg, folder)
    spec = WORKLOAD.spec(cfg, source)
    loop = Loop(WORKLOAD, cfg, spec)
    batch = loop.put(next(batches()))
    prepare = jax.jit(partial(WORKLOAD.prepare, cfg, spec))
    arrays, take = resident.place(source, jax.sharding.SingleDeviceSharding(jax.devices()[0]))
    rows = batch["label"] * 0 + np.arange(len(batch["label"]), dtype=np.int32)
    prepare_rows = jax.jit(lambda arrays, rows: WORKLOAD.prepare(cfg, spec, take(arrays, rows)))
    size = sum(path.stat().st_size for path in folder.iterdir()) / len(source)
    return [
        Way(PACKED, batches, loop, partial(prepare, batch), size, read_ahead=False),
        Way(
            RESIDENT,
            partial(jet_readers.row_batches, cfg, source),
            Loop(WORKLOAD, cfg, spec, take, arrays),
            partial(prepare_rows, arrays, rows),
            size,
            read_ahead=False,
        ),
    ]


def dense_batch(shape: tuple[int, ...]) -> Batch:
    """Random images with 1 % of the pixels hit."""
    draw = np.random.default_rng(0)
    image = draw.exponential(size=shape).astype(np.float32) * (draw.random(shape) < 0.01)
    label = np.arange(len(image), dtype=np.int32) % 2
    return {"image": image.astype(np.float32), "label": label, "weight": label * 0 + np.float32(1)}


def sample(way: Way, args: argparse.Namespace) -> dict[str, Any]:
    """(wall, CPU) seconds a batch of one reader: reading alone, densifying, in the train loop."""
    time.sleep(timing.PAUSE)
    start, count, sent = clocks(), 0, 0
    for batch in way.batches():
        jax.block_until_ready(way.loop.put(batch))
        count, sent = count + 1, sum(values.nbytes for values in batch.values())
    found: dict[str, Any] = {"read": since(start, count), "bytes_to_device": sent / args.batch}
    if way.densify:
        found["densify"] = clocked(partial(wait, way.densify), NETWORK_CALLS)
    batches = way.batches()
    if way.read_ahead:
        batches = read_ahead(batches)
    steps = itertools.islice(batches, args.jets // args.batch)
    running: list[tuple[float, float]] = []
    done = way.loop.run(steps, lambda: running.append(clocks()))
    return found | {"overlapped": since(running[0], done - 1)}


def clocks() -> tuple[float, float]:
    """Wall and CPU time, seconds."""
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float], count: int) -> tuple[float, float]:
    """(wall, CPU) seconds since ``start``, for each of ``count``."""
    wall, cpu = (now - then for now, then in zip(clocks(), start, strict=True))
    return wall / count, cpu / count


def clocked(call: Callable[[], Any], count: int) -> tuple[float, float]:
    """(wall, CPU) seconds of a call, of ``count`` calls."""
    time.sleep(timing.PAUSE)
    start = clocks()
    for _ in range(count):
        call()
    return since(start, count)


def wait(call: Callable[[], Any]) -> Any:
    """The result of a call when it is there."""
    return jax.block_until_ready(call())


def summarise(
    way: Way, samples: list[dict[str, Any]], resolution: int, batch: int
) -> dict[str, Any]:
    """One row: medians over the rounds, and the samples themselves."""
    row: dict[str, Any] = {
        "resolution": resolution,
        "reader": way.name,
        "batch": batch,
        "bytes_on_disk": way.bytes_on_disk,
        "bytes_to_device": samples[0]["bytes_to_device"],
    }
    for number, clock in enumerate(("wall", "cpu")):
        median = {
            what: statistics.median(s[what][number] if what in s else 0.0 for s in samples)
            for what in ("read", "densify", "compute", "overlapped")
        }
        given = median["read"] + median["densify"]
        row[clock] = median | {
            "input_share": given / (given + median["compute"]),
            "read_jets_per_second": batch / median["read"],
            "dense_jets_per_second": batch / given,
        }
    row["jets_per_second"] = batch / row["wall"]["overlapped"]
    return row | {"samples": samples}


def print_table(rows: list[dict[str, Any]]) -> None:
    """The columns of the published benchmark; times are wall (CPU)."""
    print(
        "\n| reader | bytes a jet on disk | to the device | read, ms a batch | densify | network "
        "| share of input | epoch: read, min | compute | overlapped | jets/s "
        "| read, jets/s and core |\n" + "|---" * 12 + "|"
    )
    for row in rows:
        wall, cpu = row["wall"], row["cpu"]
        cells = [
            f"{1e3 * wall[k]:.1f} ({1e3 * cpu[k]:.1f})" for k in ("read", "densify", "compute")
        ]
        share = f"{100 * wall['input_share']:.1f} % ({100 * cpu['input_share']:.1f} %)"
        batches = EPOCH / row["batch"] / 60
        minutes = (
            batches * wall["read"],
            batches * (wall["compute"] + wall["densify"]),
            batches * wall["overlapped"],
        )
        print(
            f"| {row['reader']} | {row['bytes_on_disk']:,.0f} | {row['bytes_to_device']:,.0f} | "
            + " | ".join([*cells, share, *(f"{m:.1f}" for m in minutes)])
            + f" | {row['jets_per_second']:,.0f} | {cpu['read_jets_per_second']:,.0f} |",
            flush=True,
        )


def print_goals(rows: list[dict[str, Any]]) -> None:
    """The goals of the input pipeline with the measured values."""
    print()
    found = {(row["resolution"], row["reader"]): row for row in rows}
    for (resolution, name), row in found.items():
        if name not in (PACKED, RESIDENT):
            continue
        share, wall_share = (100 * row[clock]["input_share"] for clock in ("cpu", "wall"))
        print(
            f"x{resolution}, {name}: read and densify take {share:.1f} % of the step in CPU time, "
            f"{wall_share:.1f} % in wall time (goal: below 10 %)"
        )
        legacy = found.get((resolution, LEGACY))
        if legacy and name == PACKED:
            read, dense = (
                row["cpu"][key] / legacy["cpu"]["read_jets_per_second"]
                for key in ("read_jets_per_second", "dense_jets_per_second")
            )
            print(
                f"x{resolution}: {read:,.0f} times the jets of the legacy reader per core, "
                f"{dense:,.0f} times with densifying (goal: 100)"
            )
    if (1, PACKED) in found and (3, PACKED) in found:
        one, three = (found[k, PACKED] for k in (1, 3))
        disk, sent = (three[key] / one[key] for key in ("bytes_on_disk", "bytes_to_device"))
        print(
            f"bytes of a packed jet, x3 over x1: {disk:.3f} on disk, {sent:.3f} to the device "
            "(goal: at most 1)"
        )


if __name__ == "__main__":
    main()
