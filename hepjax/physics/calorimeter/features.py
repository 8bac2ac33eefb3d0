"""What classifiers and distances between distributions see of a shower, for any calorimeter.

The high-level features are those of the evaluation of the CaloChallenge (arXiv:2410.21611), in its
order and units: 30 and 46 numbers for data set 1 (photons, pions), 362 for data sets 2 and 3.
"""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.physics.calorimeter import grids
from hepjax.physics.calorimeter.grids import Array

MEV = 1e3
"""Per GeV."""
FLOOR = 1e-8
"""MeV that is added below logarithms (published)."""
NOTHING = 1e-16
"""Added to energies that divide (published)."""
DECIMETRE = 100.0
"""mm; centres and widths are given in it."""
GROUPS = {
    "incident": "log10 of the incident energy / MeV",
    "layer": "log10 of the energy of a layer / MeV",
    "centre_x": "centre of energy along x (eta), dm",
    "centre_y": "centre of energy along y (phi), dm",
    "width_x": "width along x (eta), dm",
    "width_y": "width along y (phi), dm",
    "total": "log10 of the visible energy / MeV",
    "sparsity": "share of empty cells of a layer",
    "centre_r": "centre of energy in r, dm",
    "width_r": "width in r, dm",
}
"""Groups of the high-level features in their order; x and y only of layers with sectors."""


@lru_cache
def columns(calorimeter: Calorimeter) -> tuple[tuple[str, int | None], ...]:
    """Group and layer (its number; None for the whole shower) of each high-level feature."""
    numbers = [layer.number for layer in calorimeter.layers]
    angular = [numbers[i] for i in grids.angular_layers(calorimeter)]
    of: dict[str, list[int] | list[None]] = dict.fromkeys(GROUPS, numbers)
    of |= {"incident": [None], "total": [None]}
    of |= dict.fromkeys(("centre_x", "centre_y", "width_x", "width_y"), angular)
    return tuple((group, number) for group in GROUPS for number in of[group])


@partial(jax.jit, static_argnums=2)
def high_level(showers: Array, energy: Array, calorimeter: Calorimeter) -> jax.Array:
    """High-level features of showers, (n, features), see ``columns``.

    Args:
      showers: (n, ``*calorimeter.shape``) GeV.
      energy: (n,) incident energies, GeV.

    The width is sqrt(<x^2> - <x>^2) with the energies as weights, never below 0.
    """
    cells = grids.by_layer(jnp.asarray(showers) * MEV, calorimeter)
    place = grids.positions(calorimeter)
    x, y, r = (jnp.asarray(v / DECIMETRE, cells.dtype) for v in place)
    weights = jnp.stack([x, y, r, x * x, y * y, r * r], axis=-1)
    layer = cells.sum(2)
    # Products on TPUs and GPUs are rounded to 8 or 11 bits unless told otherwise.
    sums = jnp.einsum("nlv,lvk->nlk", cells, weights, precision="highest")
    means = sums / (layer + NOTHING)[:, :, None]
    centre = means[..., :3]
    width = jnp.sqrt(jnp.maximum(means[..., 3:] - centre**2, 0.0))
    filled = (cells > 0).sum(2) / grids.cells_of_layers(calorimeter)
    angular = grids.angular_layers(calorimeter)
    incident = jnp.log10(jnp.asarray(energy) * MEV)[:, None]
    total = jnp.log10(layer.sum(1) + FLOOR)[:, None]
    return jnp.concatenate(
        [
            incident, jnp.log10(layer + FLOOR), centre[:, angular, 0], centre[:, angular, 1],
            width[:, angular, 0], width[:, angular, 1], total, 1.0 - filled, centre[..., 2],
            width[..., 2],
        ],
        axis=1,
    )  # fmt: skip


def low_level(
    cells: np.ndarray, energy: np.ndarray, calorimeter: Calorimeter, *, normalised: bool = False
) -> np.ndarray:
    """Cells as the published classifier sees them, (n, 1 + cells) float32, not standardised.

    log10 of the incident energy in MeV, then every cell over the incident energy. ``normalised``:
    over the energy of its layer instead, and log10 of the layers' energies in MeV behind them.

    Args:
      cells: (n, ``*calorimeter.shape``) GeV, after the threshold.
      energy: (n,) incident energies, GeV.
    """
    flat = cells.reshape(len(cells), -1)
    incident = np.log10(energy * MEV, dtype=np.float32)[:, None]
    if not normalised:
        return np.concatenate([incident, flat / energy[:, None]], axis=1, dtype=np.float32)
    layer_of = grids.places(calorimeter)[:, 2]
    layer = np.asarray(grids.by_layer(cells, calorimeter).sum(2), np.float32)
    shares = flat / (layer[:, layer_of] + NOTHING / MEV)
    return np.concatenate(
        [incident, shares, np.log10(layer * MEV + FLOOR)], axis=1, dtype=np.float32
    )


def relative_energies(sample: np.ndarray, calorimeter: Calorimeter) -> np.ndarray:
    """High-level features (n, features) with energies over the incident one, for decision trees.

    Trees cut along one feature at a time and find a ratio of two features with difficulty.
    """
    energies = [group in ("layer", "total") for group, _ in columns(calorimeter)]
    found = np.array(sample, float)
    found[:, energies] -= found[:, :1]  # logarithms
    return found
