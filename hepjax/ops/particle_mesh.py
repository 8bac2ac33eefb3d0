"""Gravity of particles on a periodic mesh, in pure JAX: as many particles as cells.

Positions and momenta are in cells, see ``ops.cosmology`` for the momenta. Displacements of the
start are of second order (2LPT, Bouchet et al. 1995); steps are kick, drift, kick; particles and
mesh meet by clouds in cells (CIC, Hockney and Eastwood). One box at a time: ``jax.vmap`` for more.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hepjax.ops.cosmology import Schedule

CORNERS = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]

OFFSET = 0.5
"""Of the lattice against the mesh, cells along each axis."""
MOST = 2.0
"""Of the compensation of clouds, reached at about half the Nyquist frequency."""


class Particles(NamedTuple):
    """Positions (p, 3) and momenta (p, 3), float32, cells."""

    position: jax.Array
    momentum: jax.Array


def linear_field(noise: jax.Array, amplitudes: jax.Array) -> jax.Array:
    """The overdensity (n, n, n) that white noise of unit variance becomes by linear growth today.

    Args:
      amplitudes: of ``ops.cosmology.amplitudes``; the mean of the field is 0.
    """
    return jnp.fft.irfftn(jnp.fft.rfftn(noise) * amplitudes, noise.shape)


def gradients(modes: jax.Array, n: int) -> jax.Array:
    """The force (n, n, n, 3), -grad of the inverse Laplacian of a field with these modes."""
    k = _wave_numbers(n)
    square = sum(x**2 for x in k)
    inverse = jnp.where(square > 0, 1 / jnp.where(square > 0, square, 1.0), 0.0)
    waves = [1j * x * inverse * modes for x in _odd(k)]
    return jnp.stack([jnp.fft.irfftn(w, (n, n, n)) for w in waves], axis=-1)


def start(field: jax.Array, schedule: Schedule) -> Particles:
    """Particles of a lattice, displaced to second order in a linear field (n, n, n) of today.

    A cell of the field is where the particle of its number begins.
    """
    n = len(field)
    modes = jnp.fft.rfftn(field)
    k = _wave_numbers(n)
    square = sum(x**2 for x in k)
    inverse = jnp.where(square > 0, 1 / jnp.where(square > 0, square, 1.0), 0.0)

    def second(i: int, j: int) -> jax.Array:
        odd = _odd(k)
        waves = k[i] ** 2 if i == j else odd[i] * odd[j]
        return jnp.fft.irfftn(waves * inverse * modes, (n, n, n))

    xx, yy, zz, xy, xz, yz = (second(*p) for p in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)))
    source = xx * yy + xx * zz + yy * zz - xy**2 - xz**2 - yz**2
    first = gradients(modes, n).reshape(-1, 3)
    # x = q - D1 grad(phi1) + D2 grad(phi2), of which the laplacians are the field and the source.
    other = -gradients(jnp.fft.rfftn(source), n).reshape(-1, 3)
    d1, d2, v1, v2 = (schedule.start[i] for i in range(4))
    position = lattice(n) + d1 * first + d2 * other
    return Particles(position % n, v1 * first + v2 * other)


def lattice(n: int) -> jax.Array:
    """Where particles (n^3, 3) are before they move: between the cells of the mesh.

    On them the share of a cell would have a kink, and small displacements would be noisy.
    """
    along = jnp.arange(n, dtype=jnp.float32) + OFFSET
    return jnp.stack(jnp.meshgrid(along, along, along, indexing="ij"), -1).reshape(-1, 3)


def evolve(particles: Particles, schedule: Schedule, n: int) -> Particles:
    """Particles after all steps of a schedule."""

    sharper = compensation(n)

    def force(position: jax.Array) -> jax.Array:
        return read(gradients(sharper * jnp.fft.rfftn(paint(position, n)), n), position)

    def step(
        state: tuple[Particles, jax.Array], now: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[Particles, jax.Array], None]:
        (position, momentum), pull = state
        kicks, drift = now
        momentum = momentum + kicks[0] * pull
        position = (position + drift * momentum) % n
        pull = force(position)
        return (Particles(position, momentum + kicks[1] * pull), pull), None

    steps = jnp.asarray(schedule.kicks), jnp.asarray(schedule.drifts)
    (particles, _), _ = jax.lax.scan(step, (particles, force(particles.position)), steps)
    return particles


def compensation(n: int) -> jax.Array:
    """What modes of a painted density are multiplied by before the force is read from it.

    Clouds weaken a mode twice, painted and read, by sinc^2 of half its wave number along each axis.
    Without this, structure of eight cells grows by 7 % less power per decade of the scale factor.
    It is limited, because near the Nyquist frequency it would amplify noise.
    """
    clouds = [jnp.sinc(k / (2 * jnp.pi)) ** 2 for k in _wave_numbers(n)]
    return jnp.minimum(1 / (clouds[0] * clouds[1] * clouds[2]) ** 2, MOST)


def simulate(field: jax.Array, schedule: Schedule) -> Particles:
    """Particles at the end of a schedule from a linear field (n, n, n) of today."""
    return evolve(start(field, schedule), schedule, len(field))


def paint(position: jax.Array, n: int, weight: jax.Array | None = None) -> jax.Array:
    """Cells (n, n, n) of the sums over particles of their shares, times ``weight`` (p,).

    With as many particles as cells and no weights it is the density in units of its mean.
    """
    cells = jnp.zeros(n**3, position.dtype)
    for index, share in _corners(position, n):
        cells = cells.at[index].add(share if weight is None else share * weight)
    return cells.reshape(n, n, n)


def read(mesh: jax.Array, position: jax.Array) -> jax.Array:
    """Values (p, c) of a mesh (n, n, n, c) at positions (p, 3)."""
    n = len(mesh)
    flat = mesh.reshape(n**3, -1)
    return sum(share[:, None] * flat[index] for index, share in _corners(position, n))  # type: ignore[return-value]


def _corners(position: jax.Array, n: int) -> list[tuple[jax.Array, jax.Array]]:
    """The eight cells around each particle, flat, and its share in each."""
    low = jnp.floor(position)
    above = position - low
    low = low.astype(jnp.int32)
    found = []
    for corner in CORNERS:
        cell = (low + jnp.array(corner)) % n
        share = jnp.prod(jnp.where(jnp.array(corner) == 1, above, 1 - above), axis=-1)
        found.append(((cell[:, 0] * n + cell[:, 1]) * n + cell[:, 2], share))
    return found


def _wave_numbers(n: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """rad a cell, along the three axes of the modes of a real field."""
    whole, half = 2 * jnp.pi * jnp.fft.fftfreq(n), 2 * jnp.pi * jnp.fft.rfftfreq(n)
    return whole[:, None, None], whole[None, :, None], half[None, None, :]


def _odd(k: tuple[jax.Array, ...]) -> list[jax.Array]:
    """The same for derivatives of odd order, which have no mode at the Nyquist frequency."""
    return [jnp.where(jnp.abs(x) < jnp.pi * (1 - 1e-6), x, 0.0) for x in k]
