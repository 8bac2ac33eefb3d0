"""Events for unfolding in npz files: arrays ``gen_*`` (particle level) and ``sim_*`` (detector).

The layout is that of the Z+jets samples of the OmniFold paper (Zenodo 3548091), of which a
generator has 17 files ``Pythia26_Zjet_pTZ-200GeV_0.npz``. At both levels there are ``jets`` (n, 4)
pt [GeV], y, phi, m [GeV]; ``particles`` (n, p, 4) pt / 100 GeV, dy, dphi, identity, zero where
there is none; ``mults``, ``lhas``, ``widths``, ``ang2s``, ``tau2s``, ``sdms`` [GeV], ``zgs`` (n,).
Any other ``gen_x`` and ``sim_x`` (n,) may stand beside them or in their place, and three arrays are
optional: ``weights`` (n,), and the flags ``gen_pass`` and ``sim_pass`` (n,) of events inside the
phase space and reconstructed; without them all are. Values of a level that fails are never used.
Nothing is unpickled.
"""

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.formats.atomic import replacing
from hepjax.formats.damage import reading
from hepjax.formats.files import has_suffix, inside, list_all

MAGIC = b"PK"
LEVELS = ("gen", "sim")
WEIGHTS = "weights"
FLAGS = ("gen_pass", "sim_pass")
AXES = {"jets": (4,), "particles": (None, 4)}
"""Further axes of an array without its level; all others have none."""
Arrays = dict[str, np.ndarray]


def list_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The npz files of ``paths``, sorted, each once; a folder stands for those in it.

    Raises:
      InputError: there are none.
    """

    def of_folder(folder: Path) -> list[Path]:
        found = [p for p in inside(folder) if has_suffix(p, (".npz",))]
        if not found:
            raise InputError(f"{folder}: expected a folder with *.npz files, found none in it")
        return found

    return list_all(paths, of_folder)


def holds_levels(path: Path) -> bool:
    """Whether a file, or the first npz file of a folder, has arrays of the detector level."""
    if path.is_dir():
        files = [p for p in inside(path) if has_suffix(p, (".npz",))]
        return bool(files) and holds_levels(files[0])
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with zipfile.ZipFile(path) as file:
            return any(name.startswith("sim_") for name in file.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def names_in(path: Path) -> list[str]:
    """Names of the arrays of a file.

    Raises:
      InputError: it cannot be read.
    """
    with reading(path, "npz", MAGIC), zipfile.ZipFile(path) as file:
        return [n.removesuffix(".npy") for n in file.namelist() if n.endswith(".npy")]


def read_arrays(
    files: Sequence[Path], wanted: Iterable[str], particles: int = 0, *, signed: bool = False
) -> Arrays:
    """Arrays ``wanted`` of all files one behind the other, the weights and flags always among them.

    Args:
      wanted: names with their level, such as ``sim_jets``.
      particles: of each jet; more are cut, and fewer filled up with zeros.
      signed: allow negative weights.
    Returns:
      float32, flags bool; weights are 1 and flags true where a file has none.
    Raises:
      InputError: an array that is missing, damaged or of another shape, no events, or weights that
        are negative or not finite.
    """
    parts = [_of_file(path, tuple(wanted), particles, signed) for path in files]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _of_file(path: Path, wanted: tuple[str, ...], particles: int, signed: bool) -> Arrays:
    there = names_in(path)
    missing = [name for name in wanted if name not in there]
    if missing:
        raise InputError(
            f"{path}: expected the arrays {', '.join(missing)}, found {', '.join(there) or 'none'}"
        )
    optional = [name for name in (WEIGHTS, *FLAGS) if name in there]
    with reading(path, "npz", MAGIC), np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in (*wanted, *optional)}
    count = len(next(iter(arrays.values()))) if arrays[wanted[0]].ndim else 0
    for name, values in arrays.items():
        _require_shape(path, name, values, count)
    if not count:
        raise InputError(f"{path}: expected events, found arrays without any")
    for name in wanted:
        if name.endswith("particles"):
            arrays[name] = _cut(arrays[name], particles)
        arrays[name] = arrays[name].astype(np.float32, copy=False)
    weights = arrays.get(WEIGHTS, np.ones(count)).astype(np.float32)
    _require_weights(path, weights, signed)
    flags = {name: arrays.get(name, np.ones(count)).astype(bool) for name in FLAGS}
    return {name: arrays[name] for name in wanted} | {WEIGHTS: weights} | flags


def _require_shape(path: Path, name: str, values: np.ndarray, count: int) -> None:
    axes = AXES.get(name.partition("_")[2], ())
    fits = values.ndim == 1 + len(axes) and len(values) == count
    fits = fits and all(a in (None, n) for a, n in zip(axes, values.shape[1:], strict=True))
    if not fits or values.dtype.kind not in "fiub":
        form = ", ".join(["events", *("any" if a is None else str(a) for a in axes)])
        raise InputError(
            f"{path}: expected numbers ({form}) in {name} for {count} events, found "
            f"{values.dtype} {values.shape}"
        )


def _require_weights(path: Path, weights: np.ndarray, signed: bool) -> None:
    if signed and not np.isfinite(weights).all():
        raise InputError(
            f"{path}: expected finite weights, found {np.sum(~np.isfinite(weights))} others"
        )
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad) and not signed:
        raise InputError(
            f"{path}: expected weights that are finite and not negative, found "
            f"{weights[bad[0]]:g} in row {bad[0]} ({len(bad)} of {len(weights)}); events with "
            "negative weights can be merged with neighbours of positive ones (cell resampling)"
        )


def _cut(values: np.ndarray, particles: int) -> np.ndarray:
    """(n, particles, 4), cut or filled up with zeros."""
    cut = values[:, :particles]
    return np.pad(cut, ((0, 0), (0, particles - cut.shape[1]), (0, 0)))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write one npz file, whole or not at all.

    Raises:
      InputError: it cannot be written.
    """
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, **dict(arrays))  # type: ignore[arg-type]
