"""The parser of the command line: a mistake is one line, like every other error of hepjax."""

import argparse
import difflib
import re
from collections.abc import Iterable
from typing import NoReturn

WORDS = (
    (r"argument (.+?): invalid int value: (.*)", r"\1: expected a whole number, found \2"),
    (r"argument (.+?): invalid float value: (.*)", r"\1: expected a number, found \2"),
    (
        r"argument (.+?): invalid choice: (.*) \(choose from (.*)\)",
        r"\1: expected one of \3, found \2",
    ),
    (r"argument (.+?): (expected .*)", r"\1: \2, found none"),
    (r"argument (.+?): not allowed with argument (.*)", r"\1: expected it without \2, found both"),
    (r"argument (.+?): ignored explicit argument (.*)", r"\1: expected no value, found \2"),
    (
        r"ambiguous option: (\S+) could match (.*)",
        r"\1: expected one option, found several that begin so: \2",
    ),
    (r"the following arguments are required: (.*)", r"expected \1, found none"),
    (r"one of the arguments (.*) is required", r"expected one of \1, found none"),
)
"""What ``argparse`` says, and how hepjax says it."""
WHERE = {"--out", "--run"}
"""Where a command writes: a training says it by the second, the others by the first."""
LONGEST = 500
"""Characters of a message, whatever the user has typed."""


class OneLineParser(argparse.ArgumentParser):
    """``ArgumentParser`` whose errors have no usage before them."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong with the command and where its options are listed; exit code 2."""
        said = message.replace(", key.path=value", "")  # of which there may be none
        near = _nearest_choice(message)
        for pattern, words in WORDS:
            said = re.sub(f"^{pattern}$", words, said, flags=re.DOTALL)
        said = " ".join(said.split())
        if len(said) > LONGEST:
            said = f"{said[:LONGEST]}..."
        self.exit(2, f"hepjax: error: {said}{near}; see {self.prog} --help\n")


class Formatter(argparse.HelpFormatter):
    """The usual one, but for examples, which keep their lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example"):
            return text
        return super()._fill_text(text, width, indent)


def _nearest_choice(message: str) -> str:
    """``; did you mean train?`` for a verb or another choice that is nearly one of the known."""
    found = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message, re.DOTALL)
    return _did_you_mean(found[1], re.findall(r"[\w-]+", found[2])) if found else ""


def nearest_option(parser: argparse.ArgumentParser, verb: str | None, text: str) -> str:
    """The same for an option that the verb does not have."""
    verbs = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    own = verbs.choices[verb]._option_string_actions if verb in verbs.choices else ()
    option = text.partition("=")[0]
    if option in WHERE and (other := (WHERE - {option}) & set(own)):
        return f"; did you mean {other.pop()}?"
    words = [name[2:] for name in own if name.startswith("--")]
    return _did_you_mean(option.lstrip("-"), words).replace("mean ", "mean --")


def _did_you_mean(text: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(text[:LONGEST], list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
