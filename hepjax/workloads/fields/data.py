"""Boxes and crops of files, and numbers of boxes that the devices make, as sources."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.engine.workload import Field, Sources, Spec
from hepjax.formats.fields.box import DARK, GAS, BoxFile
from hepjax.formats.fields.boxes import list_boxes, read_box
from hepjax.formats.source import Batch, Source, divided, locate
from hepjax.workloads.fields.config import FieldsConfig

LEAST_MADE = 8
"""Validation boxes that are made, at least."""
VALIDATION = 2**30
"""Numbers of validation boxes that are made begin here."""


class CropSource:
    """Crops of boxes; a ``Source``.

    Batches have ``dark`` (n, s, s, s, 4) and, where all boxes have it, ``gas`` (n, s, s, s, 5),
    float32 in the units of ``formats.fields.box``, with s = crop + 2 margin, and ``box`` (n,).
    """

    def __init__(self, files: Sequence[BoxFile], crop: int = 0, margin: int = 0) -> None:
        self.files, self.crop, self.margin = tuple(files), crop, margin
        self.targets = all(f.targets for f in self.files)
        for file in self.files:
            if crop and file.cells % crop:
                raise InputError(
                    f"{file.path}: expected a box that data.crop={crop} divides, found "
                    f"{file.cells} cells along an edge"
                )
        sizes = {f.cells: f for f in self.files}
        if not crop and len(sizes) > 1:
            (a, first), (b, second) = list(sizes.items())[:2]
            raise InputError(
                f"{second.path}: expected {a} cells along an edge as in {first.path}, found {b}; "
                "set data.crop to a size that divides both"
            )
        self.size = (crop or self.files[0].cells) + 2 * margin
        each = [(f.cells // (crop or f.cells)) ** 3 for f in self.files]
        self.blocks = np.concatenate([[0], np.cumsum(each)]).astype(np.int64)

    def __len__(self) -> int:
        return int(self.blocks[-1])

    def __getitem__(self, indices: np.ndarray) -> Batch:
        dark, gas, boxes = [], [], []
        for number, place in zip(*locate(self.blocks, indices), strict=True):
            file = self.files[number]
            size = self.crop or file.cells
            side = file.cells // size
            corner = [int(c) * size - self.margin for c in np.unravel_index(place, (side,) * 3)]
            found, target = read_box(file, corner, self.size)
            dark.append(np.moveaxis(found, 0, -1))
            boxes.append(number)
            if self.targets and target is not None:
                gas.append(np.moveaxis(target, 0, -1))
        batch = {"dark": np.stack(dark), "box": np.array(boxes, np.int32)}
        return batch | ({"gas": np.stack(gas)} if self.targets else {})


class MadeSource:
    """Numbers ``box`` (n,) int32 of boxes that the devices make; a ``Source``."""

    def __init__(self, count: int, first: int = 0) -> None:
        self.count, self.first = count, first
        self.blocks = np.arange(count + 1, dtype=np.int64)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return {"box": (np.asarray(indices) + self.first).astype(np.int32)}


def open_boxes(cfg: FieldsConfig, paths: Sequence[str | Path]) -> CropSource:
    """Whole boxes of these files, also for a network that was trained on crops.

    Raises:
      InputError: see ``boxes.open_box``; or boxes that the levels of the network do not divide.
    """
    return _opened(cfg, paths)


def _opened(
    cfg: FieldsConfig, paths: Sequence[str | Path], crop: int = 0, margin: int = 0
) -> CropSource:
    source = CropSource(list_boxes(list(paths)), crop, margin)
    file = source.files[0]
    _require_levels(cfg, source.size, str(file.path))
    return source


def sources(cfg: FieldsConfig) -> Sources:
    """Training and validation boxes, which need gas.

    Raises:
      InputError: see ``open_boxes``; or boxes without gas, or that the crops do not divide.
    """
    if cfg.data.made:
        _require_levels(cfg, cfg.data.cells, "data.cells")
        other = MadeSource(max(LEAST_MADE, cfg.data.made // 4), VALIDATION)
        return Sources(MadeSource(cfg.data.made), other)
    cut = cfg.data.crop, cfg.data.margin
    source = _opened(cfg, cfg.data.files, *cut)
    require_gas(source)
    if cfg.data.validation_files:
        judged = _opened(cfg, cfg.data.validation_files, *cut)
        require_gas(judged)
        return Sources(source, judged)
    return Sources(*divided(source, cfg.data.validation_fraction, "crops", cfg.data.rotate))


def require_gas(source: CropSource) -> None:
    """Refuse boxes that only have dark matter.

    Raises:
      InputError: naming the first.
    """
    for file in source.files:
        if not file.targets:
            raise InputError(
                f"{file.path}: expected fields of gas to compare with, found dark matter only; "
                "hepjax predict needs no gas"
            )


def files_of(source: Source) -> CropSource | None:
    """The crops behind a part of them; None for boxes that are made."""
    while not isinstance(source, CropSource | MadeSource):
        source = source.source  # type: ignore[attr-defined]
    return source if isinstance(source, CropSource) else None


def _require_levels(cfg: FieldsConfig, cells: int, where: str) -> None:
    shared = cfg.mesh.model_devices if cfg.mesh.layout == "spatial" else 1
    wanted = cfg.model.divisor * shared
    if cells % wanted:
        levels = len(cfg.model.channels)
        devices = f" on {shared} devices" if shared > 1 else ""
        raise InputError(
            f"{where}: expected cells along an edge that {wanted} divides, for {levels} levels of "
            f"model.channels{devices}, found {cells}"
        )


def spec(cfg: FieldsConfig, source: Source) -> Spec:
    """The arrays of a source, without reading any."""
    found, number = files_of(source), Field("box", (), "int32")
    if found is None:
        return Spec((number,))
    names = [("dark", len(DARK)), *([("gas", len(GAS))] if found.targets else [])]
    return Spec((*(Field(n, (*(found.size,) * 3, c), "float32") for n, c in names), number))
