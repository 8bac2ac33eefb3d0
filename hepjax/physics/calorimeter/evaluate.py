"""Any two files of showers against one another, without a run: opens them, refuses what does not
go together, and makes the report.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.files import ShowerSource
from hepjax.formats.showers.layout import Unit
from hepjax.formats.showers.packed import PackedShowers
from hepjax.formats.showers.reader import open_showers
from hepjax.physics.calorimeter import field, metrics
from hepjax.physics.calorimeter.report import report_on, require_two
from hepjax.physics.calorimeter.samples import Showers
from hepjax.report.document import Report
from hepjax.report.inspection import Progress, no_progress

EVENTS = 10_000
"""Showers of each sample that are compared, unless another number is asked for (published)."""
BATCH = 256
FACTORS = {"MeV": 1e3, "keV": 1e6, "eV": 1e9, "0.02 GeV": 50.0}
"""Of cells in such a unit that are taken for GeV."""
NEAR = 0.4
"""A ratio of sampling fractions this close to a factor, in its share, is taken for it."""
ENOUGH_TO_TELL = 50
"""Showers that show whether incident energies are discrete."""


@dataclass(frozen=True)
class Asked:
    """How two samples are compared; None stands for what the files and their calorimeter say."""

    calorimeter: Calorimeter | None = None
    units: tuple[Unit, Unit] = ("auto", "auto")
    """Of the cells of reference and generated."""
    threshold: float | None = None
    """GeV; cells below are set to 0 in both samples."""
    events: int = EVENTS
    more: field.Settings | None = None
    """Classifiers and distances too."""
    gallery_workers: int = 0
    """All plots one by one too, drawn by as many processes."""


def compared(
    reference: Sequence[Path], generated: Sequence[Path], asked: Asked | None = None,
    progress: Progress = no_progress,
) -> Report:  # fmt: skip
    """The report on the showers of some files against those of others.

    Raises:
      InputError: files that cannot be read or do not go together: other geometry, other unit,
        discrete energies against a range, no common energies, cells below 0 or not finite.
    """
    asked = asked or Asked()
    names = (str(reference[0]), str(generated[0]))
    sources = [
        _opened(paths, unit, asked)
        for paths, unit in zip((reference, generated), asked.units, strict=True)
    ]
    calorimeter = sources[0].calorimeter
    _require_same_geometry(calorimeter, sources[1].calorimeter, names)
    opened = [_sample(source, asked.events) for source in sources]
    require_two(opened[0], opened[1], names)
    _require_alike_energies(opened, names)
    _require_same_unit(opened, names)
    pair = [_above(s, calorimeter.threshold, name) for s, name in zip(opened, names, strict=True)]
    return report_on(
        pair[0], pair[1], labels=("reference", "generated"), names=names,
        calorimeter=calorimeter, more=asked.more, gallery_workers=asked.gallery_workers,
        progress=progress,
    )  # fmt: skip


Source = ShowerSource | PackedShowers


def _opened(paths: Sequence[Path], unit: Unit, asked: Asked) -> Source:
    """Files of one known layout.

    Raises:
      InputError: no shower files, or files without incident energies.
    """
    given = list(paths)
    source = open_showers(given, unit=unit, calorimeter=asked.calorimeter)
    if asked.threshold is not None and asked.threshold != source.calorimeter.threshold:
        other = replace(source.calorimeter, threshold=asked.threshold)
        source = open_showers(given, unit=unit, calorimeter=other)
    if source.energy is None:
        raise InputError(
            f"{paths[0]}: expected incident energies (target, energy or Target), found none"
        )
    return source


def _sample(source: Source, events: int) -> Showers:
    """The first ``events`` showers, as a sample that streams."""
    total = min(len(source), events)

    def batches() -> Iterator[np.ndarray]:
        for start in range(0, total, BATCH):
            yield source[np.arange(start, min(start + BATCH, total))]["ecal"]

    assert source.energy is not None
    theta = None if source.theta is None else source.theta[:total]
    return Showers(source.energy[:total], source.calorimeter.shape, batches, theta)


def _require_same_geometry(one: Calorimeter, other: Calorimeter, names: tuple[str, str]) -> None:
    if _cells(one) == _cells(other):
        return
    same = one.shape == other.shape
    way_out = "; if they are the same, say which: --geometry" if same else ""
    words = [
        f"{' x '.join(map(str, c.shape))} cells" + (f" of other sizes ({c.name})" if same else "")
        for c in (one, other)
    ]
    raise InputError(
        f"{names[1]}: expected the geometry of {names[0]}, {words[0]}, found {words[1]}{way_out}"
    )


def _cells(calorimeter: Calorimeter) -> object:
    """Where the cells are, whatever lies between them."""
    layers = [(layer.rings, layer.sectors) for layer in calorimeter.layers]
    return calorimeter.cells, calorimeter.cells and calorimeter.cell_mm, layers


def _require_alike_energies(samples: list[Showers], names: tuple[str, str]) -> None:
    few = [len(np.unique(s.energy)) <= metrics.DISCRETE for s in samples]
    if few[0] == few[1] or min(len(s) for s in samples) < ENOUGH_TO_TELL:
        return
    words = [
        f"{len(np.unique(s.energy))} incident energies" if f else
        f"a range of incident energies, {s.energy.min():g} to {s.energy.max():g} GeV"
        for s, f in zip(samples, few, strict=True)
    ]  # fmt: skip
    raise InputError(
        f"{names[1]}: expected {words[0]} as in {names[0]}, found {words[1]}; "
        "generate at the energies of the reference (hepjax generate --like)"
    )


def _require_same_unit(samples: list[Showers], names: tuple[str, str]) -> None:
    fractions = []
    for sample in samples:
        cells = np.asarray(next(sample.batches())[:BATCH], np.float64)
        fractions.append(float(cells.sum() / sample.energy[: len(cells)].sum()))
    r, g = fractions
    if not (np.isfinite(r) and np.isfinite(g) and r > 0 and g > 0):
        return
    for k, ratio in ((1, g / r), (0, r / g)):
        for unit, factor in FACTORS.items():
            if abs(np.log(ratio / factor)) < NEAR:
                option = ("reference", "generated")[k]
                raise InputError(
                    f"{names[k]}: expected cells in the unit of {names[1 - k]}, found them to sum "
                    f"to {fractions[k]:.3g} of the incident energy and there to "
                    f"{fractions[1 - k]:.3g}, as if in {unit}; say --{option}-unit '{unit}'"
                )


def _above(showers: Showers, threshold: float, name: str) -> Showers:
    """The sample with cells below the threshold set to 0, and a check of each."""

    def batches() -> Iterator[np.ndarray]:
        first = 0
        for cells in showers.batches():
            if not (cells.min() >= 0 and cells.max() < np.inf):
                flat = cells.reshape(len(cells), -1)
                fine = (flat >= 0) & (flat < np.inf)
                event = int(np.flatnonzero(~fine.all(1))[0])
                raise InputError(
                    f"{name}: expected finite, non-negative cells, found "
                    f"{flat[event][~fine[event]][0]} in event {first + event}"
                )
            yield np.where(cells < threshold, np.float32(0), cells) if threshold > 0 else cells
            first += len(cells)

    return Showers(showers.energy, showers.shape, batches, showers.theta)
