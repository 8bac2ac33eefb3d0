"""Every error line that a user can meet, from the source, to be read by a person.

python -m benchmarks.faults.messages [--markdown] [--options] [--check]

A line of the list is ``file:line  text``, with ``{...}`` where a value goes. ``--options`` lists
only the texts that name an option (``--name``), with the verbs that have it: a hint must not name
one that the verb in use does not have. ``--check`` lists what a program can see: texts that do not
say what was expected and what was found, and options, settings, verbs, variables and extras that
do not exist; the exit code is 1 if there are any.
"""

import argparse
import ast
import dataclasses
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "hepjax"
REPOSITORY = PACKAGE.parent
ERRORS = ("InputError", "TrainingError", "MissingExtraError", "HepjaxError")
HELPERS = {"require": 1, "require_seed": 0, "unwritable": 0, "damaged": 0, "_unlike": 0}
"""Functions that make an error, and their first argument that is part of its text."""
SAYING = {
    "_cannot", "_cause", "_damaged", "denied", "failure", "none_left", "refusal",
    "unnamed_channels", "unusable",
}  # fmt: skip
"""Functions that return a text, or the part of one that says what was expected and found."""
PUT_IN = re.compile(
    r"\{(?:expected|otherwise|failure|error|refused|verdict|said|told|problem"
    rf"|(?:\w+\.)*(?:{'|'.join(sorted(SAYING))})\(.*\))\}}"
)
"""What is put into a text and is one of these itself, or what another library says."""
WHOLE = re.compile(r"expected\b.*\bfound\b|: ended with an error; see its message$", re.DOTALL)
TEXTS = (ast.Constant, ast.JoinedStr, ast.BinOp)
Group = argparse._SubParsersAction
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
COMMAND = re.compile(rf"((?:hepjax ([a-z]+)[^;,]*?)?)({OPTION.pattern})")
"""An option, and the verb of a whole command before it."""
SETTING = re.compile(
    r"(?<![\w{.])(?:train|data|mesh|input|checkpoint|model|optimizer|loss|objective)\.[a-z_]+\b"
)


def messages() -> Iterator[tuple[str, int, str]]:
    """File below the package, line, and text of each error."""
    return ((path, line, text) for path, line, _, text in _calls())


def _calls() -> Iterator[tuple[str, int, str, str]]:
    """The same, with the name of the error or the function that makes it before the text."""
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(REPOSITORY).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name in SAYING:
                for inner in ast.walk(node):
                    text = inner.value if isinstance(inner, ast.Return) else None
                    if isinstance(text, TEXTS) and not _is_none(text):
                        yield where, text.lineno, node.name, _text(text)
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in ERRORS and node.args:
                yield where, node.lineno, name, _text(node.args[0])
            elif name in HELPERS:
                text = " | ".join(_text(arg) for arg in node.args[HELPERS[name] :])
                yield where, node.lineno, name, text


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _text(node: ast.expr) -> str:
    """A text with the source of what is put into it in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _text(part) if isinstance(part, ast.Constant) else "{" + _source(part) + "}"
            for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return "{" + ast.unparse(node) + "}"


def _source(part: ast.expr) -> str:
    return ast.unparse(part.value) if isinstance(part, ast.FormattedValue) else ast.unparse(part)


def options() -> dict[str, set[str]]:
    """The verbs that have each option."""
    from hepjax.cli import _parser

    found: dict[str, set[str]] = {}

    def look(verb: str, parser: argparse.ArgumentParser) -> None:
        for action in parser._actions:
            for option in action.option_strings:
                found.setdefault(option, set()).add(verb)
            if isinstance(action, Group):
                for inner in action.choices.values():
                    look(verb, inner)

    for verb in _verbs():
        (verbs,) = (a for a in _parser([verb])._actions if isinstance(a, Group))
        look(verb, verbs.choices[verb])
    return found


def _verbs() -> list[str]:
    from hepjax.cli import VERBS

    return list(VERBS)


def wrong() -> Iterator[str]:
    """What a program can see of what is wrong with the texts."""
    known, variables = options(), (REPOSITORY / "docs/reference/environment.md").read_text()
    names, verbs = settings(), set(_verbs())
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"])
    for path, line, name, text in _calls():
        where = f"{path}:{line}: {text}"
        formed = name in SAYING or (name in ERRORS and name != "MissingExtraError")
        if formed and not (WHOLE.search(text) or PUT_IN.search(text)):
            yield f"{where}: not of the form '...: expected ..., found ...'"
        verb = Path(path).stem if path.startswith("hepjax/cli/") else None
        for _, named, option in COMMAND.findall(text):
            own, having = named or (verb if verb in verbs else None), known.get(option, set())
            if not having or (own in verbs and own not in having):
                yield f"{where}: {own or 'no verb'} has no option {option}"
        for setting in SETTING.findall(text):
            if setting not in names:
                yield f"{where}: no setting {setting}"
        for variable in re.findall(r"HEPJAX_[A-Z0-9_]+", text):
            if variable not in variables:
                yield f"{where}: {variable} is not documented"
        for other in re.findall(r"hepjax (?!wrote|writes|choose)([a-z]+)\b", text):
            if other not in verbs:
                yield f"{where}: no verb {other}"
        for extra in re.findall(r"hepjax\[([\w-]+)\]", text):
            if extra not in extras:
                yield f"{where}: no extra {extra}"


def settings() -> set[str]:
    """The settings of all workloads, and their groups with a point behind."""
    from hepjax.workloads import table

    found: set[str] = set()

    def look(group: object, prefix: str) -> None:
        for field in dataclasses.fields(group):  # type: ignore[arg-type]
            found.add(prefix + field.name)
            if dataclasses.is_dataclass(value := getattr(group, field.name)):
                look(value, f"{prefix}{field.name}.")

    for name in table.OWN:
        look(table.get(name).Config(), "")
    return found


def main() -> int:
    """Print the list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", action="store_true", help="as a table")
    parser.add_argument("--options", action="store_true", help="only texts that name an option")
    parser.add_argument("--check", action="store_true", help="only what is wrong")
    args = parser.parse_args()
    if args.check:
        found = list(wrong())
        print("\n".join(found))
        return int(bool(found))
    known = options() if args.options else {}
    for path, line, text in messages():
        if args.options:
            named = sorted(set(OPTION.findall(text)))
            if not named:
                continue
            verbs = {option: sorted(known.get(option, {"none"})) for option in named}
            text += "  <- " + "; ".join(f"{o}: {', '.join(v)}" for o, v in verbs.items())
        print(f"| {path}:{line} | {text} |" if args.markdown else f"{path}:{line}  {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
