"""YAML that says what it means: each key once, numbers as they are written.

YAML lets a second key replace the first in silence, takes 010 for 8 and 1:30 for 90. Both are
errors here, with their lines. In an override, ``[*.h5]`` is a text and no reference.
"""

import re
import reprlib
from typing import Any

import yaml

from hepjax import InputError

MISREAD = re.compile(r"[-+]?(0_*[0-9]|[0-9][0-9_]*:)")
"""Numbers with leading zeros (octal in YAML 1.1) or colons (to the base of 60)."""
MERGE = "tag:yaml.org,2002:merge"


class _RefusedError(Exception):
    """What is wrong, in words, without the file."""


class _Strict(yaml.SafeLoader):
    """``yaml.SafeLoader`` that refuses what it would misread."""

    def __init__(self, stream: str | bytes) -> None:
        super().__init__(stream)
        self._flat: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Each key once as it was written, then with those of merged mappings (``<<``).

        A key of its own comes before a merged one, and one of an earlier mapping before that of a
        later one, as YAML has it. PyYAML 6.0.4 mixes them up.
        """
        if id(node) in self._flat:
            return
        self._require_once(node)
        own, merged = [], []
        for key, value in node.value:
            if key.tag != MERGE:
                own.append((key, value))
                continue
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(source, yaml.MappingNode):
                    line = source.start_mark.line + 1
                    raise _RefusedError(f"line {line}: <<: expected a mapping, found a {source.id}")
                self.flatten_mapping(source)
                merged.extend(source.value)
        there = {key.value for key, _ in own if isinstance(key, yaml.ScalarNode)}
        kept = []
        for key, value in merged:
            if not isinstance(key, yaml.ScalarNode) or key.value not in there:
                kept.append((key, value))
                there |= {key.value} if isinstance(key, yaml.ScalarNode) else set()
        node.value = kept + own
        self._flat.add(id(node))

    def _require_once(self, node: yaml.MappingNode) -> None:
        seen: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in seen:
                where = f"lines {seen[name]} and {line}" if line != seen[name] else f"line {line}"
                raise _RefusedError(f"{key.value}: expected once, found twice ({where})")
            seen[name] = line

    def construct_number(self, node: yaml.ScalarNode) -> Any:
        """An int or float whose digits are all decimal and meant."""
        if MISREAD.match(node.value):
            raise _RefusedError(
                f"line {node.start_mark.line + 1}: expected a number without leading zeros or "
                f"colons, found {node.value}; quote it if it is a text"
            )
        whole = node.tag == "tag:yaml.org,2002:int"
        return self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)


_Strict.add_constructor("tag:yaml.org,2002:int", _Strict.construct_number)
_Strict.add_constructor("tag:yaml.org,2002:float", _Strict.construct_number)


class _Override(_Strict):
    """The same for a value of the command line, which has nothing to refer to."""

    fetch_alias = _Strict.fetch_plain


def read(text: str | bytes, where: str) -> Any:
    """The content of a YAML file.

    Args:
      where: the file, for errors.
    Raises:
      InputError: no YAML; a key twice in a group; a number with leading zeros.
    """
    return _load(text, where, _Strict)


def read_value(text: str, key: str) -> Any:
    """The value of ``key=text``; see ``read``."""
    return _load(text, key, _Override)


def _load(text: str | bytes, where: str, loader: type[_Strict]) -> Any:
    try:
        return yaml.load(text, loader)
    except _RefusedError as error:
        told = re.sub(r"^line 1: | \(line 1\)", "", str(error)) if loader is _Override else error
        raise InputError(f"{where}: {told}") from None
    # ValueError: dates and bytes that are none; RecursionError: brackets in brackets in brackets.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if loader is _Override:
            raise InputError(
                f"{where}: expected a YAML value, found {reprlib.repr(text)}"
            ) from None
        said = " ".join(str(error).split())
        raise InputError(f"{where}: expected YAML, found: {said}") from None
