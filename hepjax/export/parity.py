"""Whether an exported model says what the run says: the gate before any file is written."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from hepjax import HepjaxError, InputError, MissingExtraError
from hepjax.engine.workload import Field, Ranges, Workload
from hepjax.export.hosts import Host
from hepjax.export.integers import trained_in_int8
from hepjax.export.replay import answers
from hepjax.export.sizes import open_axes, some

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
"""Times that inputs are rounded otherwise, to find what rounding alone does to the run."""
JUMP = 1e-3
"""Over the largest value of an output: what rounding moves further has fallen to the other side of
an edge, such as a class between two, or an element between two bins of a hash."""
MOST_DECIDED = 0.01
"""Largest share of values beyond the tolerance, and only where rounding moves some of the run
beyond it as well: no file can agree better with the run than the run with itself."""


class ParityError(HepjaxError):
    """An exported model that differs from the run; nothing is written."""

    exit_code = 3


class Parity(NamedTuple):
    """How far a model is from the run."""

    error: float
    """The largest relative difference of values that do not jump."""
    decided_by_rounding: float
    """Share of values that jump, or are beyond the tolerance."""
    rounding: float = 0.0
    """How far the run itself moves where its inputs are rounded otherwise."""


def tolerance(cfg: Any) -> float:
    """The largest error of ``difference`` that passes, if rounding does not move the run more."""
    return STEP if trained_in_int8(cfg) else TOLERANCE


class Difference(NamedTuple):
    """Of an output from the run."""

    error: float
    undecided: int
    """Values that rounding decides."""
    rounding: float
    """How far rounding moves the other values of the run."""


def difference(
    cfg: Any, found: np.ndarray, wanted: np.ndarray, moved: np.ndarray
) -> Difference:  # fmt: skip
    """The difference of an output from that of the run.

    Args:
      moved: of each value, how far rounding its inputs moves the run, over the largest value.
    """
    error = np.abs(found.astype(np.float64) - wanted)
    if not np.isfinite(error).all():
        return Difference(float("inf"), 0, 0.0)
    scale = max(float(np.abs(wanted).max(initial=0.0)), 1e-30)
    if trained_in_int8(cfg):
        loose = (moved > TOLERANCE) | (error > STEP * scale)
        spread = max(float(np.square(wanted, dtype=np.float64).mean()), 1e-60)
        mean = float(np.square(error[~loose]).sum() / (error.size * spread)) ** 0.5
        return Difference(mean, int(loose.sum()), 0.0)
    jumps = moved > JUMP
    beyond = jumps | (error > TOLERANCE * scale)
    largest = float(error[~jumps].max(initial=0.0)) / scale
    return Difference(largest, int(beyond.sum()), float(moved[~jumps].max(initial=0.0)))


def require(cfg: Any, differences: list[Difference], values: int) -> Parity:
    """What the differences of all outputs are together, of so many values.

    Raises:
      ParityError: one is larger than the tolerance, or, where rounding moves the run itself by more
        than that, than a jump; or too many values are beyond the tolerance.
    """
    worst = max(d.error for d in differences)
    rounding = max(d.rounding for d in differences)
    share = sum(d.undecided for d in differences) / max(values, 1)
    agree = all(
        d.error <= (JUMP if d.rounding > TOLERANCE else tolerance(cfg)) for d in differences
    )
    if not agree or share > MOST_DECIDED:
        raise ParityError(
            f"the exported model: expected the answers of the run to {tolerance(cfg):.2g}, found "
            f"{worst:.2g} where rounding its inputs moves the run by {rounding:.2g}, and "
            f"{share:.2%} of the values beyond; no file was written"
        )
    return Parity(worst, share, rounding)


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


def examples(
    fields: Sequence[Field], count: int, lengths: dict[str, int], ranges: Ranges,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Numbers that inputs may have: within their range, or not negative and in part 0.

    Whole numbers without a range are places along the shortest open axis, no place in two fields:
    an edge does not end where it begins.

    Args:
      lengths: of the open axes, by name.
    """
    found: dict[str, np.ndarray] = {}
    places = [f.name for f in fields if _is_place(f, ranges) and lengths]
    for field in fields:
        names = iter(open_axes(field))
        shape = (count, *(lengths[next(names)] if n is None else n for n in field.shape))
        if field.dtype == "bool" or field.name == "mask":
            filled = rng.integers(max(shape[-1] // 2, 1), shape[-1] + 1, count)
            values: np.ndarray = np.arange(shape[-1]) < filled[:, None]
        elif field.name in ranges:
            values = rng.uniform(*ranges[field.name][:2], shape)
        elif field.name in places:
            each, first = len(places), places.index(field.name)
            values = first + each * rng.integers(0, min(lengths.values()) // each, shape)
        else:
            values = np.abs(rng.normal(size=shape)) * (rng.uniform(size=shape) < 0.7)
        found[field.name] = values.astype(field.dtype)
    return found


def _is_place(field: Field, ranges: Ranges) -> bool:
    return field.name not in ranges and np.issubdtype(np.dtype(field.dtype), np.integer)


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
    found: list[Difference] = []
    values = 0
    for count, elements in zip(BATCHES, ELEMENTS, strict=True):
        count = host.batch or count
        given = sample(host, workload, cfg, count, elements, rng)
        noise = [rng.normal(size=(count, *s)).astype(np.float32) for s in normals]
        named = given | {f"noise_{k}" if k else "noise": a for k, a in enumerate(noise)}
        said = dict(zip(host.units, runtime.run(list(host.units), named), strict=True))
        right = jax.device_get(answer(state, given, noise))
        moved = _moved_by_rounding(answer, state, given, noise, right, rng)
        for name, wanted in right.items():
            made = said[name]
            if made.shape != wanted.shape or not np.isfinite(made).all():
                raise ParityError(f"{name}: expected finite numbers {list(wanted.shape)} as in "
                                  f"JAX, found {list(made.shape)} from ONNX Runtime")  # fmt: skip
            found.append(difference(cfg, made, wanted, moved[name]))
            values += wanted.size
    return require(cfg, found, values)


def sample(
    host: Host, workload: Workload[Any, Any], cfg: Any, count: int, elements: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:  # fmt: skip
    """What the host might hand over."""
    if host.example is not None:
        return host.example(count, rng)
    ranges = workload.ranges(cfg)
    lengths = some(workload.inputs(cfg), workload.name, elements)
    return examples(host.inputs, count, lengths, ranges, rng)


def _moved_by_rounding(
    answer: Any, state: Any, given: dict[str, np.ndarray], noise: list[np.ndarray],
    right: dict[str, np.ndarray], rng: np.random.Generator,
) -> dict[str, np.ndarray]:  # fmt: skip
    """How far each value of the run itself moves, over the largest of its output, if its inputs
    are rounded otherwise."""
    moved = {name: np.zeros(a.shape) for name, a in right.items()}
    for _ in range(ROUNDINGS):
        again = {name: _rounded(a, rng) for name, a in given.items()}
        other = jax.device_get(answer(state, again, [_rounded(a, rng) for a in noise]))
        for name, a in right.items():
            scale = max(float(np.abs(a).max()), 1e-30)
            distance = np.abs(other[name].astype(np.float64) - a) / scale
            moved[name] = np.maximum(moved[name], distance)
    return moved


def _rounded(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Float32 numbers moved by up to one unit of their last digit."""
    if a.dtype != np.float32:
        return a
    return np.where(rng.uniform(size=a.shape) < 0.5, a, np.nextafter(a, np.float32(np.inf) * (
        1 - 2 * (rng.uniform(size=a.shape) < 0.5).astype(np.float32))))  # fmt: skip
