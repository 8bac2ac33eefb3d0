"""Writes simulated boxes: dark matter with gas by formula, or counts for CosmoFlow.

Box ``i`` of a seed has the key ``fold_in(key(seed), i)``, so it does not depend on how many there
are.
"""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.formats.atomic import make_folder
from hepjax.formats.fields.box import Facts
from hepjax.formats.fields.boxes import write_box
from hepjax.formats.fields.cosmoflow import Sample, write_sample
from hepjax.ops import boxes, cosmology, particle_mesh
from hepjax.ops.boxes import Setting
from hepjax.ops.cosmology import Cosmology

Advance = Callable[[int], object]
OMEGA_M, SIGMA8, N_S, HUBBLE = (0.25, 0.40), (0.70, 1.0), (0.90, 1.0), (0.60, 0.76)
"""Ranges of the parameters of universes, flat: broader than data allow, as those of CosmoFlow."""
REDSHIFTS = (3.0, 1.5, 0.5, 0.0)
"""At which particles are counted."""


def write_boxes(out: Path, count: int, seed: int, advance: Advance, setting: Setting) -> None:
    """Boxes ``box-<number>.h5`` in a folder, see ``formats.fields.boxes``."""
    make_folder(out)
    plan = boxes.plan(setting)
    cell = setting.length / setting.cells
    facts = Facts(cell, setting.redshift, setting.cosmology.omega_m)
    for number in range(count):
        dark, gas = _made(jax.random.fold_in(jax.random.key(seed), number), plan)
        path = out / f"box-{number:05d}.h5"
        write_box(path, _channels_first(dark), _channels_first(gas), facts)
        advance(1)


_made = jax.jit(boxes.make)


def _channels_first(fields: jax.Array) -> np.ndarray:
    return np.moveaxis(np.asarray(fields), -1, 0)


def write_universes(out: Path, count: int, seed: int, advance: Advance, setting: Setting) -> None:
    """Counts ``universe-<number>.h5`` of universes with parameters of their own.

    ``setting.redshift`` and its cosmology do not count. See ``formats.fields.cosmoflow``.
    """
    make_folder(out)
    low, high = np.array([OMEGA_M, SIGMA8, N_S, HUBBLE]).T
    for number in range(count):
        unit = np.random.default_rng((seed, number)).uniform(-1, 1, len(low)).astype(np.float32)
        physical = low + (high - low) * (unit + 1) / 2
        omega_m, sigma8, n_s, h = map(float, physical)
        universe = Cosmology(omega_m=omega_m, sigma8=sigma8, n_s=n_s, h=h)
        key = jax.random.fold_in(jax.random.key(seed), number)
        counts = counted(key, setting._replace(cosmology=universe))
        sample = Sample(counts, unit)
        write_sample(out / f"universe-{number:05d}.h5", sample, physical, np.array(REDSHIFTS))
        advance(1)


def counted(key: jax.Array, setting: Setting) -> np.ndarray:
    """Particles (n, n, n, 4) int16 nearest to each cell at ``REDSHIFTS``."""
    amplitudes = cosmology.amplitudes(setting.cosmology, setting.cells, setting.length)
    each = max(1, setting.steps // len(REDSHIFTS))
    ends = [1 / (1 + z) for z in REDSHIFTS]
    begins = [min(boxes.BEGIN, ends[0] / 2), *ends]
    parts = [
        cosmology.schedule(setting.cosmology, np.linspace(a, b, each + 1))
        for a, b in zip(begins[:-1], ends, strict=True)
    ]
    return np.asarray(_counted(key, jnp.asarray(amplitudes), parts), np.int16)


@jax.jit
def _counted(key: jax.Array, amplitudes: jax.Array, parts: list[cosmology.Schedule]) -> jax.Array:
    n = len(amplitudes)
    field = particle_mesh.linear_field(jax.random.normal(key, (n, n, n)), amplitudes)
    particles = particle_mesh.start(field, parts[0])
    found = []
    for part in parts:
        particles = particle_mesh.evolve(particles, part, n)
        cell = jnp.round(particles.position).astype(jnp.int32) % n
        flat = (cell[:, 0] * n + cell[:, 1]) * n + cell[:, 2]
        found.append(jnp.zeros(n**3, jnp.int32).at[flat].add(1).reshape(n, n, n))
    return jnp.stack(found, axis=-1)
