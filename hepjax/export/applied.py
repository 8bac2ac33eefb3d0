"""An exported model in place of the run that it was made of: answers by ONNX Runtime.

So the report of a workload judges the file as it judges the run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from hepjax.engine.inference import HostBatch
from hepjax.engine.workload import Advance, Model
from hepjax.export.parity import session
from hepjax.formats.source import Source
from hepjax.run import Run


@dataclass(frozen=True, eq=False)
class OnnxModel(Model[Any, Any]):
    """A model of the target ``generic`` with its noise outside."""

    session: Any = None

    def over(
        self, source: Source, batch_size: int, *, stop: int | None = None,
        advance: Advance = lambda n: None,
    ) -> Iterator[tuple[HostBatch, HostBatch]]:  # fmt: skip
        """Events of a source in order and the answers to them."""
        spec, workload, cfg = self.workload.spec(self.cfg, source), self.workload, self.cfg
        prepare = jax.jit(lambda raw: workload.prepare(cfg, spec, raw))
        names, total = workload.inputs(cfg).names, min(len(source), stop or len(source))
        for start in range(0, total, batch_size):
            raw = source[np.arange(start, min(start + batch_size, total))]
            batch = prepare(raw)
            yield raw, self._answers({name: np.asarray(batch[name]) for name in names}, start)
            advance(len(next(iter(raw.values()))))

    def given(self, inputs: HostBatch, batch_size: int) -> Iterator[HostBatch]:
        """Answers to inputs (n, ...), ``batch_size`` rows at a time."""
        count = len(next(iter(inputs.values())))
        for start in range(0, count, batch_size):
            rows = slice(start, min(start + batch_size, count))
            yield self._answers({name: a[rows] for name, a in inputs.items()}, start)

    def _answers(self, inputs: HostBatch, start: int) -> HostBatch:
        count = len(next(iter(inputs.values())))
        rng = np.random.default_rng((self.seed, start))
        given = dict(inputs)
        for asked in self.session.get_inputs():
            if asked.name not in given:
                normal = rng.normal(size=(count, *asked.shape[1:]))
                given[asked.name] = normal.astype(np.float32)
        names = [o.name for o in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, given), strict=True))


def applied(run: Run, content: bytes, seed: int = 0) -> OnnxModel:
    """The exported model ``content`` as a model of the run, to be judged by its workload."""
    model = run.model
    return OnnxModel(model.workload, model.cfg, model.placed, seed, True, session(content))
