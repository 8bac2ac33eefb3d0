"""How good weights are: effective sizes, distances of histograms, how well two samples separate."""

import numpy as np


def effective_size(weights: np.ndarray) -> np.ndarray:
    """Effective number of events (...) of weights (n, ...): (sum w)^2 / sum w^2 (Kish)."""
    w = np.asarray(weights, float)
    squares = (w**2).sum(axis=0)
    return np.divide(w.sum(axis=0) ** 2, squares, out=np.zeros_like(squares), where=squares > 0)


def triangular_discriminator(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """1/2 sum (p - q)^2 / (p + q) of histograms (..., bins), each normalised to 1; times 1000 is
    what the OmniFold paper lists."""
    p, q = (np.asarray(x, float) for x in (p, q))
    p, q = (x / np.maximum(x.sum(axis=-1, keepdims=True), 1e-300) for x in (p, q))
    both = p + q
    terms = np.divide((p - q) ** 2, both, out=np.zeros_like(both), where=both > 0)
    return 0.5 * terms.sum(axis=-1)


def area_under_curve(
    score_one: np.ndarray, weight_one: np.ndarray, score_zero: np.ndarray, weight_zero: np.ndarray
) -> tuple[float, float]:
    """Area under the ROC curve of scores of two weighted samples, and its error.

    It is the weighted share of pairs in which class 1 has the higher score, half of equal ones. The
    error is that of equal samples, sqrt((1/n1 + 1/n0) / 12) of effective sizes.
    """
    scores = np.concatenate([score_one, score_zero])
    _, place = np.unique(scores, return_inverse=True)
    one = np.bincount(place[: len(score_one)], weight_one, place.max() + 1)
    zero = np.bincount(place[len(score_one) :], weight_zero, place.max() + 1)
    below = np.cumsum(zero) - zero
    area = float((one * (below + 0.5 * zero)).sum() / (one.sum() * zero.sum()))
    sizes = float(effective_size(weight_one)), float(effective_size(weight_zero))
    return area, float(np.sqrt((1 / sizes[0] + 1 / sizes[1]) / 12))


def bins_of(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(n,) number of the bin of each value; those outside are in the first and the last."""
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)


def histograms(place: np.ndarray, weights: np.ndarray, bins: int) -> np.ndarray:
    """(bins, k) sums of weights (n, k) of events in bins ``place`` (n,)."""
    found = np.zeros((bins, weights.shape[1]))
    for k in range(weights.shape[1]):
        found[:, k] = np.bincount(place, weights[:, k], bins)
    return found


def covariance(of_members: np.ndarray) -> np.ndarray:
    """(bins, bins) of histograms (members, bins); zeros of fewer than two members."""
    if len(of_members) < 2:
        return np.zeros((of_members.shape[1],) * 2)
    return np.cov(of_members, rowvar=False).reshape((of_members.shape[1],) * 2)
