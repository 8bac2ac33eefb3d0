"""Every command that the pages show can be typed: its verb, options, choices and settings exist."""

import re
import shlex
from pathlib import Path

import pytest

from hepjax import run
from hepjax.cli import _parser

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("launch/**/*.md")),
]  # fmt: skip
FENCE = re.compile(r"^```\w*\n(.*?)^```|((?:^    .*\n)+)", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^ *(?:\$ )?(?:\w+=\S+ )*hepjax ((?:.*\\\n)*.*)", re.MULTILINE)
OF_FILES = re.compile(r"[$*]|\.yaml")
"""Values that are looked up while settings are checked."""


def shown(page: Path) -> list[list[str]]:
    """The words of each complete command in the blocks of a page."""
    found = []
    for fenced, indented in FENCE.findall(page.read_text()):
        for text in COMMAND.findall(fenced or indented):
            if "..." in text or text.startswith((":", "error")):
                continue  # part of a command, or what one says
            words = shlex.split(text.replace("\\\n", " "), comments=True)
            ends = [k for k, word in enumerate(words) if word in ("|", ">", "&", "&&", ";")]
            if "pulses" not in words:  # of a package from outside
                found.append(words[: min(ends, default=len(words))])
    return found


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_commands_can_be_typed(page):
    for words in shown(page):
        args, rest = _parser(words).parse_known_args(words)
        assert not [w for w in rest if w.startswith("-")], f"{page.name}: hepjax {words}"
        config, overrides = getattr(args, "config", None), getattr(args, "overrides", None)
        if overrides is not None and (ROOT / "configs" / f"{config}.yaml").is_file():
            every = [*overrides, *(word for word in rest if "=" in word)]
            run.configured(config, [text for text in every if not OF_FILES.search(text)])


def test_commands_are_found():
    assert sum(len(shown(page)) for page in PAGES) > 150
    text = "```console\n$ A=1 hepjax train a \\\n    b=1 --run c   # words\nhepjax: error: x\n```\n"
    page = type("Page", (), {"read_text": lambda self: text})()
    assert shown(page) == [["train", "a", "b=1", "--run", "c"]]
