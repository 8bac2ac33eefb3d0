"""Particles of a collision event with pile-up: spectra as measured on a TrackML event."""

import numpy as np

QUANTILES = (0.0, 0.01, 0.05, 0.16, 0.5, 0.84, 0.95, 0.99, 1.0)
PRIMARY_PT = (0.09, 0.11, 0.14, 0.22, 0.45, 0.89, 1.5, 3.6, 20.0)
SECONDARY_PT = (0.08, 0.09, 0.10, 0.13, 0.25, 0.5, 0.95, 2.2, 8.0)
"""GeV at these quantiles; the inside is measured, the ends are a choice."""
ETA = 4.0
"""Pseudorapidity is flat between -4 and 4."""
VERTEX_Z, VERTEX_XY = 49.0, 0.010
"""Spread of collisions along the beam and across it, mm."""
PER_COLLISION = 45
"""Particles of a collision."""
SECONDARIES = 0.28
"""Share that is made in decays and in matter."""
FLIGHT, KICK = 60.0, 0.1
"""Mean distance of a secondary's vertex from the beam, mm; its angle to its parent's line, rad."""


def particles(count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """``vertex`` (p, 3) mm, ``momentum`` (p, 3) GeV, ``charge`` and ``identifier`` (p,)."""
    collision = rng.integers(0, max(1, count // PER_COLLISION), count)
    places = rng.normal(0, (VERTEX_XY, VERTEX_XY, VERTEX_Z), (collision.max(initial=0) + 1, 3))
    vertex = places[collision]
    secondary = rng.uniform(size=count) < SECONDARIES
    share = rng.uniform(size=count)
    log_pt = (np.interp(share, QUANTILES, np.log(x)) for x in (PRIMARY_PT, SECONDARY_PT))
    first, second = log_pt
    pt = np.exp(np.where(secondary, second, first))
    eta, phi = rng.uniform(-ETA, ETA, count), rng.uniform(-np.pi, np.pi, count)
    distance = np.where(secondary, np.minimum(rng.exponential(FLIGHT, count), 400.0), 0.0)
    line = np.stack([np.cos(phi), np.sin(phi), np.sinh(eta)], axis=1)
    vertex = vertex + distance[:, None] * line
    vertex[:, 2] = np.clip(vertex[:, 2], -2900.0, 2900.0)
    phi = phi + np.where(secondary, rng.normal(0, KICK, count), 0.0)
    eta = eta + np.where(secondary, rng.normal(0, KICK, count), 0.0)
    momentum = pt[:, None] * np.stack([np.cos(phi), np.sin(phi), np.sinh(eta)], axis=1)
    # As TrackML: the number of the collision in the high bits, beyond the 53 bits of a double.
    identifier = ((collision.astype(np.int64) + 1) << 54) + (np.arange(count) + 1) * 2**20 + 1
    charge = rng.choice(np.array([-1, 1], np.int32), count)
    return {
        "vertex": vertex.astype(np.float32), "momentum": momentum.astype(np.float32),
        "charge": charge, "identifier": identifier,
    }  # fmt: skip
