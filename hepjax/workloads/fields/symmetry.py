"""The 48 symmetries of the cube, applied to boxes of fields whose last channels are a velocity."""

import itertools

import jax
import jax.numpy as jnp

ORDERS = list(itertools.permutations(range(3)))


def turned(key: jax.Array, *boxes: jax.Array) -> list[jax.Array]:
    """Boxes (n, x, y, z, c) under one symmetry that the key draws, the same for all.

    Args:
      boxes: cubes whose last three channels are the components of a vector, the others scalars.
    """
    order = jax.random.randint(key, (), 0, len(ORDERS))
    flips = jax.random.bernoulli(jax.random.fold_in(key, 1), shape=(3,))
    return [apply(box, order, flips) for box in boxes]


def apply(box: jax.Array, order: jax.Array, flips: jax.Array) -> jax.Array:
    """A box (n, x, y, z, c) with its axes in the order ``ORDERS[order]``, then reflected.

    Args:
      flips: (3,) whether each axis is reflected.
    """

    def ordered(axes: tuple[int, ...]) -> jax.Array:
        turned = box.transpose(0, *(1 + a for a in axes), 4)
        vector = jnp.stack([turned[..., a - 3] for a in axes], axis=-1)
        return jnp.concatenate([turned[..., :-3], vector], axis=-1)

    box = jax.lax.switch(order, [lambda a=axes: ordered(a) for axes in ORDERS])
    for axis in range(3):
        sign = jnp.ones(box.shape[-1]).at[axis - 3].set(-1.0)
        box = jnp.where(flips[axis], jnp.flip(box, axis + 1) * sign, box)
    return box
