"""Embedded default sets whose events depend on their number and seed alone: for benchmarks.

They come from what is built in (parametrised showers, toy jets, toy collisions), never from
optional packages, so that they are the same everywhere; timing is what they are for, not physics.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hepjax.formats.atomic import make_folder
from hepjax.formats.packed.writer import write_packed
from hepjax.formats.particleflow.writer import dataset_name, write_events
from hepjax.formats.showers.calorimeters import calorimeter
from hepjax.formats.showers.writer import write_showers
from hepjax.formats.tracking.pack import write_packed as write_packed_hits
from hepjax.formats.tracking.trackml import write_event
from hepjax.ops.boxes import Setting
from hepjax.simulate.boxes.boxes import write_boxes, write_universes
from hepjax.simulate.collisions.events import provenance, simulate_events
from hepjax.simulate.hits.events import simulate_event
from hepjax.simulate.jets.images import jet_grid
from hepjax.simulate.jets.jets import TASKS
from hepjax.simulate.jets.toy import simulate_toy_jets
from hepjax.simulate.showers.showers import simulate_showers
from hepjax.simulate.waveforms.events import write_fixed_waveforms

SHOWERS_AT_A_TIME = 500
ENERGY_RANGE = 10.0, 500.0
"""Incident energies of the showers, flat, GeV."""
PILEUP = 200.0
"""Mean number of further collisions in an event, as published: about 5,000 elements."""

Advance = Callable[[int], object]
"""Told of events that are done."""


def write_fixed_showers(out: Path, events: int, seed: int, advance: Advance) -> None:
    """Electrons at normal incidence in the CLIC calorimeter, as HDF5 files."""
    energy = np.random.default_rng(seed).uniform(*ENERGY_RANGE, events).astype(np.float32)
    theta, key = np.full_like(energy, np.pi / 2), jax.random.key(seed)
    clic = calorimeter("clic-25")

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, events, SHOWERS_AT_A_TIME):
            rows = slice(start, start + SHOWERS_AT_A_TIME)
            ecal = simulate_showers(clic, energy[rows], theta[rows], "electron", key, first=start)
            yield {"ecal": ecal, "energy": energy[rows]}
            advance(len(ecal))

    write_showers(out, batches(), layout="fixed", events_per_file=1000)


def write_fixed_jets(out: Path, events: int, seed: int, advance: Advance) -> None:
    """Toy jets of top quarks and of light partons, as a packed set."""

    def batches() -> Iterator[Any]:
        for images, columns in simulate_toy_jets("top", events, seed):
            yield images, columns
            advance(len(images))

    write_packed(out, batches(), jet_grid(1), TASKS["top"].labels)


def write_fixed_events(out: Path, events: int, seed: int, advance: Advance) -> None:
    """Toy pairs of top quarks with pile-up, as a TFDS data set."""

    def ntuples() -> Iterator[dict[str, np.ndarray]]:
        for event in simulate_events("ttbar", events, PILEUP, seed, toy=True):
            yield {"X": event.X, "ygen": event.ygen, "ycand": event.ycand}
            advance(1)

    about = provenance("ttbar", PILEUP, seed, toy=True)
    dataset = (dataset_name("ttbar", toy=True), "train")
    write_events(out, ntuples(), stem=None, dataset=dataset, provenance=about)


HIT_PARTICLES = 500
"""Charged particles in an event of hits of a benchmark."""


def write_hits(
    out: Path, events: int, seed: int, advance: Advance, particles: int = HIT_PARTICLES,
    *, packed: bool = False,
) -> int:  # fmt: skip
    """Charged particles in the TrackML detector, as its csv files or as a packed set.

    Returns:
      the number of hits.
    """
    made = (simulate_event(particles, seed, number) for number in range(events))
    if packed:
        return int(write_packed_hits(out, made, advance)["hits"])
    hits = 0
    make_folder(out)
    for number, event in enumerate(made, start=1):
        write_event(out, number, event)
        hits += len(event)
        advance(1)
    return hits


BOX = Setting(64, 50.0)
"""Boxes of a benchmark: 64^3 cells, the crops of the published U-Net."""
UNIVERSE = Setting(64, 512.0, 0.0)
"""Counts of a benchmark, half the edge of the published samples."""


def write_fixed_boxes(out: Path, events: int, seed: int, advance: Advance) -> None:
    """Dark matter and gas, as crops files."""
    write_boxes(out, events, seed, advance, BOX)


def write_fixed_universes(out: Path, events: int, seed: int, advance: Advance) -> None:
    """Counts of particles with the parameters of their universe, as CosmoFlow has them."""
    write_universes(out, events, seed, advance, UNIVERSE)


FIXED: dict[str, Callable[[Path, int, int, Advance], object]] = {
    "showers": write_fixed_showers,
    "jets": write_fixed_jets,
    "events": write_fixed_events,
    "hits": write_hits,
    "waveforms": write_fixed_waveforms,
    "boxes": write_fixed_boxes,
    "universes": write_fixed_universes,
}
"""By kind of event: writes a number of events with a seed into a new folder."""
