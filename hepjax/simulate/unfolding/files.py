"""Writes a toy for unfolding: folders ``measured`` and ``simulation`` of npz files."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hepjax.formats.atomic import replacing_folder
from hepjax.formats.unfolding.npz import write_arrays
from hepjax.simulate.unfolding import gaussian, zjets

EVENTS_PER_FILE = 100_000
TOYS = ("jets", "gaussian")
SAMPLES = ("measured", "simulation")


def write_toy(
    out: Path, toy: str, events: int, seed: int, advance: Callable[[int], object]
) -> None:
    """Write ``events`` of each sample of a toy into a new folder.

    The measured ones keep their ``gen_`` arrays, which reports compare with and trainings never
    see.
    """
    with replacing_folder(out) as folder:
        for k, sample in enumerate(SAMPLES):
            (folder / sample).mkdir()
            pieces: list[dict[str, np.ndarray]] = []
            number, held = 0, 0
            for piece in _pieces(toy, sample, events, 2 * seed + k):
                pieces.append(piece)
                size = len(next(iter(piece.values())))
                held += size
                advance(size)
                if held >= EVENTS_PER_FILE:
                    _write(folder / sample / f"{toy}_{number}.npz", pieces)
                    number, held, pieces = number + 1, 0, []
            if pieces:
                _write(folder / sample / f"{toy}_{number}.npz", pieces)


def _pieces(toy: str, sample: str, events: int, seed: int) -> Iterator[dict[str, np.ndarray]]:
    if toy == "gaussian":
        setting = {"measured": gaussian.NATURE, "simulation": gaussian.SIMULATION}[sample]
        yield gaussian.gaussian_events(setting, events, seed)
        return
    jets = {"measured": zjets.NATURE, "simulation": zjets.SIMULATION}[sample]
    yield from zjets.zjets(jets, events, seed)


def _write(path: Path, pieces: list[dict[str, np.ndarray]]) -> None:
    write_arrays(path, {name: np.concatenate([p[name] for p in pieces]) for name in pieces[0]})
