"""The one loop that applies a trained model: batches, padding, mesh, and back, in order.

Answers stream: one batch is in the making on the devices while the one before it is handed out.
Event ``i`` has the key ``fold_in(key(seed), i)``, so its answer does not depend on the batch it is
in nor on the devices that compute it, to rounding.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh

from hepjax.engine.compilation import Options
from hepjax.engine.config import MeshConfig
from hepjax.engine.input import for_devices
from hepjax.engine.mesh import make_mesh, over_data, state_shardings
from hepjax.formats.source import Batch as HostBatch
from hepjax.formats.source import Source

S = TypeVar("S")
Batch = dict[str, jax.Array]
Function = Callable[[S, Batch, jax.Array], Batch]
"""From state, arrays (n, ...) and keys (n,) to arrays (n, ...), one row an event; pure."""


def mesh_config(cfg: MeshConfig, devices: int) -> MeshConfig:
    """The mesh of an inference: the layout of the training, if ``devices`` allow it.

    The program is always the partitioned one: there is no gradient to average.
    """
    fits = devices % cfg.model_devices == 0
    layout, second = (cfg.layout, cfg.model_devices) if fits else ("replicated", 1)
    return replace(
        cfg, layout=layout, model_devices=second, devices=0, program="partitioned",
        batch_norm="global", overlap=False,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Placed(Generic[S]):
    """The state of a model on a mesh, ready to be applied."""

    mesh: Mesh
    state: S
    compiler_options: Options | None = None

    def over(
        self, function: Function[S], source: Source, batch_size: int, *, seed: int = 0,
        stop: int | None = None, advance: Callable[[int], object] = lambda n: None,
    ) -> Iterator[tuple[HostBatch, HostBatch]]:  # fmt: skip
        """Apply ``function`` to the events of a source in order, ``batch_size`` at a time.

        Events of different lengths are padded to the longest of their batch.

        Args:
          stop: number of the first event left out; by default all are taken.
          advance: called with the number of events after each batch.
        Yields:
          the events of a batch as the source gives them, and the answers, both without padding.
        """
        stop = len(source) if stop is None else min(stop, len(source))
        events = (source[rows] for rows in _rows(self._size(batch_size, stop), stop))
        for raw, answer in self._apply(function, events, stop, batch_size, seed):
            yield raw, answer
            advance(len(next(iter(answer.values()))))

    def given(
        self, function: Function[S], inputs: HostBatch, batch_size: int, *, seed: int = 0
    ) -> Iterator[HostBatch]:
        """Apply ``function`` to arrays (n, ...) that are there, ``batch_size`` rows at a time."""
        count = len(next(iter(inputs.values())))
        rows = _rows(self._size(batch_size, count), count)
        parts = ({name: a[r] for name, a in inputs.items()} for r in rows)
        for _, answer in self._apply(function, parts, count, batch_size, seed):
            yield answer

    def _size(self, batch_size: int, count: int) -> int:
        """Rows of a batch on the devices: a multiple of the devices that share it."""
        return -(-min(batch_size, count) // self.sharing()) * self.sharing()

    def sharing(self) -> int:
        """Devices that share the events of a batch."""
        return over_data(self.mesh).num_devices // _copies(self.mesh)

    def _apply(
        self, function: Function[S], batches: Iterator[HostBatch], count: int, batch_size: int,
        seed: int,
    ) -> Iterator[tuple[HostBatch, HostBatch]]:  # fmt: skip
        size, spread = self._size(batch_size, count), over_data(self.mesh)
        options = tuple((self.compiler_options or {}).items())
        compiled = _compiled(function, self.mesh, options)
        pending: tuple[HostBatch, Any, int] | None = None
        for number, raw in enumerate(batches):
            index = np.arange(number * size, (number + 1) * size, dtype=np.int32)
            with jax.set_mesh(self.mesh):
                made = compiled(
                    self.state, jax.device_put(for_devices(raw), spread),
                    jax.device_put(index, spread), np.int32(seed),
                )  # fmt: skip
            if pending is not None:
                yield _finished(*pending)
            pending = raw, made, min(size, count - number * size)
        if pending is not None:
            yield _finished(*pending)


def place(cfg: Any, abstract: Any, devices: int | None = None) -> tuple[Mesh, Any]:
    """The mesh for inference with a configuration, and the abstract state with its shardings.

    Args:
      cfg: with the ``mesh`` of ``mesh_config``.
      abstract: state of ``jax.eval_shape``.
    """
    count = len(jax.devices()) if devices is None else devices
    mesh = make_mesh(replace(cfg.mesh, devices=count), count)
    shardings = state_shardings(cfg.mesh, mesh, abstract)
    return mesh, jax.tree.map(
        lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), abstract, shardings
    )


def _rows(size: int, count: int) -> Iterator[np.ndarray]:
    """Rows of each batch; the last one repeats the last event, so that all have one shape."""
    for start in range(0, count, size):
        yield np.minimum(np.arange(start, start + size), count - 1)


def _copies(mesh: Mesh) -> int:
    """Devices that hold the same events: along the second axis, unless it spreads events too."""
    return mesh.shape["model"] if "model" in mesh.axis_names else 1


@functools.lru_cache(maxsize=32)
def _compiled(
    function: Function[Any], mesh: Mesh, options: tuple[tuple[str, bool | int | str], ...]
) -> Callable[..., Batch]:
    def step(state: Any, batch: Batch, index: jax.Array, seed: jax.Array) -> Batch:
        keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(seed)))(index)
        return function(state, batch, keys)

    return jax.jit(step, out_shardings=over_data(mesh), compiler_options=dict(options) or None)


def _finished(raw: HostBatch, made: Any, count: int) -> tuple[HostBatch, HostBatch]:
    answer = jax.device_get(made)
    return {k: v[:count] for k, v in raw.items()}, {k: v[:count] for k, v in answer.items()}
