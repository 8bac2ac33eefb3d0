"""How a calorimeter looks to the networks: an image of cells, or a list of them.

Showers travel as the files have them, (n, *calorimeter.shape). The networks see a box as it is, and
a cylinder whose layers are binned alike as a box of azimuth, radius and depth that closes in the
azimuth. A cylinder whose layers differ is a list of voxels, for dense layers.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import yaml

from hepjax import InputError
from hepjax.formats.showers import calorimeters
from hepjax.formats.showers.calorimeter import Calorimeter


@dataclass(frozen=True)
class Described:
    """The setting that is a calorimeter: a name, a file, or what such a file holds.

    A run keeps the name of one that comes with hepjax, and the description of any other, so that it
    does not depend on a file.
    """

    calorimeter: Calorimeter
    in_words: ClassVar[str] = "name, file or mapping"

    @classmethod
    def from_setting(cls, value: Any, key: str) -> "Described":
        """Read it.

        Raises:
          InputError: no such calorimeter, or a description that is not one.
        """
        if isinstance(value, str):
            return cls(calorimeters.calorimeter(value))
        if isinstance(value, dict):
            text = yaml.safe_dump(value, sort_keys=False)
            return cls(calorimeters.read_yaml(text, str(value.get("name", key))))
        raise InputError(f"{key}: expected the name or file of a calorimeter, found {value!r}")

    def to_setting(self) -> Any:
        """A name, or a mapping."""
        known = self.calorimeter
        if known.name in calorimeters.names() and calorimeters.calorimeter(known.name) == known:
            return known.name
        return calorimeters.as_yaml(known)


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
