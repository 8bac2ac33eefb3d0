"""The catalogue of public data sets, ``sets.yaml``: what there is, where, and what is stated of it.

A size or checksum is in it only where a source states it; ``stated`` says which.
"""

import difflib
import fnmatch
import functools
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hepjax import InputError
from hepjax.formats import strict_yaml

NUMBERS = re.compile(r"\{(\d+)\.\.(\d+)\}")
CHECKSUMS = ("sha256", "md5")
"""Kinds of checksums, the better one first."""


@dataclass(frozen=True)
class PublicFile:
    """One file of a set, and what is stated of it."""

    name: str
    url: str = ""
    """Empty: nobody gives it without an account."""
    bytes: int | None = None
    checksum: tuple[str, str] | None = None
    """Its kind and value in hexadecimal digits."""


@dataclass(frozen=True)
class PublicSet:
    """An entry of the catalogue; its first lines say what each field is."""

    name: str
    title: str
    workloads: tuple[str, ...]
    record: str
    licence: str
    layout: str
    units: str
    events: str
    train: str
    stated: str
    files: tuple[PublicFile, ...] = ()
    listing: str = ""
    unpack: bool = False
    channels: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def meaning(self) -> dict[str, Any]:
        """What ``pack`` has to be told of images: channels in stored order, names of the labels."""
        said = {"channels": self.channels, "labels": dict(enumerate(self.labels))}
        return {key: value for key, value in said.items() if value}

    @property
    def bytes(self) -> int | None:
        """Of all files together, None if one of them is not stated."""
        sizes = [file.bytes for file in self.files]
        return None if None in sizes or not sizes else sum(size or 0 for size in sizes)


@functools.cache
def catalogue() -> dict[str, PublicSet]:
    """All sets by name."""
    path = Path(__file__).with_name("sets.yaml")
    entries = strict_yaml.read(path.read_bytes(), path.name)
    return {name: _set(name, dict(entry)) for name, entry in entries.items()}


def find(name: str) -> PublicSet:
    """The set of that name.

    Raises:
      InputError: there is none, with the nearest one.
    """
    known = catalogue()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name.lower(), known, n=1)
    way = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise InputError(f"{name}: expected the name of a public data set, found another; {way}")


def chosen(files: Sequence[PublicFile], patterns: Sequence[str]) -> tuple[PublicFile, ...]:
    """The files whose names match one of the patterns (``*``, ``?``); all without patterns.

    Raises:
      InputError: a pattern that matches none.
    """
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(file.name, pattern) for file in files):
            near = difflib.get_close_matches(pattern, [file.name for file in files], n=1)
            names = near or [file.name for file in files[:3]]
            raise InputError(
                f"--files {pattern}: expected to match files of the set, such as "
                f"{', '.join(names)}, found none"
            )
    if not patterns:
        return tuple(files)
    return tuple(f for f in files if any(fnmatch.fnmatchcase(f.name, p) for p in patterns))


def from_listing(text: str, where: str) -> tuple[PublicFile, ...]:
    """The files of a record as Zenodo's interface lists them.

    Args:
      text: JSON with ``files``: ``key``, ``size``, ``checksum`` (md5:...) and ``links.self``.
    Raises:
      InputError: another form, or a name that is none of a file.
    """
    try:
        listed = strict_yaml.read(text, where)["files"]  # JSON is YAML
        files = tuple(
            PublicFile(
                str(item["key"]), str(item["links"]["self"]), int(item["size"]),
                _checksum(*str(item["checksum"]).split(":")),
            )
            for item in listed
        )  # fmt: skip
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{where}: expected a list of files with key, size, checksum and links.self, found "
            f"another form ({type(error).__name__}); download the files in a browser and give "
            "their folder with --mirror"
        ) from None
    for file in files:
        require_name(file.name, where)
    return files


def require_name(name: str, where: str) -> None:
    """Refuse what is no name of a file inside a folder.

    Raises:
      InputError: a path, a hidden name, or nothing.
    """
    if not name or name[0] == "." or "/" in name or "\\" in name or "\0" in name:
        raise InputError(f"{where}: expected names of files, found {name!r}")


def _set(name: str, entry: dict[str, Any]) -> PublicSet:
    url = entry.pop("url", "")
    files = tuple(f for item in entry.pop("files", ()) for f in _files(item, url))
    lists: dict[str, Any] = {
        key: tuple(entry.pop(key, ())) for key in ("workloads", "channels", "labels")
    }
    return PublicSet(name=name, files=files, **lists, **entry)


def _files(item: dict[str, Any], url: str) -> list[PublicFile]:
    kind = next((kind for kind in CHECKSUMS if kind in item), None)
    file = PublicFile(
        item["name"], item.get("url", url), item.get("bytes"),
        None if kind is None else _checksum(kind, str(item[kind])),
    )  # fmt: skip
    return [
        replace(file, name=name, url=file.url.replace("{name}", quote(name)))
        for name in expanded(file.name)
    ]


def expanded(pattern: str) -> list[str]:
    """The names that ``part_{0..2}.tar`` stands for."""
    pieces = NUMBERS.split(pattern)
    spans = [range(int(a), int(b) + 1) for a, b in zip(pieces[1::3], pieces[2::3], strict=True)]
    texts = pieces[0::3]
    return [
        texts[0] + "".join(f"{n}{t}" for n, t in zip(numbers, texts[1:], strict=True))
        for numbers in itertools.product(*spans)
    ]


def _checksum(kind: str, value: str) -> tuple[str, str]:
    digits = {"sha256": 64, "md5": 32}[kind]
    if not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
        raise ValueError(f"{kind} {value}")
    return kind, value
