"""The train loop of the engine without records and checkpoints, to time it with any reader."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from hepjax.engine.input import to_mesh
from hepjax.engine.mesh import make_mesh, over_data, replicated, state_shardings
from hepjax.engine.resident import Take
from hepjax.engine.step import compiled_step, init_state
from hepjax.engine.train import STEPS_IN_FLIGHT
from hepjax.engine.workload import Spec, Workload
from hepjax.formats.source import Batch
from hepjax.workloads.tagger import objective
from hepjax.workloads.tagger.config import TaggerConfig
from hepjax.workloads.tagger.workload import WORKLOAD


def _turned(cfg: TaggerConfig, spec: Spec, raw: objective.Batch) -> objective.Batch:
    """Images with the channels last."""
    image = raw["image"]
    if image.shape[1:3] != cfg.data.shape:
        image = jnp.moveaxis(image, 1, -1)
    return raw | {"image": image}


DENSE = replace(WORKLOAD, prepare=_turned)
"""The taggers on images that travel dense: ``image`` (n, eta, phi, channels), or channels first,
which are turned on the device."""


class Loop:
    """A network in training, its step compiled as ``hepjax train`` compiles it.

    With ``take`` and ``arrays`` the events are resident, see engine/resident.py.
    """

    def __init__(
        self, workload: Workload[TaggerConfig, objective.State], cfg: TaggerConfig,
        spec: Spec = Spec(), take: Take | None = None, arrays: Any = None,  # noqa: B008
    ) -> None:  # fmt: skip
        self._mesh = make_mesh(cfg.mesh, cfg.train.batch_size)
        begin = lambda: init_state(workload, cfg)  # noqa: E731
        shardings = state_shardings(cfg.mesh, self._mesh, jax.eval_shape(begin))
        self._state = jax.jit(begin, out_shardings=shardings)()
        self._update = compiled_step(workload, cfg, spec, 1000, shardings, self._mesh, take)
        self._arrays = None if arrays is None else jax.device_put(arrays, replicated(self._mesh))

    def put(self, batch: Batch) -> dict[str, jax.Array]:
        """A batch on the devices."""
        return to_mesh(batch, over_data(self._mesh))

    def update(self, batch: dict[str, jax.Array]) -> Any:
        """One update; returns metrics that may not be there yet."""
        with jax.set_mesh(self._mesh):
            self._state, metrics = self._update(self._state, batch, self._arrays)
        return metrics

    def run(self, batches: Iterator[Batch], after_first: Callable[[], None] = lambda: None) -> int:
        """An update for each batch; returns how many, when the last one is done.

        ``after_first`` is called when the first is done: the pipeline runs from then on.
        """
        in_flight: deque[Any] = deque()
        done = 0
        for batch in batches:
            in_flight.append(self.update(self.put(batch)))
            done += 1
            if done == 1:
                jax.block_until_ready(in_flight[0])
                after_first()
            if len(in_flight) > STEPS_IN_FLIGHT:
                jax.block_until_ready(in_flight.popleft())
        jax.block_until_ready(self._state)
        return done


def read_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, each read by a thread while the one before is used."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, batches, None)
        while (batch := waiting.result()) is not None:
            waiting = pool.submit(next, batches, None)
            yield batch
