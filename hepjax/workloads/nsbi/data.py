"""Samples of all processes side by side, with weights normalised to densities."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hepjax import InputError
from hepjax.engine.workload import Sources
from hepjax.formats.source import Batch
from hepjax.formats.unfolding.npz import list_files, names_in, read_arrays
from hepjax.formats.unfolding.samples import Pairs, Sample, held_out
from hepjax.physics.unfolding.observables import finite, needed, values
from hepjax.workloads.nsbi.config import NsbiConfig


class Read(NamedTuple):
    """Events of a sample: ``x`` (n, observables), ``theta`` (n, parameters), ``weight`` (n,)."""

    x: np.ndarray
    theta: np.ndarray
    weight: np.ndarray

    def of(self, rows: np.ndarray) -> "Read":
        """Some of them."""
        return Read(*(a[rows] for a in self))


def read(
    cfg: NsbiConfig, paths: Sequence[str | Path], *, signed: bool = False,
    parameters: tuple[str, ...] = (),
) -> Read:  # fmt: skip
    """The events of these files that are reconstructed, with the arrays of these parameters.

    Raises:
      InputError: see ``npz.read_arrays`` and ``observables.values``; or none is reconstructed.
    """
    files, data = list_files(list(paths)), cfg.data
    there = names_in(files[0])
    wanted = (*needed(data.observables, there, "sim"), *(f"par_{name}" for name in parameters))
    arrays = read_arrays(files, wanted, signed=signed)
    passed, where = arrays["sim_pass"], str(files[0].parent if len(files) > 1 else files[0])
    if not passed.any():
        raise InputError(f"{where}: expected events that pass (sim_pass), found none")
    x = values(data.observables, arrays, "sim", passed, where)
    theta = np.zeros((len(x), len(data.parameters)), np.float32)
    for name in parameters:
        own = finite(arrays[f"par_{name}"], passed, f"par_{name}", where)
        theta[:, data.parameters.index(name)] = own
    return Read(x, theta, arrays["weights"]).of(np.flatnonzero(passed))


def read_all(cfg: NsbiConfig) -> dict[str, Read]:
    """The events of all samples by name, the reference first.

    Raises:
      InputError: see ``read``; a class without events of its sign.
    """
    data = cfg.data
    found = {"reference": read(cfg, data.reference)}
    for name, path in zip(data.processes, data.files, strict=True):
        own = data.parameters if name in data.parametrised else ()
        found[name] = read(cfg, [path], signed=name in data.signed, parameters=own)
    for name, up, down in zip(data.systematics, data.up, data.down, strict=True):
        found |= {f"{name}_up": read(cfg, [up]), f"{name}_down": read(cfg, [down])}
    for part in {p for task in cfg.tasks for p in (task.one, task.zero)}:
        if not (part.sign * found[part.sample].weight > 0).any():
            sign = "positive" if part.sign > 0 else "negative"
            raise InputError(
                f"data: expected events of {sign} weight for {part.sample}, found none; "
                "data.signed is for processes with weights of both signs"
            )
    return found


def sources(cfg: NsbiConfig) -> Sources:
    """Events to learn from, and those held out.

    Raises:
      InputError: see ``read_all``; or too few events.
    """
    found = read_all(cfg)
    held = {
        name: held_out(name, len(r.weight), cfg.data.held_out, cfg.train.seed)
        for name, r in found.items()
    }
    learnt = {name: r.of(np.flatnonzero(~held[name])) for name, r in found.items()}
    judged = {name: r.of(np.flatnonzero(held[name])) for name, r in found.items()}
    return Sources(side_by_side(cfg, learnt), side_by_side(cfg, judged))


def side_by_side(cfg: NsbiConfig, found: dict[str, Read]) -> Pairs:
    """Samples as one source. Their weights of each sign have a mean of 1 over an epoch."""
    length = max(len(r.weight) for r in found.values())
    samples = []
    for name, r in found.items():
        weight = np.zeros(len(r.weight))
        for sign in (1, -1):
            of_sign = sign * r.weight > 0
            if of_sign.any():
                weight[of_sign] = np.abs(r.weight[of_sign]).astype(float)
                weight[of_sign] *= length / weight[of_sign].sum()
        samples.append(Sample(name, {
            "x": r.x, "theta": r.theta, "weight": weight.astype(np.float32),
            "sign": np.sign(r.weight).astype(np.float32),
        }))  # fmt: skip
    return Pairs(samples)


class Events:
    """Events to be judged; a ``Source`` with ``x`` and ``theta``."""

    def __init__(self, found: Read) -> None:
        self.found = found
        self.blocks = np.array([0, len(found.weight)])

    def __len__(self) -> int:
        return len(self.found.weight)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        return {"x": self.found.x[indices], "theta": self.found.theta[indices]}


def open_events(cfg: NsbiConfig, paths: Sequence[str | Path]) -> Events:
    """Events of these files, to be given ratios, at their own parameters or ``inference.at``.

    Raises:
      InputError: see ``read``.
    """
    there = names_in(list_files(list(paths))[0])
    own = tuple(name for name in cfg.data.parameters if f"par_{name}" in there)
    found = read(cfg, paths, signed=True, parameters=own)
    for k, name in enumerate(cfg.data.parameters):
        if name not in own:
            found.theta[:, k] = cfg.inference.at[k]
    return Events(found)
