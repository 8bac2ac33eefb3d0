"""Classifier tests: how well something that was trained for it tells two samples apart.

An area under the ROC curve (AUC) of 0.5 and a Jensen-Shannon divergence (JSD) of 0 mean that it
cannot. The published network and settings are those of the CaloChallenge (arXiv:2410.21611).
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import optimize, stats

from hepjax import MissingExtraError

SPLIT = (0.6, 0.2, 0.2)
"""Of each sample: to train, to choose the epoch and calibrate, to judge (published)."""
SLOPE = 0.01
"""Of the leaky ReLU (published)."""


@dataclass(frozen=True)
class Settings:
    """A multilayer perceptron and its training with Adam."""

    width: int = 128
    layers: int = 2
    """Square layers between the first, which takes the input, and the output."""
    rate: float = 1e-3
    batch: int = 128
    epochs: int = 20
    standardise: bool = True
    """Columns to mean 0 and spread 1 on the training part, cut off at 5; not in the published."""


SMALL = Settings()
PUBLISHED = Settings(2048, 2, 2e-4, 1000, 50, standardise=False)


class Found(NamedTuple):
    """What a classifier finds on events that it has not seen; JSD in units of ln 2."""

    auc: float
    jsd: float


class Over(NamedTuple):
    """Means over seeds and the standard deviations over them; NaN with one seed."""

    auc: float
    auc_error: float
    jsd: float
    jsd_error: float


Classify = Callable[[np.ndarray, np.ndarray, int], Found]
"""(reference, other, seed): samples of rows (n, features) and (m, features)."""


def over_seeds(classify: Classify, reference: np.ndarray, other: np.ndarray, seeds: int) -> Over:
    """The test with other splits and other initial weights, ``seeds`` times."""
    found = np.array([classify(reference, other, seed) for seed in range(seeds)])
    spread = found.std(0, ddof=1) if seeds > 1 else np.full(2, np.nan)
    return Over(float(found[:, 0].mean()), float(spread[0]),
                float(found[:, 1].mean()), float(spread[1]))  # fmt: skip


def network(reference: np.ndarray, other: np.ndarray, seed: int, settings: Settings) -> Found:
    """Train a network on 60 % of both samples; judge its best epoch on 20 % that it did not see.

    The best epoch has the highest accuracy on the other 20 %, which also calibrate the score by
    isotonic regression before the JSD. Events in excess in one sample are left out.
    """
    rng = np.random.default_rng(seed)
    train, choose, judge = _parts(reference, other, rng)
    inputs = [part[0] for part in (train, choose, judge)]
    if settings.standardise:
        inputs = _standardised(inputs)
    placed = [jnp.asarray(x, jnp.float32) for x in inputs]
    label = jnp.asarray(train[1], jnp.float32)
    key = jax.random.key(seed)
    weights = _initial(key, placed[0].shape[1], settings)
    state, best, chosen = optax.adam(settings.rate).init(weights), -1.0, weights
    for epoch in range(settings.epochs):
        weights, state = _epoch(
            settings, weights, state, placed[0], label, jax.random.fold_in(key, epoch)
        )
        accuracy = float(((np.asarray(_scores(weights, placed[1])) > 0) == choose[1]).mean())
        if accuracy > best:
            best, chosen = accuracy, weights
        if best == 1.0:
            break
    scores = [np.asarray(jax.nn.sigmoid(_scores(chosen, x)), float) for x in placed[1:]]
    return judged(scores[0], choose[1], scores[1], judge[1])


def boosted(reference: np.ndarray, other: np.ndarray, seed: int) -> Found:
    """The same test with boosted decision trees, which need no scaling and little time.

    Raises:
      MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise MissingExtraError("gradient boosting", "metrics") from None
    train, choose, judge = _parts(reference, other, np.random.default_rng(seed))
    trees = HistGradientBoostingClassifier(
        learning_rate=0.1, max_iter=100, max_leaf_nodes=15, early_stopping=False, random_state=seed
    )
    with threadpool_limits(1):  # its threads wait busily for one another on cores with other work
        trees.fit(*train)
        scores = [trees.predict_proba(part[0])[:, 1] for part in (choose, judge)]
    return judged(scores[0], choose[1], scores[1], judge[1])


def judged(
    calibration: np.ndarray, calibration_label: np.ndarray, score: np.ndarray, label: np.ndarray
) -> Found:
    """AUC of ``score`` and JSD of the calibrated score.

    Args:
      calibration, score: probabilities of being reference, of two sets of events.
      calibration_label, label: 1 for reference, 0 for the other sample.

    JSD = (ln 2 - binary cross-entropy) / ln 2; below 0 where the calibration does not carry over.
    Calibrated scores stay 1 / (events + 2) away from 0 and 1: isotonic regression gives either to
    the first and last events, and one event on the other side would make the loss infinite.
    """
    positive = label > 0.5
    area = stats.mannwhitneyu(score[positive], score[~positive]).statistic
    order = np.argsort(calibration, kind="stable")
    fitted = optimize.isotonic_regression(calibration_label[order].astype(float)).x
    # Equal scores are one point of the curve.
    at, start = np.unique(calibration[order], return_index=True)
    level = np.add.reduceat(fitted, start) / np.diff([*start, len(fitted)])
    edge = 1 / (len(calibration) + 2)
    p = np.clip(np.interp(score, at, level), edge, 1 - edge)
    loss = -np.log(np.where(positive, p, 1 - p)).mean()
    return Found(float(area / (positive.sum() * (~positive).sum())), float(1 - loss / np.log(2)))


def _parts(
    reference: np.ndarray, other: np.ndarray, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows and labels of the three parts; both samples have the same share in each.

    Rows of one number stay together in samples of one size. Generated showers mostly have the
    incident energies of the reference: where one of a pair is trained on, the energy alone would
    say that the other, judged, is of the other sample, and the AUC of a classifier that finds
    nothing else would be below 0.5.
    """
    n = min(len(reference), len(other))
    cuts = np.cumsum([int(n * share) for share in SPLIT[:-1]])
    orders = [rng.permutation(len(s))[:n] for s in (reference, other)]
    if len(reference) == len(other):
        orders = orders[:1] * 2
    samples = [np.split(order, cuts) for order in orders]
    parts = []
    for ours, theirs in zip(*samples, strict=True):
        rows = np.concatenate([reference[ours], other[theirs]])
        parts.append((rows, np.repeat([True, False], [len(ours), len(theirs)])))
    return parts


def _standardised(inputs: list[np.ndarray]) -> list[np.ndarray]:
    mean, spread = inputs[0].mean(0), inputs[0].std(0)
    spread = np.where(spread > 1e-6 * np.abs(mean) + 1e-30, spread, np.inf)
    return [np.clip((x - mean) / spread, -5, 5) for x in inputs]


def _initial(key: jax.Array, inputs: int, settings: Settings) -> Any:
    """Weights and biases uniform within 1 / sqrt(inputs), the default of PyTorch's linear layer."""
    sizes = [inputs, *[settings.width] * (settings.layers + 1), 1]
    weights = []
    for k, (size, out) in enumerate(itertools.pairwise(sizes)):
        bound = size**-0.5
        w, b = jax.random.split(jax.random.fold_in(key, 1_000_000 + k))
        weights.append((
            jax.random.uniform(w, (size, out), minval=-bound, maxval=bound),
            jax.random.uniform(b, (out,), minval=-bound, maxval=bound),
        ))  # fmt: skip
    return weights


@jax.jit
def _scores(weights: Any, x: jax.Array) -> jax.Array:
    """Log-odds of being reference, (n,)."""
    for w, b in weights[:-1]:
        x = jax.nn.leaky_relu(x @ w + b, SLOPE)
    w, b = weights[-1]
    return (x @ w + b)[:, 0]


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def _epoch(
    settings: Settings, weights: Any, state: Any, x: jax.Array, label: jax.Array, key: jax.Array
) -> tuple[Any, Any]:
    """One pass over the rows in random order; what fills no batch waits for another epoch."""
    batch = min(settings.batch, len(x))
    steps = len(x) // batch
    order = jax.random.permutation(key, len(x))[: steps * batch].reshape(steps, batch)
    optimizer = optax.adam(settings.rate)

    def loss(weights: Any, rows: jax.Array) -> jax.Array:
        odds = _scores(weights, x[rows])
        return optax.sigmoid_binary_cross_entropy(odds, label[rows]).mean()

    def step(carry: tuple[Any, Any], rows: jax.Array) -> tuple[tuple[Any, Any], None]:
        weights, state = carry
        updates, state = optimizer.update(jax.grad(loss)(weights, rows), state)
        return (optax.apply_updates(weights, updates), state), None

    return jax.lax.scan(step, (weights, state), order)[0]
