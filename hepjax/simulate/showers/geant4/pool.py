"""Showers from Geant4, shared by worker processes; they do not depend on how many there are."""

import multiprocessing
import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import HepjaxError, InputError, MissingExtraError
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.simulate.showers.conditions import check
from hepjax.simulate.showers.geant4.data import elements, installed, is_installed
from hepjax.simulate.showers.geant4.engine import Engine, Setup, Shot, Showers

GEV_A_CHUNK, SHOWERS_A_CHUNK = 100.0, 20
"""Work of one call: a second or two, so that progress shows and a signal is heard."""
CHUNKS_AHEAD = 3
"""For each worker: what waits beside the chunk that is being made."""
CUT_MM = (1e-3, 100.0)
WORD = 2.0**32


def shots(
    calorimeter: Calorimeter, energy: np.ndarray, theta: np.ndarray, seed: int, first: int = 0
) -> list[Shot]:
    """What to shoot; shower ``first + i`` depends on the seed and its number alone.

    The impact point is uniform in the central cell of a box, and on the axis of a cylinder.
    """
    made = []
    for number, (e, t) in enumerate(zip(energy.tolist(), theta.tolist(), strict=True), first):
        words = np.random.SeedSequence([seed, number]).generate_state(3).tolist()
        impact = (0.0, 0.0)
        if calorimeter.cells is not None:
            # Cell n // 2 of n; the window is centred on the axis of the plates.
            x, y = (
                (n // 2 - n / 2 + word / WORD) * size
                for n, word, size in zip(
                    calorimeter.cells, words[1:], calorimeter.cell_mm, strict=True
                )
            )
            impact = (x, y)
        made.append(Shot(e, t, impact, words[0] % 0x7FFFFFFE + 1))
    return made


class Simulation:
    """What ``simulate`` opens.

    ``about`` is what made the showers; ``batches()`` gives them in order, as they are ready.
    """

    def __init__(
        self,
        pool: ProcessPoolExecutor,
        workers: int,
        todo: list[Shot],
        explained: Callable[[], HepjaxError],
    ) -> None:
        self._pool, self._workers, self._todo, self._explained = pool, workers, todo, explained
        self.about: dict[str, str] = self._result(pool.submit(_about))

    def _result(self, future: "Future[Any]") -> Any:
        try:
            return future.result()
        except BrokenProcessPool:
            raise self._explained() from None

    def batches(self) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
        """Which shots, and the fields of ``Showers`` with the ``impact`` (n, 2), mm."""
        for rows, showers in self._showers():
            impact = np.asarray([shot.impact for shot in self._todo[rows]], np.float32)
            yield rows, {**showers._asdict(), "impact": impact}

    def _showers(self) -> Iterator[tuple[slice, Showers]]:
        waiting: deque[tuple[slice, Future[Showers]]] = deque()
        chunks = _chunks(self._todo)
        try:
            for rows in chunks:
                waiting.append((rows, self._pool.submit(_run, self._todo[rows])))
                if len(waiting) > CHUNKS_AHEAD * self._workers:
                    rows, future = waiting.popleft()
                    yield rows, self._result(future)
            while waiting:
                rows, future = waiting.popleft()
                yield rows, self._result(future)
        except BrokenProcessPool:  # from submit
            raise self._explained() from None


@contextmanager
def simulate(
    calorimeter: Calorimeter,
    energy: np.ndarray,
    theta: np.ndarray,
    particle: str,
    seed: int,
    *,
    workers: int = 1,
    cut_mm: float = 0.7,
) -> Iterator[Simulation]:
    """Electrons or photons through the plates of a calorimeter.

    Args:
      energy: (n,) incident energies, GeV.
      theta: (n,) polar angles, rad; pi/2 is normal, below it y grows with depth.
      particle: ``electron`` or ``photon``.
      workers: processes; each takes half a second to start and 100 MB.
      cut_mm: range below which no secondary particles are made.
    Raises:
      MissingExtraError: geant4-pybind is not installed.
      InputError: what ``conditions.check`` refuses, a cut out of range, or a ``G4LEDATA`` that
        lacks files.
      HepjaxError: a worker ended.
    """
    check(calorimeter, energy, theta, particle)
    if workers < 1:
        raise InputError(f"workers: expected at least 1, found {workers}")
    if not CUT_MM[0] <= cut_mm <= CUT_MM[1]:
        raise InputError(f"cut: expected {CUT_MM[0]:g} to {CUT_MM[1]:g} mm, found {cut_mm:g}")
    if not is_installed():
        raise MissingExtraError("showers from Geant4", "geant4")
    data = installed(os.environ, Path.home(), elements(calorimeter))
    steepest = float(np.abs(theta - np.pi / 2).max(initial=0.0))
    setup = Setup(calorimeter, particle, steepest, cut_mm, data)
    others = set(multiprocessing.active_children())
    with tempfile.TemporaryDirectory(prefix="hepjax-geant4-") as scratch:
        pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), _start, (setup, scratch)
        )
        try:
            yield Simulation(
                pool, workers, shots(calorimeter, energy, theta, seed),
                lambda: _explained(Path(scratch), data),
            )  # fmt: skip
            pool.shutdown()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            ended = set(multiprocessing.active_children()) - others
            for worker in ended:
                worker.terminate()
            for worker in ended:
                worker.join()
            raise


def _chunks(todo: list[Shot]) -> Iterator[slice]:
    """Neighbouring shots, by energy; the same for any number of workers."""
    start, energy = 0, 0.0
    for i, shot in enumerate(todo):
        energy += shot.energy
        if energy >= GEV_A_CHUNK or i - start + 1 >= SHOWERS_A_CHUNK:
            yield slice(start, i + 1)
            start, energy = i + 1, 0.0
    if start < len(todo):
        yield slice(start, len(todo))


def _explained(scratch: Path, data: Path | None) -> HepjaxError:
    """Why a worker ended, from what Geant4 said last."""
    said = [line for log in sorted(scratch.glob("*.log")) for line in _fatal(log)]
    if said:
        hint = "; is this G4EMLOW whole and of the right version? unset G4LEDATA" if data else ""
        return InputError(f"Geant4: expected a simulation, found that it ended: {said[0]}{hint}")
    return HepjaxError(
        "Geant4: expected all workers to end, found that one was killed (out of memory?); run it "
        "again with fewer --workers"
    )


def _fatal(log: Path) -> Iterator[str]:
    """The reason of a fatal exception in the output of Geant4."""
    lines = log.read_text(errors="replace").splitlines()
    for i, line in enumerate(lines):
        if "G4Exception-START" in line:
            text = " ".join(part.strip() for part in lines[i + 1 : i + 5])
            yield " ".join(text.replace("***", " ").split())[:200]


_engine: Engine | None = None
"""In a worker."""


def _start(setup: Setup, scratch: str) -> None:
    """Prepare a worker; the engine is built with the first work, where errors can be told."""
    global _setup
    folder = Path(tempfile.mkdtemp(prefix="worker-", dir=scratch))
    _setup = (setup, folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Geant4 writes to the standard output of C++; a fatal error can be read there afterwards.
    log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


_setup: tuple[Setup, Path] | None = None


def _built() -> Engine:
    global _engine
    if _engine is None:
        assert _setup is not None
        _engine = Engine(*_setup)
    return _engine


def _about() -> dict[str, str]:
    return _built().about()


def _run(todo: list[Shot]) -> Showers:
    return _built().run(todo)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
