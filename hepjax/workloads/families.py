"""Families of files: how a path is recognised, who looks into it, who reads and packs it.

A workload from outside brings its own family (``Workload.files``); it is asked first.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepjax import InputError
from hepjax.formats.fields.boxes import is_boxes
from hepjax.formats.fields.cosmoflow import is_samples
from hepjax.formats.files import nearest
from hepjax.formats.packed.manifest import is_packed
from hepjax.formats.particleflow.reader import holds_events
from hepjax.formats.recognise import recognise
from hepjax.formats.source import Source
from hepjax.formats.tracking.reader import layout_of
from hepjax.formats.trigger.tables import is_trigger
from hepjax.formats.unfolding.npz import holds_levels
from hepjax.formats.waveforms.hdf5 import is_waveforms
from hepjax.workloads import table

if TYPE_CHECKING:
    from hepjax.report.document import Report
    from hepjax.report.inspection import Progress

LONGEST_EVENT = 2**15
"""Elements that particle-flow events are padded to by ``read``."""


@dataclass(frozen=True)
class Family:
    """What the verbs ``inspect``, ``doctor --data`` and ``pack`` need of a kind of files."""

    name: str
    inspector: str
    """Module with ``inspect(paths, plot, ...) -> report`` and ``text(report)``, its lines."""
    read: Callable[[list[Path]], Source] | None = None
    """The events as trainings read them; None: such files have to be packed first."""
    pack: "Callable[..., tuple[Any, dict[str, str]]] | None" = None
    """(paths, meaning) -> files for ``formats.packed.pack`` and units of the columns."""
    compare: "Callable[..., Report] | None" = None
    """(reference, generated, progress, **asked): report on the events of files against others."""
    shards: "Callable[[list[Path], Path, Callable[[int], object]], dict[str, Any]] | None" = None
    """(paths, out, advance): packs into shards of a layout of its own; says what is in them."""
    recognises: Callable[[Path], bool] | None = None
    """For families from outside: whether a path is one of theirs."""

    @property
    def module(self) -> Any:
        """The inspector."""
        return importlib.import_module(self.inspector)


def _showers(paths: list[Path]) -> Source:
    from hepjax.formats.showers.reader import open_showers

    return open_showers(paths)


def _packed(paths: list[Path]) -> Source:
    from hepjax.formats.packed.reader import open_packed

    return open_packed(paths)


def _events(paths: list[Path]) -> Source:
    from hepjax.formats.particleflow.reader import open_events

    return open_events(paths, buckets=[LONGEST_EVENT])


def _pack_showers(paths: list[Path], meaning: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    from hepjax.formats.showers.images import shower_files
    from hepjax.formats.showers.layout import COLUMN_UNITS

    if others := [key for key in meaning if key not in ("unit", "calorimeter")]:
        raise InputError(
            f"--{', --'.join(others)}: expected none for showers, found some; leave it out"
        )
    return shower_files(paths, **meaning), COLUMN_UNITS


def _pack_jets(paths: list[Path], meaning: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    from hepjax.formats.jets.reader import open_jets

    if "unit" in meaning:
        raise InputError(
            "--unit: expected none for images, found one; --channels states units: pT:GeV"
        )
    if "calorimeter" in meaning:
        raise InputError("--geometry: expected none for images, found one; leave it out")
    return open_jets(paths, **meaning), {"pt": "GeV", "mass": "GeV", "phi": "rad"}


def _compare_showers(
    reference: list[Path], generated: list[Path], progress: "Progress", **asked: Any
) -> "Report":
    from hepjax.physics.calorimeter.evaluate import Asked, compared

    return compared(reference, generated, Asked(**asked), progress)


def _waveforms(paths: list[Path]) -> Source:
    from hepjax.formats.waveforms.hdf5 import open_waveforms

    return open_waveforms(paths)


def _pack_waveforms(
    paths: list[Path], out: Path, advance: Callable[[int], object]
) -> dict[str, Any]:
    from hepjax.formats.waveforms.pack import pack_waveforms

    found = pack_waveforms(paths, out, advance)
    return {"events": found.events, "shards": len(found.shards), "bytes": found.bytes}


def _pack_hits(paths: list[Path], out: Path, advance: Callable[[int], object]) -> dict[str, Any]:
    from hepjax.formats.tracking.pack import pack_hits

    return pack_hits(paths, out, advance)


CALORIMETER = "hepjax.physics.calorimeter.inspect"
JETS = "hepjax.physics.jets.inspect"
FAMILIES = {
    family.name: family
    for family in (
        Family("clic", CALORIMETER, _showers, _pack_showers, _compare_showers),
        Family("calochallenge", CALORIMETER, _showers, _pack_showers, _compare_showers),
        Family("jets", JETS, pack=_pack_jets),
        Family("packed", JETS, _packed, compare=_compare_showers),
        Family("tracking", "hepjax.physics.tracking.inspect", shards=_pack_hits),
        Family("trigger", "hepjax.physics.trigger.inspect"),
        Family("waveforms", "hepjax.physics.waveforms.inspect", _waveforms, shards=_pack_waveforms),
        Family("fields", "hepjax.physics.fields.inspect"),
        Family("cosmoflow", "hepjax.physics.fields.inspect_counts"),
        Family("unfolding", "hepjax.physics.unfolding.inspect"),
        Family("mlpf", "hepjax.physics.particleflow.inspect", _events),
        Family("root", "hepjax.formats.root.inspect"),
    )
}


def family_of(path: Path) -> Family:
    """The family of a file, a folder or a split of a data set.

    Raises:
      InputError: nothing of this name, or of no known layout.
    """
    for workload in table.outside():
        if workload.files is not None and workload.files.recognises(path):
            return workload.files
    if path.exists() and layout_of(path) is not None:
        return FAMILIES["tracking"]
    if path.exists() and is_trigger(path):
        return FAMILIES["trigger"]
    if path.exists() and is_waveforms(path):
        return FAMILIES["waveforms"]
    if path.exists() and holds_levels(path):
        return FAMILIES["unfolding"]
    if holds_events(path):  # also a split of a TFDS data set, which is not the name of a file
        return FAMILIES["mlpf"]
    if not path.exists():
        raise InputError(
            f"{path}: expected a file or folder, found none of this name{nearest(path)}"
        )
    if is_packed(path):
        return FAMILIES["packed"]
    if is_boxes(path):
        return FAMILIES["fields"]
    return FAMILIES["cosmoflow" if is_samples(path) else recognise(path)]
