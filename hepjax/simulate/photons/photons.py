"""Images of electrons and photons behind a tracker: the crystals around the hottest one.

Ties ``tracker`` and ``crystals`` together; a parametrisation without readout: no light yield, no
noise, no zero suppression. Files are written by ``hepjax.formats.packed.writer``.
"""

from collections.abc import Iterator

import numpy as np

from hepjax import InputError
from hepjax.formats.images import Channel, Grid, SparseImages
from hepjax.simulate.photons.crystals import Crystals, Showers, deposit
from hepjax.simulate.photons.tracker import Beam, Tracker, traverse

LABELS = {0: "photon", 1: "electron"}
GRID = Grid((32, 32), (Channel("ECAL", "GeV"),))
SEED = 16
"""Row and column of the hottest crystal; rows run along the bending plane."""
TILT = np.radians(3.0)
"""Largest angle between the direction of flight and the crystals' axis, either way."""
EVENTS_AT_A_TIME = 64
"""Each such piece has a random stream of its own."""
_FIELD_OF_VIEW = (64, 64)


def simulate_photons(
    events: int, energy: tuple[float, float], seed: int
) -> Iterator[tuple[SparseImages, dict[str, np.ndarray]]]:
    """Electrons and photons, half and half, in pieces of ``EVENTS_AT_A_TIME``.

    Args:
      energy: lowest and highest, flat between them, GeV.
    Yields:
      images on ``GRID``, and ``label`` int32 (``LABELS``), ``energy`` float32 GeV, ``tilt`` float32
      rad, ``event`` int64.
    Raises:
      InputError: an energy out of range.
    """
    low, high = energy
    if not 1.0 <= low <= high <= 1000.0:
        raise InputError(f"energy: expected 1 to 1000 GeV, low before high, found {low:g}:{high:g}")
    for start in range(0, events, EVENTS_AT_A_TIME):
        n = min(EVENTS_AT_A_TIME, events - start)
        rng = np.random.default_rng([seed, start])
        # Full pieces are drawn, so the first events do not depend on the number of events.
        label = rng.integers(0, 2, EVENTS_AT_A_TIME, dtype=np.int32)
        initial = rng.uniform(low, high, EVENTS_AT_A_TIME)
        tilt = rng.uniform(-TILT, TILT, EVENTS_AT_A_TIME)
        images = crystal_images(label == 1, initial, tilt, rng)[:n]
        columns: dict[str, np.ndarray] = {
            "label": label[:n],
            "energy": initial[:n].astype(np.float32),
            "tilt": tilt[:n].astype(np.float32),
            "event": np.arange(start, start + n, dtype=np.int64),
        }
        yield to_sparse(images), columns


def crystal_images(
    electron: np.ndarray,
    energy: np.ndarray,
    tilt: np.ndarray,
    rng: np.random.Generator,
    *,
    tracker: Tracker = Tracker(),  # noqa: B008  frozen
    crystals: Crystals = Crystals(),  # noqa: B008  frozen
) -> np.ndarray:
    """Images of n particles that come from the vertex.

    Args:
      electron: (n,) bool, electron or photon.
      energy: (n,) GeV.
      tilt: (n,) angle to the crystals' axis in the bending plane, rad.
    Returns:
      (n, 32, 32) float32, GeV, the hottest crystal at [16, 16].
    """
    n, origin = len(energy), np.zeros(len(energy))
    charge = np.where(electron, rng.choice([-1, 1], n), 0)
    first = Beam(np.arange(n), energy.astype(float), charge, *[origin] * 4)
    reached = traverse(tracker, first, rng)

    middle = 0.5 * np.asarray(_FIELD_OF_VIEW)[:, None]
    impact = crystals.size_mm * (middle + rng.random((2, n)))[:, reached.event]
    # Impact points are uniform in a crystal, for bent electrons too.
    showers = Showers(
        event=reached.event,
        energy=reached.energy,
        photon=reached.charge == 0,
        x=impact[0] + reached.x,
        y=impact[1] + reached.y,
        tangent_x=np.tan(np.arcsin(reached.sine) + tilt[reached.event]),
        tangent_y=reached.slope,
    )
    return _around_hottest(deposit(crystals, showers, n, _FIELD_OF_VIEW, rng))


def _around_hottest(cells: np.ndarray) -> np.ndarray:
    """(n, 32, 32) cut-outs of (n, x, y), the hottest cell at [16, 16]."""
    n = len(cells)
    hottest = np.divmod(cells.reshape(n, -1).argmax(axis=1), cells.shape[2])
    padded = np.pad(cells, ((0, 0), (SEED, SEED), (SEED, SEED)))
    rows, columns = (
        h[:, None] + np.arange(size) for h, size in zip(hottest, GRID.shape, strict=True)
    )
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def to_sparse(images: np.ndarray) -> SparseImages:
    """The non-zero cells of (n, 32, 32) images."""
    flat = images.reshape(len(images), -1)
    event, cell = np.nonzero(flat)
    first = np.searchsorted(event, np.arange(len(images) + 1))
    return SparseImages(first, cell.astype(np.uint32), flat[event, cell].astype(np.float32))
