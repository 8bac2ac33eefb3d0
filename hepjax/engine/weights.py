"""Trained models that come with the package: a configuration and half-precision weights.

``pretrained/NAME`` stands for a folder of the package with ``config.yaml``, ``weights.npz`` (one
float16 or float32 array for each array of the model that an answer needs, by its path) and
``card.md``.
"""

import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError

FOLDER = "pretrained"
FILE = "weights.npz"


def names() -> list[str]:
    """Models that come with the package."""
    return sorted(path.parent.name for path in _folder().glob(f"*/{FILE}"))


def packaged(run: Path) -> Path | None:
    """The folder of a pretrained model for ``pretrained/NAME``; None for any other path.

    A folder of the user that has this name comes first.

    Raises:
      InputError: no model of this name.
    """
    if run.exists() or len(run.parts) != 2 or run.parts[0] != FOLDER:
        return None
    if run.parts[1] not in names():
        raise InputError(
            f"{run}: expected {FOLDER}/ and one of {', '.join(names()) or '(none)'}, found neither "
            "a model nor a run of this name"
        )
    return _folder() / run.parts[1]


def _folder() -> Path:
    return Path(__file__).resolve().parents[1] / FOLDER


def save(path: Path, tree: Any) -> None:
    """Write the arrays of a tree as they are, by their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    np.savez_compressed(path, **{_name(way): np.asarray(leaf) for way, leaf in leaves})  # type: ignore[arg-type]


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by their paths.

    Raises:
      InputError: unreadable.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: expected the weights of a pretrained model, found damage ({error}); install "
            "the package again"
        ) from None


def load(path: Path, abstract: Any) -> Any:
    """The state with the arrays of a file; those that it does not have are 0.

    Args:
      abstract: the state of ``jax.eval_shape``, with shardings.
    Raises:
      InputError: unreadable, or arrays of another shape.
    """
    stored = arrays(path)

    def filled(way: Any, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        name = _name(way)
        if name not in stored:
            return jax.device_put(jnp.zeros(leaf.shape, leaf.dtype), leaf.sharding)
        values = stored.pop(name)
        if values.shape != leaf.shape:
            raise InputError(
                f"{path}: {name}: expected shape {leaf.shape}, found {values.shape}; install "
                "the package again"
            )
        return jax.device_put(values.astype(leaf.dtype), leaf.sharding)

    state = jax.tree_util.tree_map_with_path(filled, abstract)
    if stored:
        raise InputError(
            f"{path}: expected arrays of the model alone, found {next(iter(stored))} too; install "
            "the package again"
        )
    return state


def _name(way: Any) -> str:
    return jax.tree_util.keystr(way, simple=True, separator="/")
