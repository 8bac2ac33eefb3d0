"""The parser of the command line: a mistake is one line, like every other error of hepjax."""

import argparse
import re
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
LONGEST = 500
"""Characters of a message, whatever the user has typed."""


class OneLineParser(argparse.ArgumentParser):
    """``ArgumentParser`` whose errors have no usage before them."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong with the command and where its options are listed; exit code 2."""
        said = message.replace(", key.path=value", "")  # of which there may be none
        for pattern, words in WORDS:
            said = re.sub(f"^{pattern}$", words, said, flags=re.DOTALL)
        said = " ".join(said.split())
        if len(said) > LONGEST:
            said = f"{said[:LONGEST]}..."
        self.exit(2, f"hepjax: error: {said}; see {self.prog} --help\n")
