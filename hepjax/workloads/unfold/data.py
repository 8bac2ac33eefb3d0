"""Measured and simulated events side by side, their weights, and which of them are held out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hepjax import InputError
from hepjax.engine.workload import Field, Sources, Spec
from hepjax.formats.source import Source
from hepjax.formats.unfolding.npz import list_files, names_in, read_arrays
from hepjax.formats.unfolding.samples import Chosen, Pairs, Sample, held_out
from hepjax.physics.unfolding.observables import finite, needed, values
from hepjax.workloads.unfold.config import UnfoldConfig


def read_sample(
    cfg: UnfoldConfig, name: str, paths: Sequence[str | Path], levels: tuple[str, ...]
) -> Sample:
    """The events of these files, with ``reco`` and, of simulations, ``gen``, as networks see them.

    ``pass_reco`` and ``pass_gen`` say which of them there are.

    Raises:
      InputError: see ``npz.read_arrays`` and ``observables.finite``.
    """
    files, data = list_files(list(paths)), cfg.data
    there = names_in(files[0])
    wanted: tuple[str, ...] = tuple(f"{level}_particles" for level in levels)
    if not data.particles:
        wanted = tuple(n for level in levels for n in needed(data.observables, there, level))
    read = read_arrays(files, wanted, data.particles)
    where = str(files[0].parent if len(files) > 1 else files[0])
    arrays = {"weight": read["weights"]}
    for level in levels:
        short, passed = {"gen": "gen", "sim": "reco"}[level], read[f"{level}_pass"]
        if data.particles:
            found = finite(read[f"{level}_particles"], passed, f"{level}_particles", where)
        else:
            found = values(data.observables, read, level, passed, where)
        arrays |= {short: found, f"pass_{short}": passed}
    return Sample(name, arrays)


def sources(cfg: UnfoldConfig) -> Sources:
    """All events, which train and are unfolded; held out ones of the simulation watch over it.

    Raises:
      InputError: files that cannot be used, or no events of one kind that could be compared.
    """
    pairs = Pairs(*samples(cfg))
    held = np.flatnonzero(pairs.samples["simulation"].arrays["held"])
    return Sources(pairs, Chosen(pairs, held), pairs)


def samples(cfg: UnfoldConfig) -> tuple[list[Sample], float, float]:
    """Measured, simulated and background events with weights of one scale; arguments of ``Pairs``.

    Measured events have a mean weight of 1 over the events of an epoch; simulated ones are scaled
    so that those that are reconstructed have the sum of the measured ones without background.
    """
    measured = _reconstructed(read_sample(cfg, "measured", cfg.data.measured, ("sim",)))
    simulation = read_sample(cfg, "simulation", cfg.data.simulation, ("gen", "sim"))
    found = [measured, simulation]
    wanted = float(measured.arrays["weight"].sum())
    if cfg.data.background:
        background = _reconstructed(read_sample(cfg, "background", cfg.data.background, ("sim",)))
        found.append(background)
        wanted -= float(background.arrays["weight"].sum())
    passed = simulation.arrays["pass_reco"]
    both = passed & simulation.arrays["pass_gen"]
    there = float(simulation.arrays["weight"][passed].sum())
    sums = {
        "data.measured": float(measured.arrays["weight"].sum()),
        "data.background": wanted,
        "data.simulation": float(simulation.arrays["weight"][both].sum()),
    }
    expected = {
        "data.background": "a sum of weights below that of the measured events",
        "data.simulation": "events that pass at both levels (gen_pass, sim_pass), with weight",
    }
    for key, value in sums.items():
        if not value > 0:
            words = expected.get(key, "events with weight")
            raise InputError(f"{key}: expected {words}, found a sum of {value:g}")
    length = max(map(len, found))
    scale = length / sums["data.measured"]
    factors = {"simulation": scale * wanted / there}
    ready = [_ready(s, factors.get(s.name, scale), cfg) for s in found]
    return ready, wanted / there, 1.0 / scale


def _reconstructed(sample: Sample) -> Sample:
    """The events that are reconstructed; the others were never seen."""
    passed = sample.arrays["pass_reco"]
    kept = {k: v[passed] for k, v in sample.arrays.items() if k != "pass_reco"}
    if not passed.any():
        raise InputError(
            f"data.{sample.name}: expected events that are reconstructed (sim_pass), found none of "
            f"{len(passed)}"
        )
    return Sample(sample.name, kept)


def _ready(sample: Sample, scale: float, cfg: UnfoldConfig) -> Sample:
    """With weights of the common scale, and the flag of events that are held out."""
    held = held_out(sample.name, len(sample), cfg.unfold.held_out, cfg.train.seed)
    weight = (sample.arrays["weight"] * scale).astype(np.float32)
    return Sample(sample.name, sample.arrays | {"weight": weight, "held": held})


def open_events(cfg: UnfoldConfig, paths: Sequence[str | Path]) -> Pairs:
    """Simulated events of these files, to be given weights.

    Raises:
      InputError: see ``read_sample``.
    """
    sample = read_sample(cfg, "simulation", paths, ("gen", "sim"))
    held = np.zeros(len(sample), bool)
    return Pairs([Sample(sample.name, sample.arrays | {"held": held})])


def spec(cfg: UnfoldConfig, source: Source) -> Spec:
    """Fields of a source, and how many events it has."""
    event = source[np.arange(1)]
    fields = tuple(Field(k, v.shape[1:], str(v.dtype)) for k, v in event.items())
    return Spec(fields, (("events", len(source)),))
