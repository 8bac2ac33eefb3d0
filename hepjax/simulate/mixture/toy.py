"""Two observables of signal, background and interference whose densities are known exactly.

Background is N(0, 1), signal N((1, 0.5), 0.8) (variances), and the interference is proportional to
sqrt(p_S p_B) tanh(2 (x0 - 1/2)): it has both signs, and the sum is positive at every signal
strength. The reference is half signal, half background.
"""

from pathlib import Path

import numpy as np

from hepjax.formats.atomic import replacing_folder
from hepjax.formats.unfolding.npz import write_arrays

CENTRE, VARIANCE = np.array([1.0, 0.5]), 0.8
SIGNAL, BACKGROUND, INTERFERENCE = 200.0, 2000.0, 120.0
"""Expected events at signal strength 1."""
SHIFT, SCALE = 0.1, 0.03
"""One standard deviation of the systematic variation of the background: of the mean of x0, and
relative of the yield."""
BETWEEN = VARIANCE / (1 + VARIANCE)
"""Variance of the normal distribution that sqrt(p_S p_B) is proportional to, over 2."""


def log_normal_density(x: np.ndarray, mean: np.ndarray, variance: float) -> np.ndarray:
    """(n,) of normal distributions in two dimensions."""
    square = ((x - mean) ** 2).sum(axis=1)
    return -0.5 * square / variance - np.log(2 * np.pi * variance)


def log_densities(x: np.ndarray) -> dict[str, np.ndarray]:
    """(n,) ln p of ``signal``, ``background``, ``reference``, and ``between``, the normalised
    sqrt(p_S p_B)."""
    signal = log_normal_density(x, CENTRE, VARIANCE)
    background = log_normal_density(x, np.zeros(2), 1.0)
    return {
        "signal": signal, "background": background,
        "reference": np.logaddexp(signal, background) - np.log(2),
        "between": log_normal_density(x, CENTRE / (1 + VARIANCE), 2 * BETWEEN),
    }  # fmt: skip


def sign(x: np.ndarray) -> np.ndarray:
    """(n,) of the interference over sqrt(p_S p_B)."""
    return np.tanh(2 * (x[:, 0] - 0.5))


def mixture_samples(events: int, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Arrays of each sample: ``sim_x0``, ``sim_x1``, ``weights`` (n,), which add up to the expected
    events; signal ``signal_moved`` also has ``par_t``, by which its centre is moved in x0."""
    rng = np.random.default_rng(seed)

    def normal(mean: np.ndarray, variance: float) -> np.ndarray:
        return mean + np.sqrt(variance) * rng.normal(size=(events, 2))

    def arrays(x: np.ndarray, weights: np.ndarray | float, **more: np.ndarray) -> dict:
        found = np.broadcast_to(weights, events) / events
        return {
            "sim_x0": x[:, 0].astype(np.float32), "sim_x1": x[:, 1].astype(np.float32),
            "weights": found.astype(np.float32), **more,
        }  # fmt: skip

    background, zero = normal(np.zeros(2), 1.0), np.zeros(2)
    signal, between = normal(CENTRE, VARIANCE), normal(CENTRE / (1 + VARIANCE), 2 * BETWEEN)
    which = rng.random(events) < 0.5
    reference = np.where(which[:, None], normal(CENTRE, VARIANCE), normal(zero, 1.0))
    moved = rng.uniform(-0.5, 0.5, events)
    shifted = normal(CENTRE, VARIANCE) + np.stack([moved, np.zeros(events)], axis=1)
    up, down = (normal(np.array([s * SHIFT, 0.0]), 1.0) for s in (1, -1))
    return {
        "reference": arrays(reference, float(events)), "signal": arrays(signal, SIGNAL),
        "background": arrays(background, BACKGROUND),
        "interference": arrays(between, INTERFERENCE * sign(between)),
        "background_up": arrays(up, BACKGROUND * (1 + SCALE)),
        "background_down": arrays(down, BACKGROUND * (1 - SCALE)),
        "signal_moved": arrays(shifted, SIGNAL, par_t=moved.astype(np.float32)),
    }  # fmt: skip


def write_mixture(out: Path, events: int, seed: int) -> None:
    """Write all samples into a new folder, a file each."""
    with replacing_folder(out) as folder:
        for name, arrays in mixture_samples(events, seed).items():
            write_arrays(folder / f"{name}.npz", arrays)
