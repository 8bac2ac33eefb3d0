"""How a calorimeter looks to the networks: an image of cells, or a list of them.

Showers travel as the files have them, (n, *calorimeter.shape). The networks see a box as it is, and
a cylinder whose layers are binned alike as a box of azimuth, radius and depth that closes in the
azimuth. A cylinder whose layers differ is a list of voxels, for dense layers.
"""

import jax
import jax.numpy as jnp

from hepjax.formats.showers.calorimeter import Calorimeter


def image(calorimeter: Calorimeter) -> tuple[int, ...]:
    """Of one shower as the networks see it: (x, y, z), or (voxels,); z is the depth."""
    if calorimeter.regular is not None:
        layers, sectors, rings = calorimeter.regular
        return sectors, rings, layers
    return calorimeter.shape


def closed(calorimeter: Calorimeter) -> bool:
    """Whether the first axis of the image is an azimuth, whose ends meet."""
    return calorimeter.regular is not None


def to_image(calorimeter: Calorimeter, cells: jax.Array) -> jax.Array:
    """Cells (n, *calorimeter.shape) as (n, *image)."""
    if calorimeter.regular is None:
        return cells
    return jnp.moveaxis(cells.reshape(-1, *calorimeter.regular), 1, -1)


def to_cells(calorimeter: Calorimeter, images: jax.Array) -> jax.Array:
    """Images (n, *image) as cells (n, *calorimeter.shape)."""
    if calorimeter.regular is None:
        return images
    return jnp.moveaxis(images, -1, 1).reshape(-1, *calorimeter.shape)
