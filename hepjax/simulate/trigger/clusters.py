"""Clusters of a smart-pixel sensor: charge of 13 x 21 pixels that a track leaves in silicon.

A straight piece of a helix crosses 100 um of silicon at the radius of the innermost barrel layer.
Each step of 5 um makes electron-hole pairs with Landau fluctuations; they drift to the pixels, turn
aside by the Lorentz angle and diffuse. Pixels have noise and a threshold. The bend of the track
gives its angle in the y plane, so that low momenta make long clusters along y, to either side by
the charge.

Sources: sensor and axes of the smart-pixel data sets (Zenodo 7331128); drift and diffusion in
silicon as in the PixelAV programme; constants are rounded.
"""

from typing import NamedTuple

import numpy as np

from hepjax.formats.trigger.tasks import PITCH, PIXELS

THICKNESS = 100.0
"""um."""
RADIUS = 30.0
"""mm, of the layer."""
FIELD = 3.8
"""Tesla."""
HALF_WIDTH = 8.0
"""mm, of a flat module along y."""
PAIRS_PER_UM = 76.0
"""Most probable number of electron-hole pairs."""
STEP = 5.0
"""um."""
DIFFUSION = 3.1
"""um, after a drift through all silicon: sqrt(2 D t) with D = 36 cm2/s, t = 1.3 ns."""
LORENTZ = 0.25
"""Tangent of the Lorentz angle, along y."""
THRESHOLD = 400.0
"""Electrons of a pixel."""
NOISE = 80.0
"""Electrons."""
PT_RANGE = (0.1, 5.0)
"""GeV."""
SUB = 4
"""Pieces into which the charge of a step is spread, along each axis."""


class Clusters(NamedTuple):
    """Charge (n, 13, 21) in electrons, and labels (n,)."""

    charge: np.ndarray
    labels: dict[str, np.ndarray]


def clusters(count: int, rng: np.random.Generator) -> Clusters:
    """Clusters of tracks of either charge, flat in the logarithm of the momentum."""
    pt = np.exp(rng.uniform(np.log(PT_RANGE[0]), np.log(PT_RANGE[1]), count)) * rng.choice(
        [-1.0, 1.0], count
    )
    y_local = rng.uniform(-HALF_WIDTH, HALF_WIDTH, count)
    # Angle to the normal in the bending plane: by the place on the flat module, and the bend.
    bend = np.arcsin(np.clip(0.2998e-3 * FIELD * RADIUS / (2.0 * pt), -0.95, 0.95))
    slope_y = np.tan(np.clip(np.arctan(y_local / RADIUS) + bend, -1.35, 1.35))
    slope_x = np.sinh(rng.normal(0.0, 0.5, count))
    middle = rng.uniform(-0.5, 0.5, (2, count)) * np.array(PITCH)[:, None]
    charge = _charge(slope_y, slope_x, middle, rng)
    labels = {
        "x-midplane": middle[1], "y-midplane": middle[0], "cotAlpha": slope_x, "cotBeta": slope_y,
        "y-local": y_local, "pt": pt, "number_eh_pairs": charge.sum(axis=(1, 2)),
    }  # fmt: skip
    return Clusters(charge, {name: v.astype(np.float32) for name, v in labels.items()})


def _charge(
    slope_y: np.ndarray, slope_x: np.ndarray, middle: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    count = len(slope_y)
    depth = np.arange(STEP / 2, THICKNESS, STEP)
    path = np.sqrt(1.0 + slope_y**2 + slope_x**2)[:, None] * STEP
    # Moyal's form of the Landau distribution: -log of a squared normal number.
    tail = -np.log(np.maximum(rng.normal(size=(count, len(depth))) ** 2, 1e-5))
    pairs = PAIRS_PER_UM * path * np.maximum(1.0 + 0.25 * tail, 0.0)
    drift = THICKNESS - depth
    y = middle[0][:, None] + slope_y[:, None] * (depth - THICKNESS / 2) + LORENTZ * drift
    x = middle[1][:, None] + slope_x[:, None] * (depth - THICKNESS / 2)
    y = y - LORENTZ * THICKNESS / 2
    spread = DIFFUSION * np.sqrt(drift / THICKNESS)
    charge = np.zeros((count, *PIXELS))
    share = pairs / SUB
    rows = np.repeat(np.arange(count), len(depth))
    for _ in range(SUB):
        at = [
            np.floor((a + rng.normal(size=a.shape) * spread) / pitch + n / 2)
            .astype(int)
            .reshape(-1)
            for a, pitch, n in ((y, PITCH[0], PIXELS[0]), (x, PITCH[1], PIXELS[1]))
        ]
        inside = (at[0] >= 0) & (at[0] < PIXELS[0]) & (at[1] >= 0) & (at[1] < PIXELS[1])
        place = (rows * PIXELS[0] + at[0]) * PIXELS[1] + at[1]
        charge += np.bincount(place[inside], share.reshape(-1)[inside], charge.size).reshape(
            charge.shape
        )
    charge += rng.normal(0.0, NOISE, charge.shape)
    return np.where(charge > THRESHOLD, charge, 0.0)
