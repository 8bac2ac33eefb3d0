"""Parts of a state by name: which arrays a pattern means, and which two runs have in common.

The name of an array is its path, ``generator/params/Dense_0/kernel``. A pattern is such a name with
``*``, or the beginning of one up to a ``/``.
"""

from fnmatch import fnmatchcase
from typing import Any

import jax

from hepjax.engine.bounds import require

AVERAGE = ("optimizer", "average")
"""Where a moving average of ``params`` lies beside them."""


def name_of(path: tuple[Any, ...]) -> str:
    """The name of an array, from its path of ``jax.tree_util``."""
    keys = (
        next(str(getattr(key, a)) for a in ("name", "key", "idx") if hasattr(key, a))
        for key in path
    )
    return "/".join(keys)


def named(tree: Any) -> dict[str, Any]:
    """The arrays of a tree by name."""
    return {name_of(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def of_parameters(name: str) -> str:
    """The name of the parameters behind a moving average; any other name as it is."""
    return name.replace("/".join(AVERAGE), "params")


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns means this array, or the parameters that it averages."""
    names = {name, of_parameters(name)}
    return any(
        fnmatchcase(one, pattern) or one.startswith(f"{pattern.rstrip('/')}/")
        for one in names
        for pattern in patterns
    )


def kept(patterns: tuple[str, ...], new: Any, old: Any) -> Any:
    """``new`` with the arrays that ``patterns`` mean taken from ``old``."""
    if not patterns:
        return new
    return jax.tree_util.tree_map_with_path(
        lambda path, n, o: o if matches(name_of(path), patterns) else n, new, old
    )


def require_known(patterns: tuple[str, ...], tree: Any, key: str) -> None:
    """Refuse a pattern that means no array.

    Raises:
      InputError: naming it, and the beginnings of names that there are.
    """
    names = [name for name in named(tree) if "optimizer" not in name.split("/")]
    beginnings = sorted({"/".join(name.split("/")[:3]) for name in names})
    for pattern in patterns:
        some = any(matches(name, (pattern,)) for name in names)
        require(some, key, f"parts of the model, of {', '.join(beginnings)}", pattern)
