"""Brings files of a public set into a folder: fetched, checked, recorded, and never overwritten.

``public-data.json`` in the folder records what each file was when it came: its sha256, its size,
its address, and what it was checked against. Files that are there already are checked the same way.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hepjax import InputError
from hepjax.formats.atomic import make_folder, write_json
from hepjax.formats.catalogue import download
from hepjax.formats.catalogue.archive import is_archive, unpack
from hepjax.formats.catalogue.sets import PublicFile, PublicSet

RECORD = "public-data.json"
CHUNK = 2**22
MB = 1e6
Progress = Callable[..., AbstractContextManager[Callable[..., object]]]
"""(what is done, how much in all, its unit) -> a context that yields ``advance(amount)``, which may
be told ``total=`` later; 0 in all: not known."""


def get(
    public: PublicSet, files: Sequence[PublicFile], folder: Path, progress: Progress, *,
    mirror: str = "",
) -> list[dict[str, Any]]:  # fmt: skip
    """Bring ``files`` into ``folder``.

    Args:
      mirror: folder or address that has the files under their names, in place of their own.
    Returns:
      for each file its entry of the record, with ``name`` and ``new``: whether it was fetched now.
    Raises:
      InputError: a file cannot be fetched or is not what is stated; a file of that name is there
        and is another. What was finished before stays.
    """
    _require_addresses(public, files, mirror)
    make_folder(folder)
    came = []
    for file in files:
        place, record = folder / file.name, _record(folder)
        known = record.get(file.name)
        if os.path.lexists(place):
            entry = _there(place, file, known, progress)
        else:
            entry = _fetched(place, file, _address(file, mirror), progress)
        if entry != known:
            write_json(folder / RECORD, {"set": public.name, "files": record | {file.name: entry}})
        came.append({"name": file.name, "new": known is None} | entry)
        if public.unpack and is_archive(place):
            with progress(f"unpack {file.name}", entry["bytes"] / MB, "MB") as advance:
                came[-1]["unpacked"] = str(unpack(place, lambda n: advance(n / MB)))
    return came


def _require_addresses(public: PublicSet, files: Sequence[PublicFile], mirror: str) -> None:
    without = [file.name for file in files if not file.url]
    if not mirror and without:
        raise InputError(
            f"{public.name}: expected --mirror with a folder that has {without[0]}"
            f"{' and others' if len(without) > 1 else ''}, found none; nobody gives them without "
            f"an account or a browser: {public.record}"
        )
    if mirror and not download.is_web(mirror) and not Path(mirror).is_dir():
        raise InputError(f"--mirror: expected a folder or an address, found {mirror!r}")


def _address(file: PublicFile, mirror: str) -> str:
    if not mirror:
        return file.url
    if download.is_web(mirror):
        return f"{mirror.rstrip('/')}/{quote(file.name)}"
    return str(Path(mirror) / file.name)


def _fetched(place: Path, file: PublicFile, address: str, progress: Progress) -> dict[str, Any]:
    """Fetch a file, check it, and give it its name.

    Raises:
      InputError: see ``get``; a file with another checksum than stated is removed.
    """
    partial = place.with_name(f".{place.name}.part")
    began = download.size_of(partial) / MB
    with progress(f"get {file.name}", (file.bytes or 0) / MB, "MB", start=began) as advance:

        def wait(seconds: float) -> None:
            advance(0, f"the connection ended, again in {seconds:.0f} s")
            time.sleep(seconds)

        download.fetch(
            address, partial, file.bytes, lambda n: advance(n / MB),
            learned=lambda n: advance(0, total=n / MB),
            checked=file.checksum is not None, wait=wait,
        )  # fmt: skip
    sums = _sums(partial, progress, f"check {file.name}")
    if wrong := _unlike(file, sums):
        download.remove(partial)
        raise InputError(
            f"{address}: expected {wrong[0]}, found {wrong[1]}; the file is another one or was "
            "damaged on its way, and nothing is kept; try again, or give another --mirror"
        )
    os.replace(partial, place)  # whose name was free, and no other process has the partial file
    download.remove(partial)
    return _entry(file, sums, address)


def _there(
    place: Path, file: PublicFile, known: dict[str, Any] | None, progress: Progress
) -> dict[str, Any]:
    """Check a file of that name that is there already.

    Raises:
      InputError: it is another one, or nothing says what it should be.
    """
    way = "it is not overwritten: move it away, or give another --out"
    if not place.is_file():
        raise InputError(f"{place}: expected a file, found something else of this name; {way}")
    sums = _sums(place, progress, f"check {file.name}")
    if wrong := _unlike(file, sums):
        raise InputError(f"{place}: expected {wrong[0]}, found {wrong[1]}; {way}")
    if known is not None and known.get("sha256") != sums["sha256"]:
        raise InputError(
            f"{place}: expected the file that came first (sha256 {known.get('sha256')}), found "
            f"another ({sums['sha256']}); {way}"
        )
    if known is None and file.bytes is None and file.checksum is None:
        raise InputError(
            f"{place}: expected no file of this name, as nobody states what it should be, found "
            f"one; {way}"
        )
    return known or _entry(file, sums, "there before")


def _entry(file: PublicFile, sums: dict[str, Any], address: str) -> dict[str, Any]:
    stated = [file.checksum[0]] if file.checksum else []
    stated += ["size"] if file.bytes is not None else []
    return {
        "bytes": sums["bytes"], "sha256": sums["sha256"], "from": address,
        "checked": " and ".join(stated) or "nothing is stated",
    }  # fmt: skip


def _unlike(file: PublicFile, sums: dict[str, Any]) -> tuple[str, str] | None:
    """What is stated of a file and what was found instead, if they differ."""
    if file.bytes is not None and sums["bytes"] != file.bytes:
        return f"{file.bytes:,} bytes", f"{sums['bytes']:,}"
    if file.checksum and sums[file.checksum[0]] != file.checksum[1]:
        kind, value = file.checksum
        return f"{kind} {value}", str(sums[kind])
    return None


def _sums(path: Path, progress: Progress, what: str) -> dict[str, Any]:
    hashes = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    size = path.stat().st_size
    with progress(what, size / MB, "MB") as advance, path.open("rb") as file:
        while chunk := file.read(CHUNK):
            for one in hashes.values():
                one.update(chunk)
            advance(len(chunk) / MB)
    return {"bytes": size} | {kind: one.hexdigest() for kind, one in hashes.items()}


def _record(folder: Path) -> dict[str, Any]:
    """What the folder records of its files, by name.

    Raises:
      InputError: a record that is damaged.
    """
    path = folder / RECORD
    try:
        files = json.loads(path.read_text())["files"]
        if isinstance(files, dict) and all(isinstance(entry, dict) for entry in files.values()):
            return files
        found = "another form"
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError) as error:
        found = type(error).__name__
    raise InputError(
        f"{path}: expected the record that hepjax writes, found {found}; remove it and the files "
        "are checked again"
    )
