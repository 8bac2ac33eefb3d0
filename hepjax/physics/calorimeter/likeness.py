"""How much the showers of one energy differ from one another, by pictures of single showers.

A generator without diversity makes showers that are too much alike; one that is too noisy makes
them too different. Pictures are energies summed over one axis, over the incident energy.
"""

import numpy as np
from scipy import ndimage, stats
from scipy.spatial import distance

WINDOW = 7
"""Cells; of the structural similarity (the default of scikit-image)."""
LIGHT, CONTRAST = 0.01, 0.03
"""Constants of the structural similarity, times the range of the pictures (published)."""


def structural_similarity(pictures: np.ndarray, span: float) -> np.ndarray:
    """Mean structural similarity (SSIM) of each picture with the next one, (n - 1,); 1 if equal.

    Source: Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Processing 13 (2004) 600, with equal
    weights in a square window and sample covariances, as scikit-image has it.

    Args:
      pictures: (n, a, b).
      span: range of the values.
    """
    images = np.asarray(pictures, float)
    if len(images) < 2:
        return np.zeros(0)
    odd = [min(WINDOW, size - 1 + size % 2) for size in images.shape[1:]]
    size = (1, *odd)
    number = float(np.prod(size))
    x, y = images[:-1], images[1:]
    mean_x, mean_y, xx, yy, xy = (
        ndimage.uniform_filter(p, size) for p in (x, y, x * x, y * y, x * y)
    )
    unbiased = number / (number - 1) if number > 1 else 1.0
    var_x, var_y = unbiased * (xx - mean_x**2), unbiased * (yy - mean_y**2)
    covariance = unbiased * (xy - mean_x * mean_y)
    light, contrast = (LIGHT * span) ** 2, (CONTRAST * span) ** 2
    similarity = ((2 * mean_x * mean_y + light) * (2 * covariance + contrast)) / (
        (mean_x**2 + mean_y**2 + light) * (var_x + var_y + contrast)
    )
    a, b = (n // 2 for n in odd)  # windows that reach beyond the picture do not count
    inner = similarity[:, a : similarity.shape[1] - a, b : similarity.shape[2] - b]
    return np.asarray(inner.mean((1, 2)))


def pair_distances(pictures: np.ndarray) -> np.ndarray:
    """Euclidean distances of all pairs of pictures (n, a, b): (n (n - 1) / 2,)."""
    return np.asarray(distance.pdist(np.asarray(pictures, float).reshape(len(pictures), -1)))


def gromov_wasserstein(reference: np.ndarray, generated: np.ndarray) -> float:
    """A lower bound of the Gromov-Wasserstein distance of two samples of pictures, over the mean
    distance of a pair of the reference; NaN without a pair.

    Half the Wasserstein distance of the distributions of pair distances: the distance itself is a
    quadratic assignment problem, this bound (Memoli, Found. Comput. Math. 11 (2011) 417) is not.
    """
    r, g = pair_distances(reference), pair_distances(generated)
    if len(r) == 0 or len(g) == 0 or r.mean() == 0:
        return float("nan")
    return float(stats.wasserstein_distance(r, g) / 2 / r.mean())
