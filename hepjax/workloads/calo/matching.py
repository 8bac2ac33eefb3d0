"""The second way to make cells depend on one another: flow matching, and one pass distilled of it.

A velocity field carries independent standard normal numbers, one a cell, to those that the margins
make of a shower (flow matching, Lipman et al., arXiv:2210.02747). The path between them turns,
``cos(pi t / 2) x0 + sin(pi t / 2) x1`` (Albergo and Vanden-Eijnden, arXiv:2209.15571), so that its
spread stays 1 and no velocity leaves independent cells alone. Distillation teaches a network that
is asked once where the field leads in many steps.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.nn.dense import Dense
from hepjax.workloads.calo.config import CaloConfig
from hepjax.workloads.calo.geometry import groups, plan

BLOCKS = 2
"""Residual blocks of a network."""
LEAST = 0.05
"""Weight of a cell that is never hit."""
WAVES = 4
"""Frequencies in which a network is told the time."""


class Field(nn.Module):
    """Numbers for all cells from numbers of all cells: 3 x 3 convolutions with the depth as
    channels; those of a cylinder close in the azimuth. All layers are binned alike."""

    calorimeter: Calorimeter
    channels: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, time: jax.Array, condition: jax.Array) -> jax.Array:
        """(n, layers, cells), time (n,) in 0 to 1 and condition (n, c) to (n, layers, cells)."""
        ((_, depth, (rows, columns), closed),) = groups(self.calorimeter)
        angles = jnp.pi * time[:, None] * jnp.arange(1, WAVES + 1)
        told = jnp.concatenate([condition, jnp.sin(angles), jnp.cos(angles)], axis=1)
        told = Dense(4 * self.channels, nn.silu, self.dtype)(told)
        # Where a cell is matters, but for the sector of a cylinder.
        shape = (1 if closed else rows, columns, self.channels)
        place = self.param("place", nn.initializers.zeros, shape).astype(self.dtype)

        def mixed(y: jax.Array, width: int, kernel: nn.initializers.Initializer) -> jax.Array:
            around = ((0, 0), (1, 1), (0, 0), (0, 0))
            y = jnp.pad(y, around, mode="wrap" if closed else "constant")
            same = ((0, 0), (1, 1))
            return nn.Conv(width, (3, 3), padding=same, dtype=self.dtype, kernel_init=kernel)(y)

        usual, zeros = nn.initializers.lecun_normal(), nn.initializers.zeros
        image = jnp.swapaxes(x, 1, 2).reshape(-1, rows, columns, depth).astype(self.dtype)
        y = mixed(image, self.channels, usual) + place
        for _ in range(BLOCKS):
            bias = Dense(self.channels, None, self.dtype)(told)[:, None, None]
            y = y + mixed(nn.silu(y + bias), self.channels, usual)
        # Weak correlations are linear in x, and strongest half way; no velocity at first.
        near = self.param("near", nn.initializers.ones, (*shape[:2], 1)).astype(self.dtype)
        half_way = jnp.sin(jnp.pi * time).astype(self.dtype)[:, None, None, None]
        y = mixed(nn.silu(y), depth, zeros) + mixed(half_way * near * image, depth, zeros)
        y = y.astype(jnp.float32)
        return jnp.swapaxes(y.reshape(-1, rows * columns, depth), 1, 2)


def field(cfg: CaloConfig) -> Field:
    """The velocity, and the network that is distilled of it."""
    return Field(cfg.calorimeter, cfg.model.cells.channels, jnp.dtype(cfg.train.dtype))


def init(cfg: CaloConfig, key: jax.Array, condition: jax.Array) -> dict[str, Any]:
    """Parameters ``copula`` of the velocity and, where it is distilled, ``student``."""
    cells = jnp.zeros((1, *plan(cfg.calorimeter).inside.shape))
    names = ("copula", "student") if cfg.objective.distil else ("copula",)
    keys = jax.random.split(key, len(names))
    return {
        name: field(cfg).init(key, cells, jnp.zeros(1), condition)["params"]
        for name, key in zip(names, keys, strict=True)
    }


def velocity(
    cfg: CaloConfig, params: Any, x: jax.Array, time: jax.Array, condition: jax.Array
) -> jax.Array:
    """dx/dt (n, layers, cells) at time () or (n,)."""
    time = jnp.broadcast_to(time, x.shape[:1])
    return field(cfg).apply({"params": params["copula"]}, x, time, condition)


def weights(edge: jax.Array, inside: jax.Array) -> jax.Array:
    """How much each cell (n, layers, cells) counts: as likely as it is hit, and at least
    ``LEAST``. Thousands of cells that are nearly always empty have drawn numbers, in which a few
    hundred others would be lost. Any weights leave the best field the same.

    Args:
      edge: of the margins.
      inside: cells of layers with hits; others do not count.
    """
    return jnp.where(inside, jnp.maximum(jax.scipy.special.ndtr(-edge), LEAST), 0.0)


def matching_loss(
    cfg: CaloConfig, params: Any, normal: jax.Array, weight: jax.Array, condition: jax.Array,
    key: jax.Array,
) -> jax.Array:  # fmt: skip
    """Squared error (n,) of the velocity at a drawn time, relative to that of a field of zero, a
    weighted sum over cells.

    Args:
      normal: (n, layers, cells) numbers that the margins make of the cells.
      weight: the same shape; 0: does not count.
    """
    k_noise, k_time = jax.random.split(key)
    noise = jax.random.normal(k_noise, normal.shape)
    # The cells that do not count are independent of the others.
    end = jnp.where(weight > 0, normal, noise)
    time = jax.random.uniform(k_time, normal.shape[:1])
    turn = 0.5 * jnp.pi * time[:, None, None]
    x = jnp.cos(turn) * noise + jnp.sin(turn) * end
    slope = 0.5 * jnp.pi * (jnp.cos(turn) * end - jnp.sin(turn) * noise)
    found = velocity(cfg, params, x, time, condition)
    return (weight * found * (found - 2.0 * slope)).sum((1, 2))


def carried(cfg: CaloConfig, params: Any, noise: jax.Array, condition: jax.Array) -> jax.Array:
    """Where the velocity carries noise (n, layers, cells), by ``model.cells.steps`` steps of the
    midpoint rule."""
    x, step = noise, 1.0 / cfg.model.cells.steps
    # No loop of XLA: its convolutions for CPUs are ten times slower inside.
    for number in range(cfg.model.cells.steps):
        time = jnp.float32(number * step)
        half = x + 0.5 * step * velocity(cfg, params, x, time, condition)
        x = x + step * velocity(cfg, params, half, time + 0.5 * step, condition)
    return x


def student(cfg: CaloConfig, params: Any, noise: jax.Array, condition: jax.Array) -> jax.Array:
    """The same in one pass, as far as it was distilled."""
    time = jnp.full(noise.shape[0], 0.5)
    return noise + field(cfg).apply({"params": params["student"]}, noise, time, condition)


def distil_loss(
    cfg: CaloConfig, params: Any, weight: jax.Array, condition: jax.Array, key: jax.Array
) -> jax.Array:
    """Squared distance (n,) of the student from where the velocity leads, a weighted sum over
    cells."""
    noise = jax.random.normal(key, weight.shape)
    target = jax.lax.stop_gradient(carried(cfg, params, noise, condition))
    found = student(cfg, params, noise, condition)
    return (weight * (found - target) ** 2).sum((1, 2))
