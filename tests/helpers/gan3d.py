"""A 3DGAN small enough for tests, and showers to feed it."""

from dataclasses import replace

import numpy as np

from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.engine.settings import find_config, read_settings
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.calorimeter import Layer as CalorimeterLayer
from hepjax.formats.showers.described import Described
from hepjax.workloads import table
from hepjax.workloads.gan3d import layers
from hepjax.workloads.gan3d.config import Gan3DConfig, ModelConfig, published_optimizer
from hepjax.workloads.gan3d.layers import Layer


def packaged(name: str, *overrides: str) -> Gan3DConfig:
    """A configuration that comes with hepjax."""
    settings = read_settings(find_config(f"gan3d/{name}"), list(overrides))
    return table.configure(settings)[1]


def narrow(features: int = 2, kernel: int = 3, pool: int = 1) -> ModelConfig:
    """The published fixed-angle networks with few features and small kernels."""
    first, *middle, last = layers.PUBLISHED_GENERATOR
    generator = (
        replace(first, dense=(7, 7, 8, 1)), *(replace(x, filters=features) for x in middle), last,
    )  # fmt: skip
    discriminator = [
        replace(x, filters=features, kernel=(kernel,) * 3) for x in layers.PUBLISHED_DISCRIMINATOR
    ]
    discriminator[0] = replace(discriminator[0], pool=(pool,) * 3)
    discriminator[-1] = replace(discriminator[-1], padding=(kernel // 2 - 1,) * 3)
    return ModelConfig(latent=4, generator=generator, discriminator=tuple(discriminator))


TINY = Gan3DConfig(
    model=narrow(),
    optimizer=replace(published_optimizer(), reference_batch=8),
    train=TrainConfig(batch_size=8, epochs=2, record_every=1),
    mesh=MeshConfig(devices=1),
)  # fmt: skip


TINY_ANGLE = replace(
    TINY,
    model=ModelConfig(
        latent=6, inputs="energy-angle", heads=("energy", "angle", "sum", "counts"),
        norm_epsilon=1e-6,
        generator=(
            Layer(dense=(4, 4, 4, 2)),
            Layer(upsample=(3, 3, 2), filters=3, kernel=(3, 3, 3), norm=True, activation="relu"),
            Layer(filters=1, kernel=(2, 2, 3), padding=(0, 0, 0), activation="relu"),
        ),
        discriminator=(
            Layer(filters=3, kernel=(3, 3, 3), activation="leaky", pool=(2, 2, 2)),
            Layer(filters=3, kernel=(3, 3, 3), activation="leaky", norm=True),
        ),
    ),
    objective=replace(TINY.objective, conditions="batch", weight_generation=3.0),
    data=replace(
        TINY.data, angle_range=(60.0, 120.0), scale=50.0, power=0.85,
        calorimeter=Described(
            Calorimeter("box", tuple(CalorimeterLayer(number=i) for i in range(6)), (11, 11))
        ),
    ),
)  # fmt: skip
"""A variable-angle 3DGAN of 11 x 11 x 6 cells."""


def raw_showers(
    n: int, seed: int = 0, shape: tuple[int, int, int] = (25, 25, 25)
) -> dict[str, np.ndarray]:
    """Smooth blobs with 2 % of the incident energy, tilted where the grid is not that of the fixed
    angle: the right shape, not the right physics."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(10, 500, n).astype(np.float32)
    x, y, z = np.meshgrid(*map(np.arange, shape), indexing="ij")
    a, b, c = (size // 2 for size in shape)
    if shape == (25, 25, 25):
        blob = np.exp(-((x - 12) ** 2 + (y - 12) ** 2) / 4 - (z - 11) ** 2 / 30)
        tilt, noise = {}, rng.gamma(2.0, 0.5, (n, *shape))
    else:
        theta = rng.uniform(np.radians(60), np.radians(120), n).astype(np.float32)
        slope = 1 / np.tan(theta)[:, None, None, None]
        across = (x - a) ** 2 + (y - b - slope * (z - c)) ** 2
        blob = np.exp(-across / 2 - (z - c) ** 2 / 4)
        tilt, noise = {"theta": theta}, rng.gamma(50.0, 0.02, (n, *shape))
    cells = blob * noise
    cells *= (0.02 * energy / cells.sum((1, 2, 3)))[:, None, None, None]
    return {"ecal": cells.astype(np.float32), "energy": energy} | tilt
