"""Int8 after training: products and convolutions in 8 bits where the physics allows it.

ONNX Runtime quantises with ranges seen on calibration events. The scores of the workload's own
report decide: while one moves by more than the tolerance, the layers that lose most stay float.
"""

import math
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hepjax import InputError
from hepjax.engine.workload import About
from hepjax.export import parity
from hepjax.export.applied import OnnxModel, applied
from hepjax.export.onnx_file import onnx
from hepjax.formats.silence import silenced
from hepjax.formats.source import Part, Source
from hepjax.run import Run

TOLERANCE = 0.02
"""Largest change of a score."""
CALIBRATION = 64
"""Events whose ranges are taken."""
JUDGED = 1000
"""Events that the scores are of, at most."""
KINDS = ("Conv", "MatMul")
LARGEST = 10
"""Scores above are no plain ones: a rejection, a number of events."""


class Quantised(NamedTuple):
    """A model in int8 and what it costs."""

    content: bytes
    scores: dict[str, list[float]]
    """By name: of the float model, of this one."""
    in_float: list[str]
    """Layers that stayed float."""
    layers: int


class _Reader:
    """Calibration events, one at a time, as ONNX Runtime asks for them."""

    def __init__(self, feeds: Iterable[dict[str, np.ndarray]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def quantised(
    run: Run, content: bytes, paths: list[Path], *, tolerance: float = TOLERANCE, seed: int = 0
) -> Quantised:
    """The float model ``content`` (target generic, noise outside) in int8.

    Args:
      paths: events to calibrate and judge on; by default those of the run.
      tolerance: largest change of any score of the report.
    Raises:
      InputError: no events. ParityError: no choice of layers keeps the scores.
    """
    proto = onnx().load_model_from_string(content)
    names = _named(proto)
    source, _ = run.judged(paths)
    source = Part(source, 0, min(len(source), JUDGED))
    given = _events(run, content, source, seed)
    kept = applied(run, content, seed)
    before = plain_scores(run, kept, source)
    first = [a for _, a in zip(range(2), _outputs(content, given), strict=False)]
    floats: list[str] = []
    ranked: list[str] | None = None
    while True:
        chosen = [name for name in names if name not in floats]
        if not chosen:
            raise parity.ParityError(
                f"int8: expected scores within {tolerance:g} of those in float32 with some layers "
                f"in int8, found none of {len(names)}; no file was written"
            )
        made = _int8(proto, chosen, given)
        after = plain_scores(run, applied(run, made, seed), source)
        worst = max((abs(after.get(k, math.inf) - before[k]) for k in before), default=0.0)
        if worst <= tolerance:
            both = {k: [before[k], after[k]] for k in before}
            return Quantised(made, both, floats, len(names))
        if ranked is None:
            ranked = _by_loss(proto, names, given, first)
        floats = ranked[: max(1, 2 * len(floats))]


def _named(proto: Any) -> list[str]:
    """Give every node a name; those of layers: products and convolutions with fixed weights."""
    constants = {t.name for t in proto.graph.initializer}
    found = []
    for k, node in enumerate(proto.graph.node):
        node.name = node.name or f"{node.op_type}_{k}"
        if node.op_type in KINDS and node.input[1] in constants:
            found.append(node.name)
    return found


def _events(run: Run, content: bytes, source: Source, seed: int) -> list[dict[str, np.ndarray]]:
    """What the model is given for the first events, one feed an event, noise included."""
    feeds: list[dict[str, np.ndarray]] = []

    class Recorded:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def run(self, names: Any, given: dict[str, np.ndarray]) -> Any:
            count = len(next(iter(given.values())))
            feeds.extend({k: a[i : i + 1] for k, a in given.items()} for i in range(count))
            return self._inner.run(names, given)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    model = applied(run, content, seed)
    model = replace(model, session=Recorded(model.session))
    if run.workload.outputs(run.cfg).kind == "table":
        for _ in model.over(source, 8, stop=CALIBRATION):
            pass
    else:
        rows = source[np.arange(min(CALIBRATION, len(source)))]
        asked = {name: rows[name] for name in run.workload.inputs(run.cfg).names}
        for _ in model.given(asked, 8):
            pass
    return feeds


def _int8(proto: Any, chosen: list[str], given: list[dict[str, np.ndarray]]) -> bytes:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with (
        silenced(),
        # Steps are computed of all tensors, also of those with -inf (masks), which stay float.
        np.errstate(invalid="ignore"),
        tempfile.TemporaryDirectory(prefix="hepjax-int8-") as folder,
    ):
        before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(proto.SerializeToString())
        quantize_static(
            str(before), str(after), _Reader(given), quant_format=QuantFormat.QDQ,
            per_channel=True, nodes_to_quantize=chosen, weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )  # fmt: skip
        return after.read_bytes()


def _outputs(content: bytes, given: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """First output for the first events."""
    runtime = parity.session(content)
    return [runtime.run(None, feed)[0] for feed in given[:16]]


def _by_loss(
    proto: Any, names: list[str], given: list[dict[str, np.ndarray]], right: list[np.ndarray]
) -> list[str]:
    """The layers, those first whose int8 form alone changes the answer most."""
    loss = {}
    for name in names:
        found = _outputs(_int8(proto, [name], given[:16]), given[: len(right)])
        loss[name] = sum(float(np.square(a - b).sum()) for a, b in zip(found, right, strict=True))
    return sorted(names, key=lambda name: -loss[name])


def plain_scores(run: Run, model: OnnxModel, source: Source) -> dict[str, float]:
    """The plain scores of the report of the workload on the events of ``source``, by their path:
    numbers of ``scores.json``, and those one level below.

    Left out are errors, numbers of events, and what is no number up to ``LARGEST``.
    """
    if run.workload.evaluate is None:
        raise InputError(
            f"--precision int8: expected a workload with a report, found {run.workload.name}"
        )
    with tempfile.TemporaryDirectory(prefix="hepjax-int8-") as folder:
        about = About("", {}, [], figures=False)
        found = run.workload.evaluate(run.cfg, model, source, Path(folder) / "report", about)
    below = {f"{key}/{name}": v for key, part in found.items() if isinstance(part, dict)
             for name, v in part.items()}  # fmt: skip
    return {
        name: float(value)
        for name, value in (found | below).items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        and "error" not in name and not name.startswith("events") and abs(value) <= LARGEST
    }  # fmt: skip
