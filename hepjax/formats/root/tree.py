"""Opens ROOT trees (TTree, RNTuple) with uproot and reads branches, some entries at a time."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError, MissingExtraError

MAGIC = b"root\0"
"""And the first byte of the version; a data card begins with ``root:``."""
TREES = ("TTree", "TNtuple", "ROOT::RNTuple")
CHUNK_BYTES = 2**24
"""Of the branches that are read, uncompressed: what is in memory at a time, apart from copies."""


@dataclass(frozen=True)
class TreeInfo:
    """What is in a tree."""

    name: str
    entries: int
    branches: dict[str, str]
    """Name and type, as ROOT or C++ call it."""


def is_root(path: Path) -> bool:
    """Whether it is a ROOT file, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(5) == MAGIC
    except OSError:
        return False


def require_uproot(what: object) -> Any:
    """The package uproot, which reads ROOT files; awkward comes with it.

    Raises:
      MissingExtraError: it is not installed.
    """
    try:
        import awkward  # noqa: F401
        import uproot
    except ImportError:
        raise MissingExtraError(f"{what}: reading ROOT files", "root") from None
    return uproot


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, whose damage is one line, whatever uproot raises of it.

    Raises:
      InputError: unreadable, no ROOT file, or damaged.
    """
    uproot = require_uproot(path)
    try:
        with uproot.open(path) as file:
            yield file
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"{path}: expected a readable ROOT file, found: {error.strerror or error}"
        ) from None
    except Exception as error:  # uproot has no common class for what damaged bytes lead to
        said = " ".join(str(error).split())[:160]
        raise InputError(
            f"{path}: expected a whole ROOT file, found {type(error).__name__}: {said}; copy it "
            "again"
        ) from None


def trees(path: Path) -> list[TreeInfo]:
    """The trees of a file, the newest cycle of each.

    Raises:
      InputError: see ``_opened``.
    """
    with _opened(path) as file:
        kinds = file.classnames(cycle=False)
        names = [name for name, kind in kinds.items() if kind in TREES]
        return [_info(name, file[name]) for name in names]


def _info(name: str, tree: Any) -> TreeInfo:
    return TreeInfo(
        name, int(tree.num_entries),
        {key.rsplit("/", 1)[-1]: tree[key].typename for key in tree.keys(recursive=True)},
    )  # fmt: skip


def tree_of(path: Path, name: str) -> TreeInfo:
    """The tree of that name; the only one if ``name`` is empty.

    Raises:
      InputError: there is none, or which one is not said.
    """
    found = trees(path)
    chosen = [tree for tree in found if name in ("", tree.name)]
    if len(chosen) == 1:
        return chosen[0]
    known = ", ".join(tree.name for tree in found) or "none"
    raise InputError(
        f"{path}: expected tree {name!r}, found {known}"
        if name
        else f"{path}: expected one tree, found {known}; name it: tree: ..."
    )


def require_branches(path: Path, tree: TreeInfo, wanted: Iterable[str]) -> None:
    """Refuse names of branches that the tree does not have.

    Raises:
      InputError: with the nearest one.
    """
    for name in sorted(wanted):
        if name not in tree.branches:
            near = difflib.get_close_matches(name, tree.branches, n=1)
            some = ", ".join(list(tree.branches)[:8])
            way = f"did you mean {near[0]}?" if near else f"there are {some}, ..."
            raise InputError(f"{path}: expected branch {name} in {tree.name}, found none; {way}")


def chunks(path: Path, tree: TreeInfo, names: Iterable[str]) -> list[tuple[int, int]]:
    """Ranges of entries whose branches ``names`` have about ``CHUNK_BYTES``."""
    with _opened(path) as file:
        told = [getattr(file[tree.name][name], "uncompressed_bytes", None) for name in names]
    sizes = [int(size) for size in told if size is not None]
    # An RNTuple does not tell: as if all of the file, packed fourfold, was read.
    size = sum(sizes) if len(sizes) == len(told) else 4 * path.stat().st_size
    step = max(1, tree.entries * CHUNK_BYTES // max(size, 1))
    return [(a, min(a + step, tree.entries)) for a in range(0, tree.entries, step)]


def read(path: Path, tree: TreeInfo, names: Iterable[str], start: int, stop: int) -> dict[str, Any]:
    """Branches ``names`` of entries ``start`` to ``stop``, as awkward arrays.

    Raises:
      InputError: damage, or a branch that holds something else than numbers.
    """
    with _opened(path) as file:
        columns = {
            name: file[tree.name][name].array(entry_start=start, entry_stop=stop, library="ak")
            for name in names
        }
    for name, values in columns.items():
        if not _numbers(values):
            raise InputError(
                f"{path}: expected numbers or lists of them in {name}, found {tree.branches[name]}"
            )
    return columns


def _numbers(values: Any) -> bool:
    import awkward as ak

    kind = ak.type(values)
    while hasattr(kind, "content"):
        kind = kind.content
    name = getattr(kind, "primitive", "")
    return name == "bool" or (bool(name) and np.dtype(name).kind in "iuf")
