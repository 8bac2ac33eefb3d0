"""Everything in a file of any layout, through its reader, and whether it can be right."""

from pathlib import Path

import numpy as np

from benchmarks.faults.fuzz_samples import CHANNELS, LABELS, Arrays, Sample

MAIN = {
    "showers": "ecal", "jets": "images", "packed": "images", "events": "X"
}  # fmt: skip
"""What every sound file of a family has."""
GIVES = {
    "X_jets": "images", "x_train": "images", "x_test": "images", "y": "label", "y_train": "label",
    "y_test": "label", "m0": "mass",
}  # fmt: skip
"""What readers call an array that has another name in the file."""


def read_all(family: str, path: Path) -> Arrays:
    """Everything in a file, through the reader of its family."""
    if family == "showers":
        from hepjax.formats.showers.reader import open_showers

        source = open_showers(path)
        return source[np.arange(len(source))]
    if family == "events":
        from hepjax.formats.particleflow.reader import describe_all, read_sound

        parts = [read_sound(file, 0, len(file)) for file in describe_all(path)]
        sizes = np.concatenate([np.diff(part.first) for part in parts])
        tables = {k: np.concatenate([getattr(p, k) for p in parts]) for k in ("X", "ygen", "ycand")}
        return tables | {"elements": sizes}
    if family == "packed":
        return read_packed(path)
    from hepjax.formats.images import densify
    from hepjax.formats.jets.reader import open_jets

    files = open_jets(path, channels=CHANNELS, labels=LABELS)
    pieces = [(densify(i, file.grid), columns) for file in files for i, columns in file.stream()]
    return _joined(pieces)


def read_packed(path: Path) -> Arrays:
    """The events of a packed set, each channel at full granularity, channels last."""
    from hepjax.formats.packed.reader import open_packed
    from hepjax.formats.sparse import scatter

    source = open_packed(path)
    batch = source[np.arange(len(source))]
    cells = scatter(batch.pop("cell"), batch.pop("value"), source.grid.size)
    planes, start = [], 0
    for plane in source.grid.planes:
        size = int(np.prod(plane))
        block = cells[:, start : start + size].reshape(len(cells), *plane)
        for axis, (n, full) in enumerate(zip(plane, source.grid.shape, strict=True), 1):
            block = np.repeat(block, full // n, axis)
        planes.append(block)
        start += size
    return {"images": np.stack(planes, -1)} | batch


def _joined(pieces: list[tuple[np.ndarray, Arrays]]) -> Arrays:
    images = np.concatenate([images for images, _ in pieces])
    names = pieces[0][1]
    return {"images": images} | {k: np.concatenate([c[k] for _, c in pieces]) for k in names}


def judged(read: Arrays, sample: Sample, right: str, touched: set[str], known: Arrays) -> str:
    """Why what was read cannot be right; empty if it can."""
    if right == "refuse":
        return "read, but should have been refused"
    sizes = {len(v) for k, v in read.items() if k not in ("X", "ygen", "ycand")}
    if len(sizes) != 1 or 0 in sizes:
        return f"arrays of {sizes} events"
    for name, values in read.items():
        if name in known and not np.isfinite(values).all():
            return f"{name} is not finite"
    main = MAIN[sample.family]
    if right in ("must", "same"):
        compared = [k for k in known if k in read]
    elif right == "images":
        compared = [main]
    elif sample.family in ("jets", "events") and "*" not in touched:
        changed = {GIVES.get(name, name) for name in touched}
        gone = "offsets" in touched or (main in changed and sample.family == "jets")
        compared = [] if gone else [k for k in known if k in read and k not in changed]
        compared = [k for k in compared if len(read[k]) == len(known[k])]
    else:
        compared = []
    for name in [main, *compared] if compared else []:
        sound = known[name]
        if "TFRecord" in sample.name:  # cut between two records it is a whole file of fewer
            sound = sound[: len(read[name])]
        if name in compared and not np.array_equal(read[name], sound):
            return f"{name} differs from the sound file"
    return ""
