"""Write ``settings.md`` and ``commands.md`` of this folder from the code: what it says is true.

    python -m docs.reference.make

Settings come from the dataclasses of the workloads: ``Annotated`` objects with a ``text`` are the
bounds, the docstring below a field is its meaning. Commands come from the parsers.
"""

import argparse
import ast
import dataclasses
import importlib
import inspect
import itertools
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from hepjax import cli
from hepjax.workloads import table

HERE = Path(__file__).parent
COMMAND = "python -m docs.reference.make"
WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text"}
HEADER = "<!-- made by {}; do not edit -->\n\n# {}\n"
SETTINGS = """A configuration is a YAML file that holds only what differs from these defaults, or a
packaged name such as `gan3d/demo`. Each setting can be given on the command line:
`hepjax train gan3d/demo train.epochs=3`. Paths may have `~`, `$NAME` and patterns. An unknown name
or a value out of bounds is an error before training begins. `config.yaml` of a run holds all
settings, resolved.

## Settings that all workloads share
"""
COMMANDS = """Results go to standard output, progress to standard error. Every verb has `--help`.
Exit codes are in [records.md](records.md#exit-codes).

| verb | does |
|---|---|"""


def settings_page() -> str:
    """Every setting: the shared ones once, then what each workload adds."""
    names = sorted(table.names() if hasattr(table, "names") else table.NAMES)
    configs = {name: table.get(name).Config for name in names}
    # Without workloads that another package adds.
    configs = {name: c for name, c in configs.items() if c.__module__.startswith("hepjax.")}
    every = [group for config in configs.values() for group in _groups(config)]
    shared = {key: cls for key, cls in every if _is_shared(cls)}
    lines = [HEADER.format(COMMAND, "Settings"), SETTINGS]
    lines += [line for key, cls in sorted(shared.items()) for line in _group(key, cls, cls())]
    for name, config in configs.items():
        lines += [f"## {name}\n", _prose(inspect.getdoc(config) or "") + "\n"]
        defaults = config()
        different = [
            f"`{key}.{f.name}` = `{_value(getattr(getattr(defaults, key), f.name))}`"
            for key, cls in _groups(config) if _is_shared(cls)
            for f in dataclasses.fields(cls)
            if getattr(getattr(defaults, key), f.name) != getattr(cls(), f.name)
        ]  # fmt: skip
        if different:
            lines.append(f"Other defaults of shared settings: {', '.join(different)}.\n")
        for key, cls in _groups(config):
            if not _is_shared(cls):
                lines += _group(key, cls, getattr(defaults, key))
                for name, item in _items(cls):
                    lines += _group(f"{key}.{name}[0]", item, item())
        if own := [f for f in dataclasses.fields(config) if f.name not in dict(_groups(config))]:
            lines += _table("", config, own, defaults)
    return "\n".join(lines).rstrip() + "\n"


def _groups(config: type) -> list[tuple[str, type]]:
    hints = typing.get_type_hints(config)  # without the extras of Annotated
    fields = [f.name for f in dataclasses.fields(config)]
    return [(key, hints[key]) for key in fields if dataclasses.is_dataclass(hints[key])]


def _items(cls: type) -> list[tuple[str, type]]:
    """Lists of groups among the fields of a group; the first name of each kind of item."""
    hints, found = typing.get_type_hints(cls), dict[type, str]()
    for name, hint in hints.items():
        item = next(iter(typing.get_args(hint)), None)
        if typing.get_origin(hint) is tuple and dataclasses.is_dataclass(item):
            found.setdefault(typing.cast(type, item), name)
    return [(name, item) for item, name in found.items()]


def _is_shared(cls: type) -> bool:
    return cls.__module__.startswith("hepjax.engine")


def _group(key: str, cls: type, defaults: Any) -> list[str]:
    head = [f"### {key}\n", _prose(inspect.getdoc(cls) or "") + "\n"]
    return head + _table(f"{key}.", cls, dataclasses.fields(cls), defaults)


def _table(prefix: str, cls: type, fields: Iterable[Any], defaults: Any) -> list[str]:
    hints, meanings = typing.get_type_hints(cls, include_extras=True), attribute_docstrings(cls)
    rows = ["| setting | type | default | bounds | meaning |\n|---|---|---|---|---|"]
    for f in fields:
        cells = [
            f"`{prefix}{f.name}`", type_in_words(hints[f.name]),
            f"`{_value(getattr(defaults, f.name))}`", bounds(hints[f.name]),
            _prose(meanings.get(f.name, "")),
        ]  # fmt: skip
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*rows, ""]


def attribute_docstrings(cls: type) -> dict[str, str]:
    """The string below each field, by field, inherited fields included."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        source = inspect.getsource(base) if base.__module__ != "builtins" else "class object: ..."
        for pair in itertools.pairwise(typing.cast(ast.ClassDef, ast.parse(source).body[0]).body):
            match pair:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(ast.Constant(str(text))):
                    found[name] = inspect.cleandoc(text)
    return found


def _bare(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def type_in_words(hint: Any) -> str:
    """What a user writes for a setting of this type."""
    hint = _bare(hint)
    origin, args = typing.get_origin(hint), [_bare(a) for a in typing.get_args(hint)]
    if origin is Literal:
        return "one of " + ", ".join(f"`{a}`" for a in args)
    if origin in (types.UnionType, typing.Union):
        return " or ".join("null" if a is type(None) else type_in_words(a) for a in args)
    if origin is tuple and args[-1] is Ellipsis:
        return f"list of {_plural(type_in_words(args[0]))}"
    if origin is tuple and len(set(args)) == 1:
        return f"list of {len(args)} {_plural(type_in_words(args[0]))}"
    if origin is tuple:
        return f"list [{', '.join(type_in_words(a) for a in args)}]"
    if dataclasses.is_dataclass(hint):
        return getattr(hint, "in_words", "group")
    return WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _plural(words: str) -> str:
    first, *rest = words.split(" ", 1)
    return " ".join([f"{first}s", *rest]) if first in ("list", "number", "text") else f"{words}s"


def bounds(hint: Any) -> str:
    """The bounds of ``Annotated`` types; 'each ...' for the members of a list."""
    if typing.get_origin(hint) is typing.Annotated:
        inner, *metadata = typing.get_args(hint)
        texts = [m.text for m in metadata if isinstance(getattr(m, "text", None), str)]
        return "; ".join(filter(None, [*texts, bounds(inner)]))
    if typing.get_origin(hint) is tuple:
        inside = {bounds(a) for a in typing.get_args(hint) if a is not Ellipsis}
        return "; ".join(f"each {text}" for text in sorted(inside) if text)
    return "; ".join(filter(None, map(bounds, typing.get_args(hint))))


def _value(value: Any) -> str:
    if hasattr(value, "to_setting"):
        return str(value.to_setting())
    if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        return f"{len(value)} groups"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    return {"": '""', "None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def _prose(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def commands_page() -> str:
    """Every verb with its arguments."""
    lines = [HEADER.format(COMMAND, "Commands"), COMMANDS]
    lines += [f"| [`hepjax {v}`](#hepjax-{v}) | {text} |" for v, text in cli.VERBS.items()]
    for verb, summary in cli.VERBS.items():
        parser = argparse.ArgumentParser(prog=f"hepjax {verb}")
        parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
        importlib.import_module(f"hepjax.cli.{verb}").add_arguments(parser)
        lines += ["", f"## hepjax {verb}\n", f"{summary[0].upper()}{summary[1:]}."]
        lines += _arguments(parser)
    return "\n".join(lines).rstrip() + "\n"


def _arguments(parser: argparse.ArgumentParser) -> list[str]:
    rows, below = list[str](), list[str]()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            for name, inner in action.choices.items():
                below += ["", f"### {inner.prog}\n", f"{helps.get(name) or ''}".strip()]
                below += _arguments(inner)
        elif not isinstance(action, argparse._HelpAction) and action.help != argparse.SUPPRESS:
            choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else None
            names = ", ".join(action.option_strings)
            value = (
                "" if action.nargs == 0 else str(choices or action.metavar or action.dest.upper())
            )
            text = (action.help or "") % {**vars(action), "prog": parser.prog}
            note = [text]
            if names and (action.required or (action.default and "default" not in text)):
                note.append("required" if action.required else f"default: {action.default}")
            cells = [f"`{(names + ' ' + value).strip()}`", "; ".join(filter(None, note))]
            rows.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return ["", "| argument | meaning |", "|---|---|", *rows, *below]


PAGES = {"settings.md": settings_page, "commands.md": commands_page}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (HERE / name).write_text(make())
