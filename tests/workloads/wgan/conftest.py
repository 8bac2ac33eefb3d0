"""Showers of the photon calorimeter that are blobs, in two slices of pseudorapidity."""

from pathlib import Path

import numpy as np
import pytest

from hepjax.formats.showers import calorimeters
from hepjax.formats.showers.writer import write_showers

ENERGIES = (4.096, 16.384, 65.536)


def blobs(count: int, share: float, seed: int) -> dict[str, np.ndarray]:
    """Showers that leave a share of their energy, to a tenth, in the same voxels."""
    calorimeter = calorimeters.calorimeter("atlas-photons")
    rng = np.random.default_rng(seed)
    shape = np.random.default_rng(0).exponential(size=calorimeter.voxels) ** 3
    energy = rng.choice(ENERGIES, count).astype(np.float32)
    total = share * energy * rng.normal(1.0, 0.1, count)
    cells = total[:, None] * shape / shape.sum() * rng.uniform(0.9, 1.1, (count, len(shape)))
    return {"ecal": cells.astype(np.float32), "energy": energy}


@pytest.fixture(scope="session")
def slices(tmp_path_factory) -> list[Path]:
    """A folder for each of two slices; the second has fewer events."""
    folder = tmp_path_factory.mktemp("slices")
    calorimeter = calorimeters.calorimeter("atlas-photons")
    for number, (count, share) in enumerate(((400, 0.8), (300, 0.5))):
        write_showers(
            folder / f"{number}", [blobs(count, share, number)], layout="calochallenge",
            events_per_file=400, calorimeter=calorimeter,
        )  # fmt: skip
    return [folder / "0", folder / "1"]
