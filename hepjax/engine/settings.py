"""Configurations from a YAML file and ``key.path=value`` overrides, and back to plain settings.

A list may hold groups, of which a run directory keeps what differs from their defaults. A class
with ``from_setting(value, key)`` and ``to_setting()`` reads and writes its own settings. A method
``resolved`` of a configuration gives the one that is stored, in which no setting is left to others.
"""

import contextlib
import dataclasses
import difflib
import os
import stat
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from hepjax import InputError
from hepjax.engine import older, paths
from hepjax.engine.bounds import FilePath, is_group, require, shown
from hepjax.formats import strict_yaml
from hepjax.formats.packaged import configs

C = TypeVar("C")


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
        if is_group(hints[f.name]):
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
        if is_group(hints[key]):
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
            _changed(kind(), v, f"{key}[{number}].") if is_group(kind) else _convert(kind, v, key)
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
    if not is_group(kind):
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
