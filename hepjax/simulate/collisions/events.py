"""The simulation chain for particle flow: collisions, pile-up, detector, ntuple.

The one module that knows the whole chain. formats/particleflow/writer.py writes the events.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from hepjax import InputError
from hepjax.simulate.collisions import pythia
from hepjax.simulate.collisions.detector import respond
from hepjax.simulate.collisions.ntuple import Ntuple, ntuple
from hepjax.simulate.collisions.particles import Particles
from hepjax.simulate.collisions.pileup import Pool, make_pool, overlay
from hepjax.simulate.collisions.toy import toy_collisions

POOL_EVENTS = 2000
"""Minimum-bias events from which pile-up is drawn with replacement."""


def simulate_events(
    process: str,
    events: int,
    pileup: float,
    seed: int,
    *,
    toy: bool = False,
    pool_events: int = POOL_EVENTS,
) -> Iterator[Ntuple]:
    """Simulated events in order; an event depends on its number and the seed, not on ``events``.

    Args:
      process: ``ttbar`` or ``qcd``, at 14 TeV.
      events: how many.
      pileup: mean number of further collisions in each, 0 or more.
      seed: 0 or more.
      toy: collisions from toy.py in place of Pythia.
      pool_events: size of the pool of minimum-bias events.
    Raises:
      InputError: a value out of range.
      MissingExtraError: Pythia is asked for and not installed.
    """
    if process not in ("ttbar", "qcd"):
        raise InputError(f"process: expected ttbar or qcd, found {process!r}")
    if not 0 <= pileup <= 1000:
        raise InputError(f"pileup: expected 0 to 1000, found {pileup:g}")
    pool = _pool(pool_events, seed, toy) if pileup > 0 else None
    for number, hard in enumerate(islice(_collisions(process, seed, toy), events)):
        rng = np.random.default_rng([seed, number])
        event = hard if pool is None else overlay(hard, pool, pileup, rng)
        yield ntuple(event, respond(event, rng))


def provenance(process: str, pileup: float, seed: int, toy: bool) -> dict[str, Any]:
    """Generator, settings and detector of the events, to be stored with them."""
    if toy:
        generator = f"toy {process} of hepjax (no Pythia, no physics)"
    else:
        generator = f"Pythia {pythia.version()} {process}"
    return {
        "generator": generator,
        "toy": toy,
        "process": process,
        "pileup": pileup,
        "seed": seed,
        "detector": "CMS card of Delphes as parametrised in hepjax",
    }


def _collisions(process: str, seed: int, toy: bool) -> Iterator[Particles]:
    if toy:
        yield from toy_collisions(process, seed)
    else:
        yield from (collision.particles for collision in pythia.collisions(process, seed))


def _pool(events: int, seed: int, toy: bool) -> Pool:
    return make_pool(list(islice(_collisions("minbias", seed, toy), events)))
