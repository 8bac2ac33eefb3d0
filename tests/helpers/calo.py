"""Two-stage generators small enough for tests, calorimeters of each kind, and showers in them."""

import numpy as np

from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.engine.optimizers import OptimizerConfig
from hepjax.formats.showers.calorimeter import Calorimeter, Layer
from hepjax.formats.showers.described import Described
from hepjax.workloads.calo.config import (
    CaloConfig,
    CellsConfig,
    DataConfig,
    LayersConfig,
    ModelConfig,
    ObjectiveConfig,
)

BOX = Calorimeter(
    "box", tuple(Layer(number=i) for i in range(3)), (5, 5), energy=(10.0, 100.0), threshold=1e-4
)
RINGS = tuple(float(r) for r in range(0, 35, 5))
CYLINDER = Calorimeter(
    "cylinder", tuple(Layer(rings=RINGS, sectors=8, number=i) for i in range(2)),
    energy=(10.0, 100.0), threshold=1e-4,
)  # fmt: skip
RAGGED = Calorimeter(
    "ragged",
    (
        Layer(rings=(0.0, 5.0, 10.0, 20.0), number=0),
        Layer(rings=(0.0, 5.0, 10.0, 20.0, 40.0), sectors=6, number=1),
        Layer(rings=(0.0, 10.0, 30.0), number=2),
    ),
    energy=(10.0, 100.0), threshold=1e-4,
)  # fmt: skip
KINDS = {"box": BOX, "cylinder": CYLINDER, "ragged": RAGGED}


def tiny(
    calorimeter: Calorimeter = BOX, copula: str = "mix", *, moments: int = 2,
    critic_from: float = 0.0, epochs: int = 2, bins: int = 0, window: int = 4,
) -> CaloConfig:  # fmt: skip
    """A generator of a few thousand parameters."""
    return CaloConfig(
        model=ModelConfig(
            LayersConfig(moments, 2, (8,), bins),
            CellsConfig(copula, window, (16,), 8, 2, (16,), 0),  # type: ignore[arg-type]
        ),
        objective=ObjectiveConfig(statistics=2, critic_from=critic_from, critic_channels=4),
        optimizer=OptimizerConfig("adam", 3e-3, average=0.9),
        data=DataConfig(calorimeter=Described(calorimeter)),
        train=TrainConfig(batch_size=16, epochs=epochs, record_every=1),
        mesh=MeshConfig(devices=1),
    )


def showers(calorimeter: Calorimeter, n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random cells with a tenth of the incident energy; two in three cells are empty."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(*calorimeter.energy, n).astype(np.float32)
    cells = rng.exponential(size=(n, calorimeter.voxels)) ** 2
    cells *= rng.random(cells.shape) < 0.35
    cells *= 0.1 * energy[:, None] / np.maximum(cells.sum(1, keepdims=True), 1e-9)
    cells[cells < calorimeter.threshold] = 0
    shaped = cells.reshape(n, *calorimeter.shape).astype(np.float32)
    return {"ecal": shaped, "energy": energy}
