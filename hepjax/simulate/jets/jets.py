"""Jets for the taggers from Pythia and the CMS-like detector: selection, labels, images.

Top against QCD and quark against gluon. Needs the extra ``hep``; toy.py does not. Files
are written by ``hepjax.formats.packed.writer``.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from itertools import islice
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

from hepjax import HepjaxError, InputError
from hepjax.formats.images import SparseImages
from hepjax.ops import clustering
from hepjax.simulate.collisions import pythia
from hepjax.simulate.collisions.detector import FlowObjects, flow_objects, respond
from hepjax.simulate.collisions.pythia import Partons, collisions
from hepjax.simulate.jets.deposits import deposits_of, merged, seen_by
from hepjax.simulate.jets.images import Deposits, jet_images, tracks_in_window

JETS_A_CHUNK = 500
"""Jets of a chunk, half of each label; each chunk has its own generators and random streams."""
EVENTS_AT_A_TIME = 100

Matches = Callable[[Partons, float, float], bool]


@dataclass(frozen=True)
class Task:
    """A classification task: its labels and the selection of jets."""

    labels: dict[int, str]
    processes: dict[int, str]  # of each label, a key of pythia.PROCESSES
    matches: dict[int, Matches]  # whether the partons of an event belong to a jet at (eta, phi)
    radius: float  # of the jets
    pt: tuple[float, float]  # GeV
    eta_max: float


class Found(NamedTuple):
    """Selected jets of one process."""

    columns: dict[str, np.ndarray]  # pt, mass, eta, phi, event
    deposits: dict[str, Deposits]


def anti_kt(events: Sequence[FlowObjects], radius: float, pt_min: float) -> clustering.Jets:
    """Anti-kt jets of energy-flow objects above ``pt_min`` GeV."""
    parts = [
        clustering.momenta(e.pt, e.eta, np.cos(e.phi), np.sin(e.phi), e.energy) for e in events
    ]
    counts = np.array([len(part) for part in parts])
    return clustering.anti_kt(np.concatenate(parts), counts, radius, pt_min)


def _delta_r(partons: Partons, eta: float, phi: float) -> np.ndarray:
    d_phi = np.remainder(partons.phi - phi + np.pi, 2 * np.pi) - np.pi
    return np.hypot(partons.eta - eta, d_phi)


def _top_inside(partons: Partons, eta: float, phi: float) -> bool:
    """Whether b, q and q' of one top are all within 0.8."""
    near = _delta_r(partons, eta, phi) < 0.8
    for top, w in ((6, 24), (-6, -24)):
        bottom = near & (partons.parent == top) & (np.abs(partons.pdg) < 6)
        quarks = near & (partons.parent == w) & (np.abs(partons.pdg) < 6)
        if bottom.sum() == 1 and quarks.sum() == 2:
            return True
    return False


def _any_jet(partons: Partons, eta: float, phi: float) -> bool:
    return True


def _quark_near(partons: Partons, eta: float, phi: float) -> bool:
    return bool(np.any((_delta_r(partons, eta, phi) < 0.4) & (np.abs(partons.pdg) < 6)))


def _gluon_near(partons: Partons, eta: float, phi: float) -> bool:
    return bool(np.any((_delta_r(partons, eta, phi) < 0.4) & (partons.pdg == 21)))


TASKS = {
    "top": Task(
        labels={0: "qcd", 1: "top"},
        processes={0: "hard-qcd", 1: "boosted-top"},
        matches={0: _any_jet, 1: _top_inside},
        radius=0.8,
        pt=(400.0, 1200.0),
        eta_max=1.37,
    ),
    "quark-gluon": Task(
        labels={0: "quark", 1: "gluon"},
        processes={0: "quarks", 1: "gluons"},
        matches={0: _quark_near, 1: _gluon_near},
        radius=0.5,
        pt=(70.0, 200.0),
        eta_max=1.57,
    ),
}


def is_available() -> bool:
    """Whether the optional packages, Pythia and FastJet, are installed."""
    return pythia.is_available() and find_spec("fastjet") is not None


def generator() -> str:
    """Names and versions of the generating packages, for provenance."""
    return ", ".join(f"{name} {version(name)}" for name in ("pythia8mc", "fastjet"))


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
      InputError: there is none.
    """
    if name not in TASKS:
        raise InputError(f"task: expected one of {', '.join(TASKS)}, found {name!r}")
    return TASKS[name]


def simulate_jets(
    task: str, jets: int, seed: int, *, resolution: int = 1, workers: int = 1
) -> Iterator[tuple[SparseImages, dict[str, np.ndarray]]]:
    """Jets of both labels, half and half, in mixed order, a chunk at a time.

    The jets depend on the seed and their number alone, not on ``workers``, the processes that share
    the work.

    Yields:
      images on ``jet_grid(resolution)``; ``label`` int32, ``pt``, ``mass`` (GeV), ``eta``, ``phi``
      float32, ``event`` int64 (two jets may share one), ``n_tracks`` int32, in the image.
    Raises:
      HepjaxError: a worker was killed.
      InputError: another task or resolution.
      MissingExtraError: the extra is not installed.
    """
    find_task(task)
    chunks = range(-(-jets // JETS_A_CHUNK))
    sizes = [min(JETS_A_CHUNK, jets - i * JETS_A_CHUNK) for i in chunks]
    make = partial(_chunk, task, resolution, seed)
    if workers == 1:
        yield from map(make, chunks, sizes)
        return
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield from pool.map(make, chunks, sizes)
    except BrokenProcessPool:
        raise HepjaxError(
            "simulate jets: expected all workers to end, found that one was killed (out of "
            "memory?); run it again with fewer --workers"
        ) from None


def _chunk(
    task: str, resolution: int, seed: int, number: int, jets: int
) -> tuple[SparseImages, dict[str, np.ndarray]]:
    counts = {0: jets - jets // 2, 1: jets // 2}
    rng = np.random.default_rng([seed, number])
    found = {
        label: _find(TASKS[task], label, count, [seed, number, label])
        for label, count in counts.items()
        if count
    }
    columns = {
        name: np.concatenate([f.columns[name] for f in found.values()])
        for name in ("pt", "mass", "eta", "phi", "event")
    }
    columns["label"] = np.repeat(list(counts), list(counts.values())).astype(np.int32)
    # Unique over the whole sample: no chunk generates a million events of one label.
    columns["event"] += 1_000_000 * (2 * number + columns["label"])
    deposits = merged([f.deposits for f in found.values()], [counts[label] for label in found])

    order = rng.permutation(jets)
    place = np.argsort(order)
    columns = {name: values[order] for name, values in columns.items()}
    deposits = {name: what._replace(jet=place[what.jet]) for name, what in deposits.items()}
    images = jet_images(resolution, columns["eta"], columns["phi"], deposits)
    columns["n_tracks"] = tracks_in_window(columns["eta"], columns["phi"], deposits["pT"])
    for name in ("pt", "mass", "eta", "phi"):
        columns[name] = columns[name].astype(np.float32)
    return images, columns


def _find(task: Task, label: int, count: int, seed: list[int]) -> Found:
    """The first ``count`` jets of one label that pass the selection."""
    rng = np.random.default_rng(seed)
    generated = collisions(task.processes[label], int(rng.integers(2**31)))
    columns: dict[str, list[float]] = {n: [] for n in ("pt", "mass", "eta", "phi", "event")}
    parts, jets_of_event, done = [], [], 0
    while len(columns["pt"]) < count:
        events = list(islice(generated, EVENTS_AT_A_TIME))
        responses = [respond(event.particles, rng) for event in events]
        jets = anti_kt([flow_objects(r) for r in responses], task.radius, task.pt[0])
        kept = (jets.pt < task.pt[1]) & (np.abs(jets.eta) < task.eta_max)
        kept &= [
            task.matches[label](events[event].partons, eta, phi)
            for event, eta, phi in zip(jets.event, jets.eta, jets.phi, strict=True)
        ]
        rows = np.flatnonzero(kept)[: count - len(columns["pt"])]
        for event in np.unique(jets.event[rows]):
            of_event = rows[jets.event[rows] == event]
            deposits = deposits_of(events[event].particles, responses[event])
            parts.append(seen_by(deposits, jets.eta[of_event], jets.phi[of_event]))
            jets_of_event.append(len(of_event))
        for name in ("pt", "mass", "eta", "phi"):
            columns[name].extend(getattr(jets, name)[rows])
        columns["event"].extend(done + jets.event[rows])
        done += len(events)
    return Found({k: np.array(v) for k, v in columns.items()}, merged(parts, jets_of_event))
