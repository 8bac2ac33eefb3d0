"""Which pulses train and judge a run: files in memory of blocks, or a single pass over shards."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.engine.stream import Shards, Stream, held_out
from hepjax.engine.workload import Field, Sources, Spec
from hepjax.formats.source import Batch, Source, divided
from hepjax.formats.waveforms.hdf5 import Meaning, open_waveforms
from hepjax.formats.waveforms.layout import EVENT, WAVEFORM
from hepjax.formats.waveforms.packed import (
    Set,
    empty,
    is_packed_waveforms,
    read_set,
    read_shard,
    require_sound,
)
from hepjax.workloads.waveforms.config import WaveformsConfig

VALIDATION_PULSES = 4096
"""Held-out pulses of a single pass that validate it, from its first sound shards."""
HELD = "held"


class HeldOut:
    """Pulses in memory; a ``Source``."""

    of_training = True
    """They come from the streamed shards, which are what a run is known by."""

    def __init__(self, fields: Batch, meaning: Meaning) -> None:
        self.fields, self.meaning = fields, meaning
        self.blocks = np.array([0, len(fields[EVENT])], np.int64)

    def __len__(self) -> int:
        return len(self.fields[EVENT])

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return {name: values[indices] for name, values in self.fields.items()}


def open_pulses(cfg: WaveformsConfig, paths: Sequence[str | Path]) -> Source:
    """Pulses of HDF5 files, or of packed sets, whose checksums are compared first.

    Raises:
      InputError: see ``open_waveforms`` and ``require_sound``; or pulses of other samples than
        ``data.samples``.
    """
    for path in map(Path, paths):
        if path.is_dir() and is_packed_waveforms(path):
            require_sound(read_set([path]))
    source = open_waveforms([Path(path) for path in paths])
    require_samples(cfg, source.meaning, source.files[0].path)
    return source


def require_samples(cfg: WaveformsConfig, meaning: Meaning, path: Path) -> None:
    """Refuse pulses of another length than the network has.

    Raises:
      InputError: naming the setting.
    """
    if meaning.samples != cfg.data.samples:
        raise InputError(
            f"{path}: expected waveforms of {cfg.data.samples} samples (data.samples), found "
            f"{meaning.samples}; set data.samples={meaning.samples}"
        )


def sources(cfg: WaveformsConfig) -> Sources:
    """Training, validation and test pulses.

    Raises:
      InputError: see ``open_pulses`` and ``open_pass``.
    """
    data = cfg.data
    test = open_pulses(cfg, data.test_files) if data.test_files else None
    if data.single_pass:
        stream = open_pass(cfg)
        if data.validation_files:
            return Sources(stream, open_pulses(cfg, data.validation_files), test)
        return Sources(stream, validation_of(cfg, stream), test)
    source = open_pulses(cfg, data.files)
    if data.validation_files:
        return Sources(source, open_pulses(cfg, data.validation_files), test)
    return Sources(*divided(source, data.validation_fraction, "pulses", data.rotate), test)


def the_set(cfg: WaveformsConfig) -> Set:
    """The packed sets of a single pass.

    Raises:
      InputError: a path that is none, damaged manifests, or more shards than the state counts.
    """
    folders = [Path(path) for path in cfg.data.files]
    for folder in folders:
        if folder.exists() and not is_packed_waveforms(folder):
            raise InputError(
                f"{folder}: expected a packed set of waveforms for data.single_pass, found other "
                f"files; make one: hepjax pack {folder} --out DIR"
            )
    found = read_set(folders)
    require_samples(cfg, found.meaning, folders[0])
    if len(found.shards) > cfg.data.most_shards:
        raise InputError(
            f"data.most_shards: expected at least the {len(found.shards)} shards of data.files, "
            f"found {cfg.data.most_shards}"
        )
    return found


def open_pass(cfg: WaveformsConfig) -> Stream:
    """The shards of a single pass; ``held`` says which of their pulses do not train."""
    found, share = the_set(cfg), cfg.data.validation_fraction

    def with_held(fields: Batch) -> Batch:
        return fields | {HELD: held_out(fields[EVENT], share)}

    def read(number: int) -> Batch:
        return with_held(read_shard(found.shards[number], found.meaning))

    checksums = "\n".join(shard.sha256 for shard in found.shards)
    return Stream(
        Shards(
            np.array([shard.events for shard in found.shards], np.int64), read,
            lambda events: with_held(empty(found.meaning, events)),
            hashlib.sha256(checksums.encode()).hexdigest(), cfg.data.most_lost,
        ),
        cfg.data.lanes,
    )  # fmt: skip


def validation_of(cfg: WaveformsConfig, stream: Stream) -> HeldOut:
    """The first held-out pulses of the shards in their order.

    Raises:
      InputError: there are none; or the last shard could not be read either.
    """
    found = the_set(cfg)
    parts, count, failure = [], 0, None
    for number in range(len(found.shards)):
        try:
            fields = stream.shards.read(number)
        except InputError as error:
            failure = error
            continue
        held = fields[HELD]
        parts.append({name: values[held] for name, values in fields.items() if name != HELD})
        count += int(held.sum())
        if count >= VALIDATION_PULSES:
            break
    if not count:
        raise failure or InputError(
            f"data.validation_fraction: expected to hold out pulses, found none of {len(stream)} "
            f"with {cfg.data.validation_fraction:g}"
        )
    fields = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
    return HeldOut({k: v[:VALIDATION_PULSES] for k, v in fields.items()}, found.meaning)


def meaning_of(source: Source) -> Meaning:
    """Scale and columns of the pulses behind a part of them."""
    if isinstance(source, Stream):
        raise TypeError("a stream says its meaning in its manifest")
    meaning = getattr(source, "meaning", None)
    return meaning if isinstance(meaning, Meaning) else meaning_of(source.source)  # type: ignore[attr-defined]


def spec(cfg: WaveformsConfig, source: Source) -> Spec:
    """Fields of raw batches; facts: ``scale``, photoelectrons a count, and ``shards`` of a pass."""
    if isinstance(source, Stream):
        found = the_set(cfg)
        fields = (Field(WAVEFORM, (cfg.data.samples,), found.meaning.dtype),)
        return Spec(fields, (("scale", found.meaning.scale), ("shards", len(found.shards))))
    meaning = meaning_of(source)
    fields = (Field(WAVEFORM, (meaning.samples,), meaning.dtype),)
    return Spec(fields, (("scale", meaning.scale),))
