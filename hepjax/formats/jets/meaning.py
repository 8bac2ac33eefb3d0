"""What the numbers of an image file mean: channel names, units, label meaning, image shape.

The file or the user states it; it is never guessed, because channel orders and label conventions
differ between files of the same layout.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hepjax import InputError
from hepjax.formats.images import Channel, Grid

KNOWN_CHANNELS = (
    *("pT", "d0", "dz", "ECAL", "HCAL", "BPIX1", "BPIX2", "BPIX3", "BPIX4"),
    "time",
)
"""Sum of track pT, d0 and dz; calorimeter energies; pixel hits by layer; crystal hit time."""

CHANNEL_ORDERS = (
    ("pT,d0,dz,ECAL,HCAL,BPIX1,BPIX2,BPIX3", "BoostedTop files of GSoC 2021"),
    ("HCAL,ECAL,pT,d0,dz,BPIX1,BPIX2,BPIX3", "RecoE2E DetFrames"),
    ("pT,ECAL,HCAL,d0,dz,BPIX1,BPIX2,BPIX3", "RecoE2E README"),
    ("pT,dz,d0,ECAL,HCAL,BPIX1,BPIX2,BPIX3", "MLAnalyzer"),
    ("pT,dz,d0,ECAL,HCAL,BPIX1,BPIX2,BPIX3,BPIX4", "MLAnalyzer"),
    ("pT,dz,d0,ECAL,HCAL", "MLAnalyzer"),
    ("pT,d0,dz,BPIX1,BPIX2,BPIX3", "tracker-only HDF5"),
    ("pT,ECAL,HCAL", "quark/gluon files"),
    ("ECAL,time", "e/gamma HDF5"),
    ("ECAL", "e/gamma npz"),
)
"""Orders met in public files, and where."""

LABEL_MEANINGS = (
    ("0=qcd,1=top", "boosted top"),
    ("0=gluon,1=quark", "MLAnalyzer, jetIsQuark"),
    ("0=quark,1=gluon", "other users of the same files"),
    ("0=photon,1=electron", "CMS e/gamma"),
    ("0=electron,1=photon", "simulated e/gamma"),
)
"""Label meanings met in public files, and where."""


CELLS_LIMIT = 2**26
"""Larger images are taken for damage; 375 x 375 pixels in 8 channels are 1.1 million."""


@dataclass(frozen=True)
class Meaning:
    """A part is None if neither the file nor the user states it."""

    channels: tuple[str, ...] | None = None
    """In stored order; ``name`` or ``name:unit``, the unit being "1" if it is not said."""
    labels: dict[int, str] | None = None
    """Class id to class name."""
    shape: tuple[int, int] | None = None
    """Pixels of the image: rows (eta), columns (phi)."""
    first_look: bool = False
    """Missing parts are allowed: channels are named by number, labels have no names."""
    unlabelled: bool = False
    """The events need no labels: they are to be predicted."""


def to_metadata(meaning: Meaning) -> dict[str, str]:
    """Text entries for the metadata of a file; ``from_metadata`` reads them back."""
    entries = {
        "channels": meaning.channels,
        "labels": meaning.labels,  # JSON makes texts of the numbers
        "shape": meaning.shape,
    }
    return {f"hepjax.{key}": json.dumps(said) for key, said in entries.items() if said is not None}


def from_metadata(path: Path, entries: Mapping[str, str]) -> Meaning:
    """What a file written by hepjax says of itself; other entries are ignored.

    Raises:
      InputError: an entry that is none of what ``to_metadata`` writes.
    """
    read: dict[str, Callable[[Any], Any]] = {
        "channels": lambda names: tuple(map(str, names)),
        "labels": lambda labels: {int(k): str(v) for k, v in labels.items()},
        "shape": lambda shape: (int(shape[0]), int(shape[1])),
    }
    said: dict[str, Any] = {}
    for key, convert in read.items():
        text = entries.get(f"hepjax.{key}")
        try:
            said[key] = None if text is None else convert(json.loads(text))
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            raise InputError(
                f"{path}: expected metadata hepjax.{key} as hepjax writes it, found a damaged "
                "entry; copy the file again"
            ) from error
    return Meaning(**said)


def agree(path: Path, said: Meaning, asked: Meaning) -> Meaning:
    """What the file and the user state, combined.

    Args:
      said: by the file.
      asked: by the user.
    Raises:
      InputError: they contradict each other, or the labels are not named.
    """
    channels = asked.channels or said.channels
    if asked.channels and said.channels:
        names = tuple(_channel(path, text).name for text in asked.channels)
        stored = tuple(_channel(path, text).name for text in said.channels)
        if names != stored:
            raise InputError(
                f"{path}: expected the channels that the file names, {','.join(stored)}, "
                f"found {','.join(names)} asked for; leave --channels out"
            )
        channels = said.channels
    for what in ("labels", "shape"):
        a, b = getattr(said, what), getattr(asked, what)
        if a and b and a != b:
            raise InputError(
                f"{path}: expected the {what} that the file states, {a}, found {b} asked for; "
                f"leave --{what} out"
            )
    labels = asked.labels or said.labels
    if labels or not asked.first_look:
        labels = _labels(path, labels)
    return replace(asked, channels=channels, labels=labels, shape=asked.shape or said.shape)


def make_grid(path: Path, meaning: Meaning, channels: int | None, shape: tuple[int, int]) -> Grid:
    """The grid of images that are stored as ``channels`` planes of ``shape`` pixels.

    Args:
      channels: None if the file does not show how many there are.

    Raises:
      InputError: images without pixels, nobody named the channels, another number of them is named,
        a name is unknown or comes twice, or another shape is asked for.
    """
    if 0 in (channels, *shape):
        raise InputError(
            f"{path}: expected images with pixels, found {channels} channels of {shape} pixels"
        )
    count = channels if meaning.channels is None else len(meaning.channels)
    if count is not None and count * shape[0] * shape[1] > CELLS_LIMIT:
        raise InputError(
            f"{path}: expected images of at most {CELLS_LIMIT} numbers, found {count} channels of "
            f"{shape} pixels"
        )
    if meaning.channels is not None:
        named = tuple(_channel(path, text) for text in meaning.channels)
    elif meaning.first_look and channels is not None:
        named = tuple(Channel(f"channel {k}", "1") for k in range(channels))
    else:
        raise InputError(f"{path}: {unnamed_channels(channels)}")
    if len({channel.name for channel in named}) < len(named):
        raise InputError(
            f"{path}: expected each channel once, found {','.join(c.name for c in named)}"
        )
    if channels not in (None, len(named)):
        raise InputError(
            f"{path}: expected {len(named)} channels ({','.join(c.name for c in named)}), "
            f"found {channels} in the file"
        )
    if meaning.shape is not None and tuple(meaning.shape) != tuple(shape):
        raise InputError(f"{path}: expected images of {meaning.shape} pixels, found {shape}")
    return Grid((int(shape[0]), int(shape[1])), named)


def flat_shape(path: Path, meaning: Meaning, pixels: int) -> tuple[int, int, int]:
    """Channels, rows and columns of images stored as one list of ``pixels`` numbers.

    Raises:
      InputError: the channels are not named, or these numbers do not make up such images.
    """
    if meaning.channels is None:
        raise InputError(f"{path}: {unnamed_channels(None)}")
    channels = len(meaning.channels)
    side = round((pixels / channels) ** 0.5)
    rows, columns = meaning.shape or (side, side)
    if rows * columns * channels != pixels:
        wanted = f"{rows} x {columns}" if meaning.shape else "square"
        raise InputError(
            f"{path}: expected {wanted} images of {channels} channels "
            f"({','.join(meaning.channels)}), found {pixels} numbers an event; "
            "name all channels, or give the shape"
        )
    return channels, rows, columns


def unnamed_channels(channels: int | None) -> str:
    """The part of an error that asks for channel names, with the orders met so far."""
    known = [(o, where) for o, where in CHANNEL_ORDERS if channels in (None, o.count(",") + 1)]
    choices = " | ".join(f"--channels {order} ({where})" for order, where in known)
    found = "no names" if channels is None else f"{channels} without names"
    return (
        f"expected the names of the channels, found {found}; orders differ between files, say "
        f"which: {choices or '--channels NAME,NAME,...'}"
    )


def _labels(path: Path, labels: dict[int, str] | None) -> dict[int, str]:
    if not labels:
        choices = " | ".join(f"--labels {text} ({where})" for text, where in LABEL_MEANINGS)
        raise InputError(
            f"{path}: expected the meaning of the labels, found numbers without it; conventions "
            f"contradict each other, say which: {choices}"
        )
    if len(set(labels.values())) < len(labels) or not all(labels.values()):
        raise InputError(f"{path}: expected labels with different names, found {labels}")
    return dict(sorted(labels.items()))


def _channel(path: Path, text: str) -> Channel:
    name, _, unit = text.partition(":")
    if name not in KNOWN_CHANNELS:
        raise InputError(
            f"{path}: expected channels out of {','.join(KNOWN_CHANNELS)}, found {name!r}"
        )
    return Channel(name, unit or "1")
