"""Showers from a trained generator, in batches, compiled once.

Shower ``i`` depends on the seed, on ``i`` and on its energy: not on the batch it is made in nor on
the devices that make it.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.engine.config import MeshConfig
from hepjax.engine.mesh import make_mesh, over_data, replicated
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.objective import ENERGY_UNIT, Network, cells_in_gev, networks


def generate(
    cfg: Gan3DConfig, generator: Network, energy: jax.Array, index: jax.Array, seed: jax.Array
) -> jax.Array:
    """Showers (n, 25, 25, 25) in GeV for incident energies (n,) in GeV.

    Args:
      index: (n,) int32, the number of each shower, which with ``seed`` decides its noise.
    """
    keys = jax.vmap(partial(jax.random.fold_in, jax.random.key(seed)))(index)
    noise = jax.vmap(lambda key: jax.random.normal(key, (cfg.model.latent,)))(keys)
    variables = {"params": generator.params, "batch_stats": generator.stats}
    inputs = (energy / ENERGY_UNIT)[:, None] * noise
    cells = cells_in_gev(cfg, networks(cfg)[0].apply(variables, inputs, train=False))
    # The same threshold that the training showers passed.
    return jnp.where(cells < cfg.data.threshold, 0.0, cells)


def generated_batches(
    cfg: Gan3DConfig, generator: Network, energy: np.ndarray, seed: int, batch_size: int
) -> Iterator[np.ndarray]:
    """Showers of all ``energy`` (n,) GeV in order, ``batch_size`` at a time, float32 GeV."""
    devices = len(jax.devices())
    mesh = make_mesh(MeshConfig(), devices)
    size = -(-min(batch_size, len(energy)) // devices) * devices
    step = jax.jit(
        partial(generate, cfg),
        in_shardings=(replicated(mesh), over_data(mesh), over_data(mesh), replicated(mesh)),
        out_shardings=over_data(mesh),
    )
    generator = jax.device_put(generator, replicated(mesh))
    pending: tuple[jax.Array, int] | None = None
    with jax.set_mesh(mesh):
        for start in range(0, len(energy), size):
            index = np.arange(start, start + size, dtype=np.int32)
            rows = np.minimum(index, len(energy) - 1)
            made = step(
                generator, jax.device_put(energy[rows].astype(np.float32), over_data(mesh)),
                jax.device_put(index, over_data(mesh)), np.int32(seed),
            )  # fmt: skip
            # Hand out the batch before while the device makes this one.
            if pending:
                yield np.asarray(pending[0])[: pending[1]]
            pending = made, min(size, len(energy) - start)
    if pending:
        yield np.asarray(pending[0])[: pending[1]]
