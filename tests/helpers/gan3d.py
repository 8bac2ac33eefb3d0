"""A 3DGAN small enough for tests, and showers to feed it."""

from dataclasses import replace

import numpy as np

from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.workloads.gan3d.config import Gan3DConfig, ModelConfig, published_optimizer

TINY = Gan3DConfig(
    model=ModelConfig(
        latent=4, seed_channels=1, generator_filters=(2, 2, 2),
        discriminator_filters=(2, 2, 2, 2), discriminator_kernel=3,
    ),
    optimizer=replace(published_optimizer(), reference_batch=8),
    train=TrainConfig(batch_size=8, epochs=2, record_every=1),
    mesh=MeshConfig(devices=1),
)  # fmt: skip


def raw_showers(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Smooth blobs with 2 % of the incident energy: the right shape, not the right physics."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(10, 500, n).astype(np.float32)
    x, y, z = np.meshgrid(*(np.arange(25),) * 3, indexing="ij")
    blob = np.exp(-((x - 12) ** 2 + (y - 12) ** 2) / 4 - (z - 11) ** 2 / 30)
    cells = blob * rng.gamma(2.0, 0.5, (n, 25, 25, 25))
    cells *= (0.02 * energy / cells.sum((1, 2, 3)))[:, None, None, None]
    return {"ecal": cells.astype(np.float32), "energy": energy}
