"""Every error line that a user can meet, from the source, to be read by a person.

python -m benchmarks.faults.messages [--markdown] [--options]

A line of the list is ``file:line  text``, with ``{...}`` where a value goes. ``--options`` lists
only the texts that name an option (``--name``), with the verbs that have it: a hint must not name
one that the verb in use does not have.
"""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "hepjax"
ERRORS = ("InputError", "TrainingError", "MissingExtraError", "HepjaxError")
HELPERS = {"require": 1, "require_seed": 0, "unwritable": 0, "damaged": 0, "_unlike": 0}
"""Functions that make an error, and their first argument that is part of its text."""
Group = argparse._SubParsersAction
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def messages() -> Iterator[tuple[str, int, str]]:
    """File below the package, line, and text of each error."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in ERRORS and node.args:
                text = _text(node.args[0])
            elif name in HELPERS:
                text = " | ".join(_text(arg) for arg in node.args[HELPERS[name] :])
            else:
                continue
            yield path.relative_to(PACKAGE.parent).as_posix(), node.lineno, text


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
    from hepjax.cli import VERBS, _parser

    found: dict[str, set[str]] = {}

    def look(verb: str, parser: argparse.ArgumentParser) -> None:
        for action in parser._actions:
            for option in action.option_strings:
                found.setdefault(option, set()).add(verb)
            if isinstance(action, Group):
                for inner in action.choices.values():
                    look(verb, inner)

    for verb in VERBS:
        (verbs,) = (a for a in _parser([verb])._actions if isinstance(a, Group))
        look(verb, verbs.choices[verb])
    return found


def main() -> None:
    """Print the list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", action="store_true", help="as a table")
    parser.add_argument("--options", action="store_true", help="only texts that name an option")
    args = parser.parse_args()
    known = options() if args.options else {}
    for path, line, text in messages():
        if args.options:
            named = sorted(set(OPTION.findall(text)))
            if not named:
                continue
            verbs = {option: sorted(known.get(option, {"none"})) for option in named}
            text += "  <- " + "; ".join(f"{o}: {', '.join(v)}" for o, v in verbs.items())
        print(f"| {path}:{line} | {text} |" if args.markdown else f"{path}:{line}  {text}")


if __name__ == "__main__":
    main()
