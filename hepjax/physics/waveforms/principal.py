"""The linear baseline: principal components of pulses of unit area."""

from typing import NamedTuple

import numpy as np


class Principal(NamedTuple):
    """Mean shape (samples,) and components (k, samples), orthonormal."""

    mean: np.ndarray
    components: np.ndarray


def fit(waveform: np.ndarray, area: np.ndarray, components: int) -> Principal:
    """The first components of the covariance of normal pulses (n, samples)."""
    shape = (waveform / area[:, None]).astype(np.float64)
    mean = shape.mean(0)
    _, vectors = np.linalg.eigh(np.cov(shape - mean, rowvar=False))
    first = vectors[:, ::-1][:, :components].T
    return Principal(mean.astype(np.float32), first.astype(np.float32))


def expected(model: Principal, waveform: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Pulses (n, samples) as the components have them, photoelectrons; negative parts are 0."""
    shape = waveform / area[:, None] - model.mean
    found = model.mean + (shape @ model.components.T) @ model.components
    return np.maximum(found, 0.0) * area[:, None]
