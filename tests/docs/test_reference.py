"""The pages of docs/reference that are made from the code are what the code says now."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
spec = importlib.util.spec_from_file_location("reference", REFERENCE / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


@pytest.mark.parametrize("name", make.PAGES)
def test_the_page_is_what_the_command_makes(name):
    made = make.PAGES[name]()
    assert (REFERENCE / name).read_text() == made, (
        f"docs/reference/{name} is not what the code says; run: {make.COMMAND}"
    )


@dataclass(frozen=True)
class AtLeast:
    text: str


@dataclass(frozen=True)
class Base:
    size: Annotated[int, AtLeast("at least 1")] = 3
    """How many,
    in all."""


@dataclass(frozen=True)
class Group(Base):
    kinds: tuple[Annotated[float, AtLeast("above 0")], ...] = ()
    mode: Literal["a", "b"] = "a"
    """Which ``one``."""
    crop: tuple[int, int] | None = None


def test_a_row_has_type_default_bounds_and_meaning_of_inherited_fields_too():
    rows = make._group("group", Group, Group())
    assert "| `group.size` | whole number | `3` | at least 1 | How many, in all. |" in rows
    assert "| `group.kinds` | list of numbers | `[]` | each above 0 |  |" in rows
    assert "| `group.mode` | one of `a`, `b` | `a` |  | Which `one`. |" in rows
    assert "| `group.crop` | list of 2 whole numbers or null | `null` |  |  |" in rows
