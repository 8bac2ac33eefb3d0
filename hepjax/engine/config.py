"""Typed, frozen configuration: dataclasses built from a YAML file and ``key.path=value`` overrides.

A setting is checked when its dataclass is made, so a bad one never reaches a step. The settings
that every workload shares are defined here; a workload adds its own groups beside them.
"""

import contextlib
import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from hepjax import InputError

C = TypeVar("C")


def require(condition: bool, key: str, expected: str, found: object) -> None:
    """Raise the one-line error of a bad setting unless ``condition`` holds."""
    if not condition:
        raise InputError(f"{key}: expected {expected}, found {found!r}")


@dataclass(frozen=True)
class TrainConfig:
    """How long and how to train; sizes are events, never batches."""

    seed: int = 0
    batch_size: int = 128
    """Events per update over all devices together."""
    accumulate: int = 1
    """Parts, one after the other, into which a device cuts its events of an update: less memory and
    the same gradient, but for batch norm, whose statistics are those of a part."""
    epochs: int = 25
    steps: int = 0
    """Stop after so many updates; 0 means after ``epochs``."""
    record_every: int = 20
    """Updates between two records, the only moments when the host waits for the device."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Type of activations; parameters, batch statistics and losses stay float32."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """A non-finite update is never applied; then stop, or skip it and go on."""
    max_skipped: int = 20
    """Stop after so many skipped updates in a row."""
    warm_start: str = ""
    """Run directory whose best epoch a new run begins with, the optimizer included."""

    def __post_init__(self) -> None:
        for key in ("batch_size", "accumulate", "epochs", "record_every", "max_skipped"):
            require(getattr(self, key) >= 1, f"train.{key}", "at least 1", getattr(self, key))
        require(self.steps >= 0, "train.steps", "0 or more", self.steps)
        require(0 <= self.seed < 2**31, "train.seed", "0 to 2147483647", self.seed)


@dataclass(frozen=True)
class MeshConfig:
    """Which devices take part and how state and batch lie on them (see engine/mesh.py)."""

    layout: Literal["replicated", "fsdp", "hybrid", "channel", "spatial"] = "replicated"
    devices: int = 0
    """Number of devices; 0 means all there are. On a CPU more than one are virtual devices."""
    model_devices: int = 1
    """Devices along the second axis of the mesh: among them one event is cut (spatial), one layer
    (channel), or one copy of the parameters (hybrid)."""
    program: Literal["partitioned", "explicit"] = "partitioned"
    """One program for all devices that the compiler partitions, or one for each device with the
    sums over devices written out (``shard_map``)."""
    batch_norm: Literal["global", "local"] = "global"
    """Batch statistics of all events, or of those of each device, as Horovod has them."""
    overlap: bool = False
    """On TPUs: the sums of gradients go on beside the rest of the backward pass."""

    def __post_init__(self) -> None:
        require(self.devices >= 0, "mesh.devices", "0 or more", self.devices)
        require(
            self.program == "partitioned" or self.layout == "replicated",
            "mesh.layout", "replicated with mesh.program=explicit", self.layout,
        )  # fmt: skip
        require(
            self.batch_norm == "global" or self.program == "explicit",
            "mesh.batch_norm", "global with mesh.program=partitioned", self.batch_norm,
        )  # fmt: skip
        require(self.model_devices >= 1, "mesh.model_devices", "at least 1", self.model_devices)
        require(
            self.layout not in ("replicated", "fsdp") or self.model_devices == 1,
            "mesh.model_devices",
            f"1 with mesh.layout={self.layout} (hybrid, channel and spatial have a second axis)",
            self.model_devices,
        )


@dataclass(frozen=True)
class InputConfig:
    """How events reach the step; none of these changes which events form a batch but ``window``."""

    window: int = 8192
    """Events shuffled together: whole blocks in random order fill a window, shuffled inside."""
    threads: int = 2
    prefetch: int = 4
    """Batches read ahead."""
    resident: bool = False
    """Keep all training events in the memory of each device: an epoch then costs no input."""

    def __post_init__(self) -> None:
        for key in ("window", "threads", "prefetch"):
            require(getattr(self, key) >= 1, f"input.{key}", "at least 1", getattr(self, key))


@dataclass(frozen=True)
class CheckpointConfig:
    """When to save and how many to keep; every epoch ends with a checkpoint."""

    every_steps: int = 0
    """Save also every so many updates inside an epoch; 0 means never."""
    keep: int = 10
    """Epoch checkpoints kept; the best epoch is chosen among them."""

    def __post_init__(self) -> None:
        require(self.every_steps >= 0, "checkpoint.every_steps", "0 or more", self.every_steps)
        require(self.keep >= 2, "checkpoint.keep", "at least 2 (one to fall back to)", self.keep)


# What may differ when a run is resumed: none of these changes the model or its data. Extending
# train.epochs or train.steps is how a run is continued.
RESUMABLE = ("mesh.", "input.threads", "input.prefetch", "input.resident", "checkpoint.",
             "train.record_every", "train.epochs", "train.steps")  # fmt: skip


def find_config(name: str) -> Path:
    """The YAML file of ``name``: a path, or a packaged name such as ``gan3d/demo``.

    Raises:
      InputError: there is neither, naming the packaged ones.
    """
    if Path(name).is_file():
        return Path(name)
    here = Path(__file__).resolve().parents[1]
    # The wheel carries the folder inside the package; a source checkout has it beside the package.
    root = here / "configs" if (here / "configs").is_dir() else here.parent / "configs"
    if name and (root / f"{name}.yaml").is_file():
        return root / f"{name}.yaml"
    known = sorted(str(p.relative_to(root).with_suffix("")) for p in root.rglob("*.yaml"))
    raise InputError(
        f"{name}: no such file or packaged configuration; there are {', '.join(known)}"
    )


def read_settings(path: Path, overrides: list[str]) -> dict[str, Any]:
    """Nested settings of a YAML file with ``key.path=value`` overrides applied.

    Raises:
      InputError: unreadable YAML or a malformed override.
    """
    try:
        settings = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected YAML; {' '.join(str(error).split())}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    require(isinstance(settings, dict), str(path), "a mapping of settings", settings)
    for override in overrides:
        key, equals, value = override.partition("=")
        require(bool(equals and key), override, "key.path=value", override)
        group = settings
        *parents, leaf = key.split(".")
        for parent in parents:
            group = group.setdefault(parent, {})
            require(isinstance(group, dict), key, f"{parent} to be a group of settings", group)
        try:
            group[leaf] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(f"{key}: expected a YAML value, found {value!r}") from None
    return settings


def build(cls: type[C], settings: Any, prefix: str = "") -> C:
    """Make the frozen dataclass ``cls`` from nested settings, checking names and types.

    Raises:
      InputError: unknown setting (with the nearest valid name), wrong type, bad value.
    """
    require(isinstance(settings, dict), prefix.rstrip("."), "a group of settings", settings)
    hints = typing.get_type_hints(cls)
    for key in settings:
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"there are {', '.join(hints)}"
            raise InputError(f"{prefix}{key}: unknown setting; {hint}")
    return cls(
        **{key: _convert(hints[key], value, prefix + key) for key, value in settings.items()}
    )


def _convert(hint: Any, value: Any, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, key + ".")
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        require(value in args, key, f"one of {', '.join(map(str, args))}", value)
        return value
    if origin in (types.UnionType, typing.Union):
        return (
            None
            if value is None
            else _convert(next(a for a in args if a is not type(None)), value, key)
        )
    if origin is tuple:
        require(isinstance(value, list | tuple), key, "a list", value)
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        require(len(kinds) == len(value), key, f"a list of {len(kinds)}", value)
        return tuple(_convert(kind, v, key) for kind, v in zip(kinds, value, strict=True))
    if hint is float and not isinstance(value, bool):
        with contextlib.suppress(TypeError, ValueError):
            return float(value)  # also "1e-3", which YAML reads as text
    elif type(value) is hint:
        return value
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    raise InputError(f"{key}: expected {names.get(hint, hint)}, found {value!r}")


def to_settings(cfg: Any) -> Any:
    """The nested plain settings of a configuration, ready for YAML."""
    if dataclasses.is_dataclass(cfg):
        return {f.name: to_settings(getattr(cfg, f.name)) for f in dataclasses.fields(cfg)}
    return [to_settings(v) for v in cfg] if isinstance(cfg, tuple) else cfg


def flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``{"train.seed": 0, ...}``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= (
            flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat
