"""Mutated data files and what the readers make of them.

Right is exit code 0 with right values or 2 with one line that names the file; the file itself stays
as it is, and nothing half-written is left. What is read must be what the sound file holds where the
mutation does not concern the values, finite in any case, and the same through ``pack`` and back.
"""

import contextlib
import gzip
import hashlib
import io
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults import fuzz_arrays, fuzz_containers
from benchmarks.faults.fuzz_child import Ended, Said, command, in_child
from benchmarks.faults.fuzz_read import MAIN, judged, read_all, read_packed
from benchmarks.faults.fuzz_samples import SAMPLES, Arrays, Sample
from hepjax import InputError


def mutate_bytes(path: Path, draw: random.Random) -> str:
    """One mutation of the bytes of a file."""
    data = bytearray(path.read_bytes())
    at, n = draw.randrange(len(data) or 1), draw.choice([1, 2, 8, 64, 512])
    kind = draw.choice(BYTES)
    if kind == "flip":
        n = draw.choice([1, 1, 1, 2, 8])
        for _ in range(n if data else 0):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif kind == "head" and data:
        data[draw.randrange(min(len(data), 600))] = draw.randrange(256)
    elif kind == "tail" and data:
        data[-draw.randint(1, min(len(data), 600))] = draw.randrange(256)
    elif kind == "cut":
        del data[at:]
    elif kind == "hole":
        del data[at : at + n]
    elif kind == "zeros":
        data[at : at + n] = bytes(len(data[at : at + n]))
    elif kind == "noise":
        data[at : at + n] = draw.randbytes(len(data[at : at + n]))
    elif kind == "insert":
        data[at:at] = draw.randbytes(n)
    elif kind == "append":
        data += draw.choice([b"\0", b"\n", draw.randbytes(n), bytes(data[:n]), bytes(5000)])
    elif kind == "repeat":
        data[at:at] = data[at : at + n]
    elif kind == "gzip":
        data = bytearray(gzip.compress(bytes(data)))
    path.write_bytes(data)
    return kind


BYTES = (
    "flip", "flip", "flip", "head", "head", "tail", "cut", "cut", "hole", "zeros", "noise",
    "insert", "append", "repeat", "gzip",
)  # fmt: skip


class Files:
    """The cases on files; sound ones and what is in them lie in ``work``."""

    def __init__(self, work: Path, seed: int) -> None:
        self.work, self.seed = work, seed
        for number, sample in enumerate(SAMPLES):
            ended = in_child(lambda s=sample, n=number: self._prepare(s, n), work / "preparing", 60)
            if ended.wrong:
                raise RuntimeError(f"{sample.name}: {ended.wrong}")
        self.known = [dict(np.load(work / f"known-{k}.npz")) for k in range(len(SAMPLES))]

    def _prepare(self, sample: Sample, number: int) -> tuple[str, str, str]:
        folder = self.work / f"sound-{number}"
        folder.mkdir()
        path = folder / sample.path
        if sample.write is not None:
            sample.write(path)
        elif sample.make is not None:
            fuzz_arrays.write(sample.kind, path, sample.make(), None)
        np.savez(self.work / f"known-{number}.npz", **read_all(sample.family, path))
        return "read", "", ""

    def play(self, number: int) -> tuple[str, str, Ended]:
        """Case ``number`` of the seed: its subject, what was done, and how it ended."""
        draw = random.Random(f"{self.seed}/files/{number}")
        which = draw.randrange(len(SAMPLES))
        told: list[str] = []
        note = self.work / "done.txt"
        note.unlink(missing_ok=True)

        def case() -> tuple[str, str, str]:
            path, right, touched = self._mutated(which, draw, told)
            note.write_text(told[0])
            return look(SAMPLES[which], path, right, touched, self.known[which])

        ended = in_child(case, self.work / f"case-{number}")
        return SAMPLES[which].name, note.read_text() if note.exists() else "?", ended

    def _mutated(
        self, which: int, draw: random.Random, told: list[str]
    ) -> tuple[Path, str, set[str]]:
        """Write the mutated file into the working directory."""
        sample, path = SAMPLES[which], Path(SAMPLES[which].path)
        ways = ["bytes", "bytes", "container"]
        how = draw.choice(ways if sample.make is None else [*ways, "arrays", "arrays", "options"])
        if sample.make is not None and how in ("arrays", "options"):
            for _ in range(20):
                made = fuzz_arrays.Mutated("as it was", dict(sample.make()), "must")
                if how == "arrays":
                    made = fuzz_arrays.mutate(sample.make(), draw)
                options = draw if how == "options" or draw.random() < 0.2 else None
                try:
                    with np.errstate(all="ignore"):
                        said = fuzz_arrays.write(sample.kind, path, made.arrays, options)
                except Exception:  # no such file can be written: other libraries refuse it too
                    path.unlink(missing_ok=True)
                    continue
                told.append(f"{how}: {made.name} {said}".strip())
                right = "any" if fuzz_arrays.FORTRAN in said else made.right
                return path, right, made.touched
        sound = self.work / f"sound-{which}"
        shutil.copytree(sound, ".", dirs_exist_ok=True)
        if how == "container" and sample.kind in fuzz_containers.KINDS:
            for _ in range(20):
                try:
                    name, right = fuzz_containers.tamper(sample.kind, path, draw)
                except Exception:  # no such thing can be written
                    shutil.copytree(sound, ".", dirs_exist_ok=True)
                    continue
                told.append(name)
                return path, right, {"*"} if right == "any" else set()
        inside = sorted(p for p in path.rglob("*") if p.is_file())
        file = draw.choice(inside) if inside else path
        told.append(f"bytes: {mutate_bytes(file, draw)} in {file.name}")
        return path, "same" if sample.checked else "any", {"*"}


def look(
    sample: Sample, path: Path, right: str, touched: set[str], known: Arrays
) -> tuple[str, str, str]:
    """All verbs that read such a file, one after another.

    Returns:
      what came of it, what is wrong with that, and the error line.
    """
    before, present = _fingerprint(), set(Path().rglob("*"))
    read, wrong, said = _read(sample, path, right, touched, known)
    looked = command(["inspect", str(path), *sample.meaning, "--json", "--quiet"])
    wrong = wrong or _inspected(looked, path, sample, read)
    packed = command(["pack", str(path), "--out", "out", *sample.meaning, "--workers=1", "--quiet"])
    wrong = wrong or _prefixed("pack", packed.wrong((path.name, *path.parts)))
    if not wrong and packed.code == 0:
        wrong = _packed_alike(sample.family, read)
    may_pack = sample.family in ("showers", "jets") and not {"cell", "value"} & set(read or ())
    # Packing looks at every file of a folder, reading at those that it needs.
    may_pack = may_pack and "Too many levels of symbolic links" not in packed.err
    if not wrong and packed.code == 2 and read is not None and may_pack:
        wrong = f"read, but not packed: {packed.err[:300]}"
    if not wrong and packed.code == 2 and Path("out").exists():
        wrong = f"pack: left {sorted(p.name for p in Path('out').iterdir())}"
    shutil.rmtree("out", ignore_errors=True)
    left = set(Path().rglob("*")) - present
    if not wrong and left:
        wrong = f"left behind: {sorted(map(str, left))[:3]}"
    if not wrong and before != _fingerprint():
        wrong = "the file itself was changed"
    return "read" if read is not None else "refused", wrong, said


def _read(
    sample: Sample, path: Path, right: str, touched: set[str], known: Arrays
) -> tuple[Arrays | None, str, str]:
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # remarks, which the verbs make as well
            read = read_all(sample.family, path)
    except InputError as error:
        text = str(error)
        wrong = "refused, which is wrong: " * (right == "must") + text if right == "must" else ""
        if path.name not in text:
            wrong = wrong or f"does not name it: {text[:300]!r}"
        return None, wrong, text
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"[:400], ""
    return read, judged(read, sample, right, touched, known), ""


def _inspected(said: Said, path: Path, sample: Sample, read: Arrays | None) -> str:
    try:
        report = json.loads(said.out, parse_constant=_no_json) if said.out else None
    except ValueError as error:
        return f"inspect: {error}: {said.out[:200]}"
    fatal = report is not None and any(
        report["checks"].get(k) for k in ("cells_not_finite", "cells_negative", "broken_rows")
    )
    if fatal and said.code == 2 and not said.err:
        return "inspect: found broken numbers that were read" if read is not None else ""
    if wrong := said.wrong((path.name, *path.parts)):
        return f"inspect: {wrong}"
    if said.code == 2 and read is not None:
        return f"read, but not inspected: {said.err[:300]}"
    events = None if read is None else len(read.get("elements", read[MAIN[sample.family]]))
    if report is not None and events is not None and report["events"] != events:
        return f"inspect: {report['events']} events in place of {events}"
    return ""


def _no_json(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _packed_alike(family: str, read: Arrays | None) -> str:
    """What is wrong with the set ``out``."""
    if read is None:
        return "packed, but not read"
    made = read_packed(Path("out"))
    image = made.pop("images")
    whole = image[..., 0] if family == "showers" else image
    if not np.array_equal(whole, read[MAIN[family]]):
        return "other images after packing"
    for name, values in made.items():
        if name in read and not np.array_equal(values, read[name], equal_nan=True):
            return f"another {name} after packing"
    return ""


def _prefixed(verb: str, wrong: str) -> str:
    return f"{verb}: {wrong}" if wrong else ""


def _fingerprint() -> dict[str, str]:
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in Path().rglob("*") if p.is_file()
    }
