"""Typed, frozen settings: dataclasses made from a YAML file and ``key.path=value`` overrides.

A field may carry a bound in its annotation, ``Annotated[float, Bound(above=0)]``, and a group may
have ``rules`` about several of its fields. Both are checked when the whole configuration is made,
and the key in the error comes from the names of the fields. A list may hold groups, of which a run
directory keeps what differs from their defaults. A class with ``from_setting(value, key)`` and
``to_setting()`` reads and writes its own settings. A method ``resolved`` of a configuration gives
the one that is stored, in which no setting is left to others. The groups that every workload shares
are here, joined in ``RunConfig``; a workload adds its own.
"""

import contextlib
import dataclasses
import difflib
import os
import reprlib
import stat
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from hepjax import InputError
from hepjax.engine import older, paths
from hepjax.formats import strict_yaml
from hepjax.formats.packaged import configs

C = TypeVar("C")


def require(condition: bool, key: str, expected: str, found: object) -> None:
    """Raise the one-line error of a bad setting unless ``condition`` holds."""
    if not condition:
        raise InputError(f"{key}: expected {expected}, found {shown(found)}")


def shown(value: object) -> str:
    """``repr`` of a value for an error, cut short: YAML can hold gigabytes in a few lines."""
    text = _SHORT.repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


LONGEST_SHOWN = 300
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlong = 4, 60
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxdict = 20
_SHORT.maxstring = _SHORT.maxother = 250


@dataclass(frozen=True)
class Bound:
    """Smallest and largest value of a number; ``above`` and ``below`` exclude the value itself."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    @property
    def text(self) -> str:
        """The bound in words: "at least 1", "above 0", "0 up to 1" (1 excluded), "0 to 5"."""
        low, high = self.least, self.most
        if low is not None and self.below is not None:
            return f"{low:g} up to {self.below:g}"
        if low is not None and high is not None:
            return f"{low:.10g} to {high:.10g}"
        if self.above is not None and self.below is not None:
            return f"between {self.above:g} and {self.below:g}"
        if self.above is not None:
            return f"above {self.above:g}" + ("" if high is None else f", at most {high:g}")
        if low is not None:
            return "0 or more" if low == 0 else f"at least {low:g}"
        return f"at most {high:g}" if high is not None else f"below {self.below:g}"

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies inside; NaN does not."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and value == value
        )


Count = Annotated[int, Bound(least=1)]
CountOrNone = Annotated[int, Bound(least=0)]
Positive = Annotated[float, Bound(above=0)]
NotNegative = Annotated[float, Bound(least=0)]
SEEDS = Bound(least=0, most=2**31 - 1)
Seed = Annotated[int, SEEDS]
FilePath = Annotated[str, "path"]
"""A path: ``~``, variables and patterns are expanded (engine/paths.py), and a run directory keeps
it absolute. A pattern may stand for several where the field is a tuple of paths."""
Rule = tuple[bool, str, str]
"""Whether it holds, the field that is wrong if not, and what was expected of it."""


def require_seed(key: str, seed: int) -> None:
    """Refuse a seed outside of the one range that all of hepjax has.

    Raises:
      InputError: it is negative or has more than 31 bits.
    """
    require(SEEDS.holds(seed), key, SEEDS.text, seed)


@dataclass(frozen=True)
class TrainConfig:
    """How long and how to train. Sizes are numbers of events."""

    seed: Seed = 0
    """Seed of initial weights, order of events, and noise."""
    batch_size: Count = 128
    """Events in an update, over all devices together."""
    accumulate: Count = 1
    """Micro-batches of a device in an update (gradient accumulation). They need less memory and
    give the same gradient, except with batch norm, whose statistics are those of a micro-batch."""
    epochs: Count = 25
    """Passes through the training events."""
    steps: CountOrNone = 0
    """Updates after which training stops; 0: after ``epochs``."""
    stop_after: CountOrNone = 0
    """Epochs without a better validation score after which training ends (early stopping); 0:
    never. The best epoch is kept in any case."""
    record_every: Count = 20
    """Updates between two records. The host waits for the device at records only."""
    log: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ()
    """Where records go beside ``metrics.jsonl``, see docs/reference/records.md."""
    keep_compiled: bool = True
    """Keep compiled programs in the user's cache folder, see engine/compilation.py."""
    precision: Literal["float32", "bfloat16", "float32_highest"] = "float32"
    """Type of activations. Parameters, batch statistics and losses stay float32. On GPUs and TPUs
    float32 multiplies numbers that are rounded first (on NVIDIA GPUs to TF32, 10 bits of mantissa);
    ``float32_highest`` does not, at a fraction of the speed. On CPUs the two are the same."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """What follows a non-finite update, which is never applied: stop, or go on without it."""
    max_skipped: Count = 20
    """Skipped updates in a row after which training stops."""
    warm_start: FilePath = ""
    """Run directory whose best epoch gives the initial state of a new run: all arrays of the same
    name and shape, where its networks differ."""
    warm_schedule: Literal["reset", "keep"] = "reset"
    """Whether a warm start begins the learning-rate schedule and the optimizer's state anew, or
    takes them from the earlier run, which then has the same networks and optimizer."""
    members: Count = 1
    """Trainings side by side in one program (a population). They differ in initial weights and
    noise; what the run answers is their mean, with its spread."""
    member_rates: tuple[Positive, ...] = ()
    """Learning rate of each member; by default all have that of the optimizer."""
    exchange: Literal["none", "best", "tournament"] = "none"
    """What members do after each epoch. ``best``: the worst quarter takes over state and learning
    rate of the best quarter, the rate times 0.8 or 1.25 (population-based training).
    ``tournament``: pairs of GANs judge each other's generators on validation events of their own
    and take the better ones (LTFB)."""
    freeze: tuple[str, ...] = ()
    """Parts of the model that training leaves as they are, by the path of their arrays:
    ``discriminator/params/Conv3D_0``, or with ``*``, ``generator/params/*/bias``."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield (
            len(self.member_rates) in (0, self.members),
            "member_rates", f"none, or one for each of the {self.members} members",
        )  # fmt: skip
        yield self.exchange == "none" or self.members > 1, "exchange", "none with one member"

    @property
    def dtype(self) -> str:
        """Name of the type of activations."""
        return self.precision.removesuffix("_highest")


@dataclass(frozen=True)
class MeshConfig:
    """Which devices take part, and how state and batch lie on them (see engine/mesh.py)."""

    layout: Literal["replicated", "fsdp", "hybrid", "channel", "spatial", "members"] = "replicated"
    """Sharding of parameters and events: the table in engine/mesh.py."""
    devices: CountOrNone = 0
    """Number of devices; 0: all. On a CPU more than one are virtual devices."""
    model_devices: Count = 1
    """Devices along the second axis of the mesh. They share an event (spatial), a layer (channel),
    or a copy of the parameters (hybrid)."""
    program: Literal["partitioned", "explicit"] = "partitioned"
    """One program that the compiler partitions over the devices, or one program a device with the
    all-reduces written out (``shard_map``)."""
    batch_norm: Literal["global", "local"] = "global"
    """Batch statistics of all events, or of the events of each device, as Horovod has them."""
    overlap: bool = False
    """On TPUs: all-reduce gradients while the backward pass goes on."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield (
            self.program == "partitioned" or self.layout == "replicated",
            "layout", "replicated with mesh.program=explicit",
        )  # fmt: skip
        yield (
            self.batch_norm == "global" or self.program == "explicit",
            "batch_norm", "global with mesh.program=partitioned",
        )  # fmt: skip
        yield (
            self.layout not in ("replicated", "fsdp", "members") or self.model_devices == 1,
            "model_devices",
            f"1 with mesh.layout={self.layout} (hybrid, channel and spatial have a second axis)",
        )


@dataclass(frozen=True)
class InputConfig:
    """How events reach the update. Only ``window`` changes which events form a batch."""

    window: Count = 8192
    """Events that are shuffled together: whole blocks in random order fill a window."""
    threads: Count = 2
    """Threads that read."""
    prefetch: Count = 4
    """Batches read ahead."""
    resident: bool = False
    """Keep all training events in the memory of each device; an epoch then costs no input."""


@dataclass(frozen=True)
class CheckpointConfig:
    """When to save and how many checkpoints to keep. Every epoch ends with one."""

    every_steps: CountOrNone = 0
    """Updates between further checkpoints inside an epoch; 0: none."""
    keep: Annotated[int, Bound(least=2)] = 10
    """Epoch checkpoints kept (one is there to fall back to). The best epoch is one of them."""


@dataclass(frozen=True)
class RunConfig:
    """The groups of settings that every workload has; a workload subclasses it with its own."""

    train: TrainConfig = field(default_factory=TrainConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    input: InputConfig = field(default_factory=InputConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)

    def __post_init__(self) -> None:
        check(self)


def check(group: Any, prefix: str = "") -> None:
    """Check the bounds and rules of a group of settings and of the groups in it.

    Raises:
      InputError: the first one that does not hold, with its key.
    """
    hints = typing.get_type_hints(type(group), include_extras=True)
    for f in dataclasses.fields(group):
        value = getattr(group, f.name)
        if _is_group(hints[f.name]):
            check(value, f"{prefix}{f.name}.")
        else:
            _check_bounds(hints[f.name], value, value, prefix + f.name)
    for holds, name, expected in group.rules() if hasattr(group, "rules") else ():
        require(holds, prefix + name, expected, _named(group, name))


def _check_bounds(hint: Any, value: Any, whole: Any, key: str) -> None:
    """Check a value, or each value of a tuple, against the bounds of its annotation."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        for bound in args[1:]:
            if isinstance(bound, Bound):
                require(bound.holds(value), key, bound.text, whole)
    elif origin is tuple and isinstance(value, tuple):
        hints = [args[0]] * len(value) if args[-1] is Ellipsis else args
        for number, (inner, item) in enumerate(zip(hints, value, strict=True)):
            if _is_group(inner):
                check(item, f"{key}[{number}].")
            else:
                _check_bounds(inner, item, whole, key)


def _is_group(hint: Any) -> bool:
    """Whether settings of this type are a group, checked field by field."""
    return dataclasses.is_dataclass(hint) and not hasattr(hint, "from_setting")


def _named(group: Any, path: str) -> Any:
    for name in path.split("."):
        group = getattr(group, name)
    return group


RESUMABLE = (
    *("mesh.devices", "mesh.model_devices", "mesh.layout", "mesh.overlap"),
    *("input.threads", "input.prefetch", "input.resident", "checkpoint."),
    *("train.record_every", "train.epochs", "train.steps", "train.keep_compiled"),
    *("train.stop_after", "train.log"),
)
"""Settings, or beginnings of their names, that may change when a run is resumed. They change
neither the model nor its data nor its noise. A larger train.epochs or train.steps extends a run."""


def find_config(name: str) -> Path:
    """The YAML file of ``name``: a path, or a packaged name such as ``gan3d/demo``.

    Raises:
      InputError: there is neither, naming the packaged ones.
    """
    given = paths.expand_one(name, "CONFIG")
    if os.path.isfile(given):
        return Path(given)
    packaged = configs() / f"{name}.yaml"
    if name and os.path.isfile(packaged):
        return packaged
    known = config_names()
    near = difflib.get_close_matches(name, known, n=1)
    way = f"did you mean {near[0]}? " if near else ""
    try:
        found = "a folder" if stat.S_ISDIR(os.stat(given).st_mode) else "no regular file"
    except (OSError, ValueError) as error:
        found = "no such file" if not isinstance(error, PermissionError) else "permission denied"
    raise InputError(
        f"{name}: {found} or packaged configuration; {way}there are {', '.join(known)}"
        if found == "no such file"
        else f"{name}: expected a YAML file or a packaged configuration, found {found}; "
        f"{way}there are {', '.join(known)}"
    )


def config_names() -> list[str]:
    """The packaged configurations, sorted."""
    root = configs()
    known = sorted(str(p.relative_to(root).with_suffix("")) for p in root.rglob("*.yaml"))
    return [name for name in known if not name.startswith("calorimeters/")]


def read_settings(path: Path, overrides: list[str]) -> dict[str, Any]:
    """Nested settings of a YAML file with ``key.path=value`` overrides applied.

    Raises:
      InputError: unreadable YAML or a malformed override.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, found: {error.strerror}") from None
    settings = strict_yaml.read(text, str(path))
    require(isinstance(settings, dict), str(path), "a mapping of settings", settings)
    override(settings, overrides)
    return older.networks(settings)


def override(settings: dict[str, Any], overrides: list[str]) -> None:
    """Apply ``key.path=value`` overrides to nested settings.

    Raises:
      InputError: a malformed one, or two of one key with different values.
    """
    given: dict[str, str] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        require(bool(equals and key), text, "key.path=value", text)
        before = given.setdefault(key, value)
        require(before == value, key, "one value", f"{before} and {value}")
        put(settings, key, strict_yaml.read_value(value, key))


def put(settings: dict[str, Any], key: str, value: Any) -> None:
    """Set ``key.path`` in nested settings; paths of files may be ``Path``.

    Raises:
      InputError: a group is needed where a value is.
    """
    group = settings
    *parents, leaf = key.split(".")
    for parent in parents:
        group = group.setdefault(parent, {})
        require(isinstance(group, dict), key, f"{parent} to be a group of settings", group)
    group[leaf] = _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def build(cls: type[C], settings: Any, *, stored: bool = False) -> C:
    """Make the frozen dataclass ``cls`` from nested settings; the others keep their defaults.

    Args:
      stored: whether a run directory kept them, so that paths are as they should be.
    Raises:
      InputError: unknown setting (with the nearest valid name), wrong type, bad value, or a path
        that cannot be expanded.
    """
    made: C = _changed(cls(), settings, "")
    if hasattr(made, "resolved"):
        made = made.resolved()
    return made if stored else with_paths(made, paths.expand)


def with_paths(group: C, change: Callable[[str, str], list[str]], prefix: str = "") -> C:
    """The same settings with each path replaced.

    Args:
      change: (path, key) -> the paths in its place, exactly one where the field is no tuple.
    """
    hints = typing.get_type_hints(type(group), include_extras=True)
    changes: dict[str, Any] = {}
    for f in dataclasses.fields(group):  # type: ignore[arg-type]
        value, key = getattr(group, f.name), prefix + f.name
        if _is_group(hints[f.name]):
            changes[f.name] = with_paths(value, change, f"{key}.")
        elif hints[f.name] == FilePath and value:
            found = change(value, key)
            require(len(found) == 1, key, "one path", found)
            changes[f.name] = found[0]
        elif hints[f.name] == tuple[FilePath, ...]:
            changes[f.name] = tuple(path for item in value for path in change(item, key))
    changes = {k: v for k, v in changes.items() if v != getattr(group, k)}
    return dataclasses.replace(group, **changes) if changes else group  # type: ignore[type-var]


def data_lists(cfg: Any) -> dict[str, tuple[str, ...]]:
    """The paths in the settings of the data, by the setting."""
    lists: dict[str, tuple[str, ...]] = {}

    def add(path: str, key: str) -> list[str]:
        if key.startswith("data."):
            lists[key] = (*lists.get(key, ()), path)
        return [path]

    with_paths(cfg, add)
    return lists


def path_keys(cfg: Any) -> list[str]:
    """Names of the settings that are paths and given."""
    keys: list[str] = []
    with_paths(cfg, lambda path, key: keys.append(key) or [path])  # type: ignore[func-returns-value]
    return sorted(set(keys))


def _changed(group: Any, settings: Any, prefix: str) -> Any:
    """A group with some of its settings replaced. The other ones keep the value they have here."""
    require(isinstance(settings, dict), prefix.rstrip("."), "a group of settings", settings)
    hints = typing.get_type_hints(type(group))
    changes = {}
    for key, value in settings.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"there are {', '.join(hints)}"
            hint = older.RENAMED.get(f"{prefix}{key}", hint)
            raise InputError(f"{prefix}{key}: expected a known setting, found another; {hint}")
        if _is_group(hints[key]):
            changes[key] = _changed(getattr(group, key), value, f"{prefix}{key}.")
        else:
            changes[key] = _convert(hints[key], value, prefix + key)
    return dataclasses.replace(group, **changes)


def _convert(hint: Any, value: Any, key: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hasattr(hint, "from_setting"):
        return hint.from_setting(value, key)
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
        return tuple(
            _changed(kind(), v, f"{key}[{number}].") if _is_group(kind) else _convert(kind, v, key)
            for number, (kind, v) in enumerate(zip(kinds, value, strict=True))
        )
    if hint is float and not isinstance(value, bool):
        misread = isinstance(value, str) and strict_yaml.MISREAD.match(value)
        require(not misread, key, "a number without leading zeros", value)
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            return float(value)  # also "1e-3", which YAML reads as text
    elif type(value) is hint:
        return value
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    raise InputError(f"{key}: expected {names.get(hint, hint)}, found {shown(value)}")


def to_settings(cfg: Any) -> Any:
    """The nested plain settings of a configuration, ready for YAML."""
    if hasattr(cfg, "to_setting"):
        return cfg.to_setting()
    if dataclasses.is_dataclass(cfg):
        return {f.name: to_settings(getattr(cfg, f.name)) for f in dataclasses.fields(cfg)}
    return [_item(v) for v in cfg] if isinstance(cfg, tuple) else cfg


def _item(value: Any) -> Any:
    """Settings of an item of a list: of a group what differs from its defaults."""
    settings = to_settings(value)
    kind: Any = type(value)
    if not _is_group(kind):
        return settings
    defaults = to_settings(kind())
    return {name: v for name, v in settings.items() if v != defaults[name]}


def flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``{"train.seed": 0, ...}``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= (
            flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat
