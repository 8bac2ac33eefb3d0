"""The setting of a configuration that is a calorimeter."""

from dataclasses import dataclass
from typing import Any, ClassVar

import yaml

from hepjax import InputError
from hepjax.formats.showers import calorimeters
from hepjax.formats.showers.calorimeter import Calorimeter


@dataclass(frozen=True)
class Described:
    """The setting that is a calorimeter: a name, a file, or what such a file holds.

    A run keeps the name of one that comes with hepjax, and the description of any other, so that it
    does not depend on a file.
    """

    calorimeter: Calorimeter
    in_words: ClassVar[str] = "name, file or mapping"

    @classmethod
    def from_setting(cls, value: Any, key: str) -> "Described":
        """Read it.

        Raises:
          InputError: no such calorimeter, or a description that is not one.
        """
        if isinstance(value, str):
            return cls(calorimeters.calorimeter(value))
        if isinstance(value, dict):
            text = yaml.safe_dump(value, sort_keys=False)
            return cls(calorimeters.read_yaml(text, str(value.get("name", key))))
        raise InputError(f"{key}: expected the name or file of a calorimeter, found {value!r}")

    def to_setting(self) -> Any:
        """A name, or a mapping."""
        known = self.calorimeter
        if known.name in calorimeters.names() and calorimeters.calorimeter(known.name) == known:
            return known.name
        return calorimeters.as_yaml(known)
