"""Whether an exported model says what the run says: the gate before any file is written."""

from typing import Any, NamedTuple

import jax
import numpy as np

from hepjax import HepjaxError, InputError, MissingExtraError
from hepjax.engine.workload import Field, Ranges, Workload
from hepjax.export.hosts import Host
from hepjax.export.integers import trained_in_int8
from hepjax.export.replay import answers

TOLERANCE = 1e-5
"""Largest difference over the largest value of an output, in float32."""
STEP = 1 / 255
"""In 8 bits: largest root mean square of the differences over that of the values. A number between
two steps of an activation falls to either by its last digit, and moves all that follows. Values
that move by more than this share of the largest are among those that rounding decides."""
BATCHES = (1, 3, 8)
"""Events at a time that are compared."""
ELEMENTS = (150, 333, 64)
"""Elements of an event, where they are open, of each of these batches."""
ROUNDINGS = 6
"""Times that inputs are rounded otherwise, to find what rounding alone decides."""
MOST_DECIDED = 0.01
"""Largest share of values that rounding alone may decide, such as a class between two."""


class ParityError(HepjaxError):
    """An exported model that differs from the run; nothing is written."""

    exit_code = 3


class Parity(NamedTuple):
    """The largest relative difference, and the share of values that rounding decides."""

    error: float
    decided_by_rounding: float


def tolerance(cfg: Any) -> float:
    """The largest error of ``difference`` that passes."""
    return STEP if trained_in_int8(cfg) else TOLERANCE


def difference(
    cfg: Any, found: np.ndarray, wanted: np.ndarray, loose: np.ndarray
) -> tuple[float, int]:
    """The error of an output, and how many of its values rounding decides.

    Args:
      loose: values that are known to be decided by rounding, and left out.
    """
    error = np.abs(found.astype(np.float64) - wanted)
    if not np.isfinite(error).all():
        return float("inf"), 0
    scale = max(float(np.abs(wanted).max(initial=0.0)), 1e-30)
    if not trained_in_int8(cfg):
        return float(error[~loose].max(initial=0.0)) / scale, int(loose.sum())
    loose = loose | (error > STEP * scale)
    spread = max(float(np.square(wanted, dtype=np.float64).mean()), 1e-60)
    return float(np.square(error[~loose]).sum() / (error.size * spread)) ** 0.5, int(loose.sum())


def session(model: bytes, threads: int = 0, optimised: bool = True) -> Any:
    """ONNX Runtime with a model, on CPUs.

    Raises:
      MissingExtraError: it is not installed. InputError: it refuses the model.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("ONNX Runtime", "onnx") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"expected a model that ONNX Runtime loads, found: {reason}") from None


def example(
    field: Field, count: int, elements: int, ranges: Ranges, rng: np.random.Generator
) -> np.ndarray:
    """Numbers that an input may have: within its range, or not negative and in part 0."""
    shape = (count, *(elements if n is None else n for n in field.shape))
    if field.dtype == "bool" or field.name == "mask":
        lengths = rng.integers(max(elements // 2, 1), elements + 1, count)
        return (np.arange(shape[-1]) < lengths[:, None]).astype(field.dtype)
    if field.name in ranges:
        low, high, _ = ranges[field.name]
        return rng.uniform(low, high, shape).astype(field.dtype)
    some = np.abs(rng.normal(size=shape)) * (rng.uniform(size=shape) < 0.7)
    return some.astype(field.dtype)


def check(
    model: bytes, workload: Workload[Any, Any], cfg: Any, state: Any, host: Host,
    normals: tuple[tuple[int, ...], ...], seed: int = 0,
) -> Parity:  # fmt: skip
    """Compare a model in ONNX Runtime with the run in JAX, the same numbers given to both.

    Args:
      model: the file, whose noise is outside.
      normals: shape for one event of each array of normal numbers that is an input.
    Raises:
      ParityError: it says something else.
    """
    runtime, answer = session(model), answers(workload, cfg, host)
    rng = np.random.default_rng(seed)
    worst, decided, total = 0.0, 0, 0
    for count, elements in zip(BATCHES, ELEMENTS, strict=True):
        count = host.batch or count
        given = sample(host, workload, cfg, count, elements, rng)
        noise = [rng.normal(size=(count, *s)).astype(np.float32) for s in normals]
        named = given | {f"noise_{k}" if k else "noise": a for k, a in enumerate(noise)}
        said = dict(zip(host.units, runtime.run(list(host.units), named), strict=True))
        right = jax.device_get(answer(state, given, noise))
        loose = _decided_by_rounding(answer, state, given, noise, right, rng)
        for name, wanted in right.items():
            found = said[name]
            if found.shape != wanted.shape or not np.isfinite(found).all():
                raise ParityError(f"{name}: expected finite numbers {list(wanted.shape)} as in "
                                  f"JAX, found {list(found.shape)} from ONNX Runtime")  # fmt: skip
            error, undecided = difference(cfg, found, wanted, loose[name])
            decided += undecided
            total += wanted.size
            worst = max(worst, error)
    share = decided / max(total, 1)
    if worst > tolerance(cfg) or share > MOST_DECIDED:
        raise ParityError(
            f"the exported model: expected the answers of the run to {tolerance(cfg):.2g}, found "
            f"{worst:.2g} in ONNX Runtime, beside {share:.2%} of the values that rounding "
            "decides; no file was written"
        )
    return Parity(worst, share)


def sample(
    host: Host, workload: Workload[Any, Any], cfg: Any, count: int, elements: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:  # fmt: skip
    """What the host might hand over."""
    if host.example is not None:
        return host.example(count, rng)
    ranges = workload.ranges(cfg)
    return {f.name: example(f, count, elements, ranges, rng) for f in host.inputs}


def _decided_by_rounding(
    answer: Any, state: Any, given: dict[str, np.ndarray], noise: list[np.ndarray],
    right: dict[str, np.ndarray], rng: np.random.Generator,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Which values of the run itself change by more than the tolerance if its inputs are rounded
    otherwise: an element between two bins of a hash, two classes of one probability."""
    loose = {name: np.zeros(a.shape, bool) for name, a in right.items()}
    for _ in range(ROUNDINGS):
        moved = {name: _rounded(a, rng) for name, a in given.items()}
        other = jax.device_get(answer(state, moved, [_rounded(a, rng) for a in noise]))
        for name, a in right.items():
            scale = max(float(np.abs(a).max()), 1e-30)
            loose[name] |= np.abs(other[name] - a) > TOLERANCE * scale
    return loose


def _rounded(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Float32 numbers moved by up to one unit of their last digit."""
    if a.dtype != np.float32:
        return a
    return np.where(rng.uniform(size=a.shape) < 0.5, a, np.nextafter(a, np.float32(np.inf) * (
        1 - 2 * (rng.uniform(size=a.shape) < 0.5).astype(np.float32))))  # fmt: skip
