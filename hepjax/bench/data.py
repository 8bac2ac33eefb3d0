"""The events of a benchmark: simulated once from a fixed seed, checksummed, found again.

A set is a folder ``<workload>-<events>`` with ``train``, ``validation`` and ``data.json``. Events
come from what is built in (toy jets, toy collisions, parametrised showers), never from optional
packages, so that they are the same everywhere; timing is what they are for, not physics.
"""

import argparse
import hashlib
import json
from pathlib import Path

from hepjax import InputError, __version__
from hepjax.bench import definition
from hepjax.bench.definition import SEED
from hepjax.engine.progress import progress
from hepjax.engine.workload import Simulation
from hepjax.formats.atomic import replacing_folder, write_json
from hepjax.simulate.fixed import FIXED
from hepjax.workloads import table

FILE = "data.json"


def prepare(workload: str, events: int, root: Path, *, quiet: bool = False) -> Path:
    """Simulate a set unless it is there; return its folder ``root/<workload>-<events>``.

    Args:
      events: training events; a tenth as many are made for validation, two at least.
    Raises:
      InputError: it cannot be written.
    """
    folder = root / f"{workload}-{events}"
    if folder.exists():
        return folder
    counts = {"train": events, "validation": max(2, events // 10)}
    with replacing_folder(folder) as partial:
        with progress("simulate", sum(counts.values()), "events", quiet=quiet) as advance:
            make = maker(workload)
            for number, (part, count) in enumerate(counts.items()):
                make(partial / part, count, SEED + number, advance)
        about = {"workload": workload, "events": counts, "seed": SEED, "hepjax": __version__}
        write_json(partial / FILE, about | {"sha256": checksum([partial])})
    return folder


def locate(workload: str, paths: list[Path]) -> tuple[list[str], list[str], str]:
    """Training files, validation files (none: the last part of the others), SHA-256 of all.

    Args:
      paths: a set, which is verified, or event files and folders of any origin.
    Raises:
      InputError: they are not there; or the set is damaged, or of another workload.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: expected a file or folder, found none of this name")
    found, place = checksum(paths), paths[0]
    if len(paths) > 1 or not (place / FILE).exists():
        return [str(path) for path in paths], [], found
    try:
        about = json.loads((place / FILE).read_text())
        stated, made_for = about["sha256"], about["workload"]
    except (OSError, ValueError, KeyError, TypeError):
        stated, made_for = None, workload
    if made_for != workload:
        raise InputError(f"{place}: expected events for {workload}, found some for {made_for}")
    if stated != found:
        raise InputError(
            f"{place}: expected the events as they were written, found damage; remove it"
        )
    return [str(place / "train")], [str(place / "validation")], found


def checksum(paths: list[Path], pattern: str = "*") -> str:
    """SHA-256 over the names and contents of files and of all files in folders.

    A single file or folder may have any name; ``data.json`` does not count.
    """
    total = hashlib.sha256()
    for path in paths:
        files = [path] if path.is_file() else sorted(p for p in path.rglob(pattern) if p.is_file())
        for file_path in files:
            if file_path.name == FILE:
                continue
            with file_path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{file_path.relative_to(path).as_posix()} {digest}\n".encode())
    return total.hexdigest()


def maker(workload: str) -> Simulation:
    """What simulates the events of the benchmark of a workload."""
    name = definition.benchmark(workload).data
    made: Simulation | None = FIXED.get(name) or table.simulation(name)
    assert made is not None, name
    return made


def main() -> None:
    """``python -m hepjax.bench.data WORKLOAD EVENTS DIR``: a set ahead of time, for an image."""
    parser = argparse.ArgumentParser(description="Make the events of a benchmark ahead of time.")
    parser.add_argument("workload", choices=table.names())
    parser.add_argument("events", type=int)
    parser.add_argument("root", type=Path)
    args = parser.parse_args()
    print(prepare(args.workload, args.events, args.root))


if __name__ == "__main__":
    main()
