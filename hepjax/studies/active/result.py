"""What a study found: the contour, how sure it is, and what a Sobol scan of equal cost gives."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import TrainingError
from hepjax.studies.active import acquire, gaussian, loop, toys
from hepjax.studies.active.gaussian import Data, Kernel
from hepjax.studies.active.loop import ActiveStudy
from hepjax.studies.active.sequence import sobol
from hepjax.studies.study import Trial

TESTS = 4096
"""Places over which shares of the box are counted."""
STEPS = 5
"""Numbers of points at which both ways are compared, at most."""


class Arm(NamedTuple):
    """One way of choosing points."""

    name: str
    trials: list[Trial]
    data: Data
    kernel: Kernel
    points: np.ndarray
    """(k,) points with a value, at which the shares are counted."""
    expected: np.ndarray
    """(k,) share of the box that the Gaussian process itself expects on the wrong side."""
    wrong: np.ndarray | None
    """(k,) the true share, where the contour is known."""

    def at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean minus threshold and standard deviation (m,) at places (m, d)."""
        found = []
        with gaussian.double():
            for first in range(0, len(x), TESTS):
                piece = np.zeros((TESTS, x.shape[1]))  # of one size, compiled once
                n = len(x[first : first + TESTS])
                piece[:n] = x[first : first + TESTS]
                belief = _belief(self.data, self.kernel, jnp.asarray(piece))
                found.append((np.asarray(belief.mean)[:n], np.asarray(belief.variance)[:n]))
        mean, variance = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return mean, np.sqrt(variance)


_fit = jax.jit(gaussian.fit)
_belief = jax.jit(gaussian.posterior)
_left_out = jax.jit(gaussian.left_out)
_expected = jax.jit(lambda belief: acquire.misclassified(belief).mean())


def arms(study: ActiveStudy, trials: Sequence[Trial]) -> list[Arm]:
    """The loop, and the Sobol sequence at equal cost.

    Raises:
      TrainingError: too few values for a Gaussian process, or one that is not finite.
    """
    parts = {
        "loop": [t for t in trials if t.kind in ("initial", "filling", "asked")],
        "Sobol": [t for t in trials if t.kind in ("initial", "filling", "beside")],
    }
    return [_arm(study, name, part) for name, part in parts.items()]


def _arm(study: ActiveStudy, name: str, trials: list[Trial]) -> Arm:
    known = loop.told(study, trials)[1]
    if len(known) < loop.FEWEST:
        reasons = [f"point {t.number}: {t.failed}" for t in trials if t.failed]
        raise TrainingError(
            f"{study.folder}: expected {loop.FEWEST} simulations or more with a value, found "
            f"{len(known)} of {len(trials)}" + (f" ({reasons[0]})" if reasons else "")
        )
    counts = np.unique(np.linspace(min(study.initial, len(known)), len(known), STEPS).astype(int))
    tests = sobol(TESTS, len(study.axes), (study.seed, 2))
    expected, wrong = [], []
    with gaussian.double():
        at = jnp.asarray(tests)
        for count in counts:
            data = loop.data_of(study, known[:count], loop.buffer_rows(len(trials) + 1))
            kernel = _fit(data)
            loop.require_sound(kernel, study)
            belief = _belief(data, kernel, at)
            expected.append(float(_expected(belief)))
            if study.simulator in toys.TOYS:
                truth = toys.truth(toys.shares(study.axes, at)) - study.threshold
                wrong.append(float(((belief.mean > 0) != (truth > 0)).mean()))
    return Arm(
        name, trials, data, kernel, counts, np.array(expected),
        np.array(wrong) if wrong else None,
    )  # fmt: skip


def summary(study: ActiveStudy, trials: Sequence[Trial], found: Sequence[Arm]) -> dict[str, Any]:
    """The result in numbers."""
    ours, other = found
    with gaussian.double():
        off, spread = _left_out(ours.data, ours.kernel)
        used = np.asarray(ours.data.used)
        pulls = (np.asarray(off) / np.asarray(spread))[used]
    unseen = loop.told(study, [t for t in other.trials if t.kind == "beside"])[1]
    beyond = np.array([t.last["value"] > study.threshold for t in unseen])
    right = (ours.at(loop.places_of(study, unseen))[0] > 0) == beyond if unseen else np.zeros(0)
    share = float((ours.at(sobol(TESTS, len(study.axes), (study.seed, 2)))[0] > 0).mean())
    scores: dict[str, Any] = {
        "points": len(ours.trials), "simulations": len(trials),
        "failed": sum(t.failed is not None for t in trials), "threshold": study.threshold,
        "share_above": share, "acquisition": study.acquisition,
        "expected_wrong_share": ours.expected[-1], "sobol_expected_wrong_share": other.expected[-1],
        "unseen": len(unseen), "unseen_right": float(right.mean()) if len(right) else None,
        "pull_rms": float(np.sqrt((pulls**2).mean())),
        "lengths": {
            axis.key: float(x)
            for axis, x in zip(study.axes, np.exp(np.asarray(ours.kernel.length)), strict=True)
        },
        "scale": float(np.exp(ours.kernel.scale)), "noise": float(np.exp(ours.kernel.noise)),
        "seconds": sum(t.last.get("seconds", 0.0) for t in trials),
    }  # fmt: skip
    if ours.wrong is not None and other.wrong is not None:
        scores |= {"wrong_share": ours.wrong[-1], "sobol_wrong_share": other.wrong[-1]}
    return scores | {"verdict": _verdict(study, scores)}


def _verdict(study: ActiveStudy, scores: dict[str, Any]) -> str:
    kind = "wrong_share" if "wrong_share" in scores else "expected_wrong_share"
    ours, other = scores[kind], scores[f"sobol_{kind}"]
    said = "lies" if kind == "wrong_share" else "is expected"
    crossed = 0 < scores["share_above"] < 1
    return (
        f"{study.value} = {study.threshold:g} from {scores['points']} simulations "
        f"({scores['failed']} of all {scores['simulations']} failed): {100 * ours:.2g} % of the "
        f"box {said} on the wrong side, {100 * other:.2g} % with a Sobol scan of equal cost"
        + ("" if ours < other else "; the loop does not pay here")
        + ("" if crossed else "; the threshold is not crossed in this box")
    )  # fmt: skip
