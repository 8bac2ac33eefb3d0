"""Samples of CosmoFlow as sources, and which of them train and judge a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hepjax import InputError
from hepjax.engine.workload import Field, Sources, Spec
from hepjax.formats.block_cache import BlockCache
from hepjax.formats.fields.cosmoflow import PARAMETERS, TIMES, list_samples, read_samples
from hepjax.formats.hdf5 import is_hdf5
from hepjax.formats.source import Batch, Source, divided, locate
from hepjax.formats.tfrecord import read_records
from hepjax.workloads.cosmoflow.config import CosmoflowConfig

CACHED = 2**30
"""Bytes of decoded files that are kept."""


class _File(NamedTuple):
    """All samples of a file: counts (s, n, n, n, 4), parameters (s, 4)."""

    counts: np.ndarray
    parameters: np.ndarray

    @property
    def nbytes(self) -> int:
        return int(self.counts.nbytes + self.parameters.nbytes)


class SampleSource:
    """Samples of files; a ``Source``.

    Batches have ``counts`` (n, c, c, c, 4) int16 and ``parameters`` (n, 4) float32.
    """

    def __init__(self, files: Sequence[Path], cells: int) -> None:
        self.files, self.cells = tuple(files), cells
        each = [1 if is_hdf5(p) else sum(1 for _ in read_records(p)) for p in self.files]
        self.blocks = np.concatenate([[0], np.cumsum(each)]).astype(np.int64)
        self._cache: BlockCache[_File] = BlockCache(CACHED)

    def __len__(self) -> int:
        return int(self.blocks[-1])

    def __getitem__(self, indices: np.ndarray) -> Batch:
        numbers, places = locate(self.blocks, indices)
        files = self._cache.get_all(numbers, self._read)
        pairs = list(zip(numbers.tolist(), places.tolist(), strict=True))
        return {
            "counts": np.stack([files[k].counts[i] for k, i in pairs]),
            "parameters": np.stack([files[k].parameters[i] for k, i in pairs]),
        }

    def _read(self, number: int) -> _File:
        path = self.files[number]
        samples = list(read_samples(path))
        for sample in samples:
            if len(sample.counts) != self.cells:
                raise InputError(
                    f"{path}: expected {self.cells} cells along an edge (data.cells), found "
                    f"{len(sample.counts)}"
                )
        counts = np.stack([s.counts for s in samples])
        if counts.max() > np.iinfo(np.int16).max:
            raise InputError(f"{path}: expected counts of 16 bits, found {counts.max():,}")
        return _File(counts.astype(np.int16), np.stack([s.parameters for s in samples]))


def open_samples(cfg: CosmoflowConfig, paths: Sequence[str | Path]) -> SampleSource:
    """Samples of these files.

    Raises:
      InputError: see ``cosmoflow.read_samples``; or samples of another size than ``data.cells``.
    """
    source = SampleSource(list_samples(list(paths)), cfg.data.cells)
    source[np.arange(1)]  # what does not fit is said before the work begins
    return source


def sources(cfg: CosmoflowConfig) -> Sources:
    """Training and validation samples.

    Raises:
      InputError: see ``open_samples``.
    """
    source = open_samples(cfg, cfg.data.files)
    if cfg.data.validation_files:
        return Sources(source, open_samples(cfg, cfg.data.validation_files))
    return Sources(*divided(source, cfg.data.validation_fraction, "samples", cfg.data.rotate))


def spec(cfg: CosmoflowConfig, source: Source) -> Spec:
    """The arrays of a source, without reading any."""
    return Spec((
        Field("counts", (*(cfg.data.cells,) * 3, TIMES), "int16"),
        Field("parameters", (PARAMETERS,), "float32"),
    ))  # fmt: skip
