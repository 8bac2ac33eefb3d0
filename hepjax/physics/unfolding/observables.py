"""What of an event is unfolded: observables of jets from the arrays of the Z+jets layout.

Definitions: Andreassen et al., arXiv:1911.09107. ln rho = ln(m_SD^2 / pt^2) of the jet after soft
drop, where it is not more than ``LEAST_LNRHO``, and tau21 = tau2 / width, 0 for one particle.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hepjax import InputError
from hepjax.formats.unfolding.npz import Arrays

LEAST_LNRHO = -14.0
"""Of jets that soft drop leaves with one particle, whose mass is 0."""


class Observable(NamedTuple):
    """How to compute it of arrays without their level, and how to write it."""

    needs: tuple[str, ...]
    of: Callable[..., np.ndarray]
    label: str


def _lnrho(mass: np.ndarray, jets: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.maximum(2.0 * np.log(mass / jets[:, 0]), LEAST_LNRHO)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


OF_JETS = {
    "m": Observable(("jets",), lambda jets: jets[:, 3], "jet mass m [GeV]"),
    "M": Observable(("mults",), lambda mults: mults, "particles in the jet M"),
    "w": Observable(("widths",), lambda widths: widths, "jet width w"),
    "lnrho": Observable(("sdms", "jets"), _lnrho, "groomed mass ln rho"),
    "tau21": Observable(("tau2s", "widths"), _ratio, "N-subjettiness ratio tau21"),
    "zg": Observable(("zgs",), lambda zgs: zgs, "groomed momentum fraction zg"),
    "pt": Observable(("jets",), lambda jets: jets[:, 0], "jet pt [GeV]"),
}
"""Observables by name; any other name is that of an array."""


def observable(name: str, there: list[str], level: str) -> Observable:
    """The observable ``name``: an array of this name if there is one, or one of jets.

    Args:
      there: names of the arrays of a file. level: ``gen`` or ``sim``.
    """
    if f"{level}_{name}" not in there and name in OF_JETS:
        return OF_JETS[name]
    return Observable((name,), lambda values: values, name)


def needed(names: tuple[str, ...], there: list[str], level: str) -> tuple[str, ...]:
    """Arrays, with their level, that the observables ``names`` are computed from."""
    found = [n for name in names for n in observable(name, there, level).needs]
    return tuple(dict.fromkeys(f"{level}_{n}" for n in found))


def values(
    names: tuple[str, ...], arrays: Arrays, level: str, passed: np.ndarray, where: str
) -> np.ndarray:
    """Observables (n, len(names)) float32, 0 where an event does not pass.

    Args:
      passed: (n,) flags of the level. where: the files, for the error.
    Raises:
      InputError: values of events that pass are not finite.
    """
    columns = []
    for name in names:
        kind = observable(name, list(arrays), level)
        with np.errstate(invalid="ignore", over="ignore"):
            found = kind.of(*(arrays[f"{level}_{n}"] for n in kind.needs))
        columns.append(finite(found.astype(np.float32), passed, f"{level} {name}", where))
    return np.stack(columns, axis=1)


def finite(found: np.ndarray, passed: np.ndarray, what: str, where: str) -> np.ndarray:
    """``found`` (n, ...), 0 where an event does not pass.

    Raises:
      InputError: a number of an event that passes is not finite.
    """
    flat = found.reshape(len(found), -1)
    bad = np.flatnonzero(passed & ~np.isfinite(flat).all(axis=1))
    if len(bad):
        raise InputError(
            f"{where}: expected finite numbers in {what} of events that pass, found "
            f"{flat[bad[0]][~np.isfinite(flat[bad[0]])][0]:g} in row {bad[0]} "
            f"({len(bad)} of {len(found)}); set gen_pass or sim_pass to 0 there"
        )
    return np.where(passed.reshape(-1, *(1,) * (found.ndim - 1)), found, np.float32(0))


def label(name: str) -> str:
    """How to write an observable on an axis."""
    return OF_JETS[name].label if name in OF_JETS else name
