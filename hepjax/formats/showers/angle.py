"""The measured polar angle of showers in numpy, for files; no jax, so that reading stays light.

``physics/calorimeter/observables.py`` has the same formula, compiled and differentiable.
"""

import numpy as np

EMPTY_SHOWER_ANGLE = 100.0
"""Published flag for a shower without energy, in place of an angle in rad."""


def measured_angle(showers: np.ndarray) -> np.ndarray:
    """Polar angle of each shower axis in the y-z plane, as stored in ``mtheta``.

    The angle of a layer is the slope from the barycentre of the shower to the barycentre of the
    layer. Layers with energy are averaged with weight z. Cell centres lie at i + 0.5.

    Args:
      showers: (n, x, y, z) cell energies in any unit, z the depth.
    Returns:
      (n,) float32 rad; pi/2 is normal incidence, 100 an empty shower.
    Source: svalleco/3Dgan, branch Anglegan.
    """
    xz = showers.sum(2, dtype=np.float64)
    yz = showers.sum(1, dtype=np.float64)
    by_layer = xz.sum(1)
    x, y, z = (np.arange(n) + 0.5 for n in showers.shape[1:])
    total = by_layer.sum(1)
    x0, y0 = _share((x @ xz).sum(1), total), _share((y @ yz).sum(1), total)
    z0 = _share(by_layer @ z, total)[:, None]
    layer_x, layer_y = _share(x @ xz, by_layer), _share(y @ yz, by_layer)

    distance = np.maximum(np.hypot(layer_x - x0[:, None], z - z0), 1e-7)
    slope = (layer_y - y0[:, None]) / distance
    angle = np.pi / 2 - np.arctan(np.where(z < z0, -slope, slope))
    weight = np.where(by_layer > 0, z, 0.0)
    mean = _share((weight * angle).sum(1), weight.sum(1))
    return np.where(total > 0, mean, EMPTY_SHOWER_ANGLE).astype(np.float32)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where there is no whole."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
