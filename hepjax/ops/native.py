"""The native CPU kernels: loading them, and the 3-D convolution as JAX functions.

The functions (XLA FFI custom calls) work under ``jit`` and ``vmap`` and with a batch sharded over
devices. Derivatives are in ``conv_platform``. Call them only if ``kernels().path`` is not None.
"""

import contextlib
import contextvars
import ctypes
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from hepjax.ops import native_build
from hepjax.ops.conv_jax import Pads, Triple, output_size

FORWARD = "hepjax_conv3d"
KERNEL_GRADIENT = "hepjax_conv3d_kernel_gradient"
LAYER = "hepjax_layer"
LAYER_GRADIENT = "hepjax_layer_gradient"


class Kernels(NamedTuple):
    """Path of the loaded library, or None; and in words which kernels, or why none."""

    path: Path | None
    note: str


@functools.cache
def kernels() -> Kernels:
    """Load and register the kernels, once a process; build them if no build is in the cache."""
    try:
        path = native_build.compiled()
        library = ctypes.cdll.LoadLibrary(str(path))
    except (native_build.BuildError, OSError) as error:
        return Kernels(None, str(error).replace("\n", " "))
    for name in (FORWARD, KERNEL_GRADIENT, LAYER, LAYER_GRADIENT):
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(getattr(library, name)), platform="cpu")
    kernel_set = library.hepjax_kernel_set
    kernel_set.restype = ctypes.c_char_p
    sets = f"float32 {kernel_set(0).decode()}, bfloat16 {kernel_set(1).decode()}"
    return Kernels(path, f"kernels for {sets}, {path}")


@functools.cache
def warn_once(note: str) -> None:
    """Print one line that says why the slower path runs, once a process."""
    print(f"hepjax: running without native kernels, slower: {note}", file=sys.stderr)


@contextlib.contextmanager
def library_only() -> Iterator[None]:
    """Inside, functions are traced with what XLA has, as other programs have it."""
    token = _LIBRARY.set(True)
    try:
        yield
    finally:
        _LIBRARY.reset(token)


_LIBRARY: contextvars.ContextVar[bool] = contextvars.ContextVar("_LIBRARY", default=False)


def is_library_only() -> bool:
    """Whether functions are traced with what XLA has."""
    return _LIBRARY.get()


def forward(x: jax.Array, w: jax.Array, strides: Triple, pads: Pads) -> jax.Array:
    """The convolution; see ``conv3d``."""
    size = tuple(map(output_size, x.shape[1:4], w.shape, strides, pads))
    low = tuple(low for low, _ in pads)
    return _events(_Call(strides, low, False, size, w.shape[4]))(x, w)


def input_gradient(
    w: jax.Array, dy: jax.Array, strides: Triple, pads: Pads, input_shape: tuple[int, ...]
) -> jax.Array:
    """Gradient to the input: the transpose of ``forward`` in ``x``."""
    # Zeros between the outputs turn it into a convolution with stride 1.
    dy = lax.pad(
        dy, jnp.zeros((), dy.dtype), [(0, 0, 0), *((0, 0, s - 1) for s in strides), (0, 0, 0)]
    )
    low = tuple(k - 1 - p[0] for k, p in zip(w.shape, pads, strict=False))
    return _events(_Call((1, 1, 1), low, True, input_shape[1:4], w.shape[3]))(dy, w)


def kernel_gradient(
    x: jax.Array, dy: jax.Array, strides: Triple, pads: Pads, kernel_shape: tuple[int, ...]
) -> jax.Array:
    """Gradient to the kernel: the transpose of ``forward`` in ``w``.

    The order of the sum over events depends on the batch size alone, not on threads.
    """
    return _sum_over_events(strides, tuple(low for low, _ in pads), kernel_shape)(x, dy)


class _Call(NamedTuple):
    strides: Triple
    low: tuple[int, ...]
    flipped: bool
    size: tuple[int, ...]
    features: int


def _attribute(values: tuple[int, ...]) -> np.ndarray:
    return np.array(values, np.int64)


@functools.cache
def _events(call: _Call) -> Any:
    """The custom call from (events, kernel) to events; each event is independent."""

    def run(x: jax.Array, w: jax.Array) -> jax.Array:
        shape = jax.ShapeDtypeStruct((x.shape[0], *call.size, call.features), x.dtype)
        return jax.ffi.ffi_call(FORWARD, shape)(
            x, w,
            strides=_attribute(call.strides), low=_attribute(call.low), flipped=call.flipped,
        )  # fmt: skip

    cut = custom_partitioning(run)

    def partition(mesh: Any, operands: Any, result: Any) -> Any:
        events = NamedSharding(mesh, P(_batch_axes(operands[0])))
        return mesh, run, events, (events, NamedSharding(mesh, P()))

    cut.def_partition(
        partition,
        infer_sharding_from_operands=lambda mesh, operands, result: NamedSharding(
            mesh, P(_batch_axes(operands[0]))
        ),
        sharding_rule="n d h w i, a b c j k -> n e f g o",
        need_replication_factors=tuple("dhwiabcjkefgo"),
    )
    batched = jax.custom_batching.custom_vmap(cut)

    @batched.def_vmap
    def rule(
        size: int, in_batched: list[bool], x: jax.Array, w: jax.Array
    ) -> tuple[jax.Array, bool]:
        if in_batched[1]:
            x = x if in_batched[0] else jnp.broadcast_to(x, (size, *x.shape))
            return lax.map(lambda operands: batched(*operands), (x, w)), True
        y = batched(x.reshape(-1, *x.shape[2:]), w)
        return y.reshape(size, -1, *y.shape[1:]), True

    return batched


@functools.cache
def _sum_over_events(strides: Triple, low: tuple[int, ...], kernel_shape: tuple[int, ...]) -> Any:
    """The custom call from (inputs, output gradients) to a kernel gradient, summed over events."""

    def run(x: jax.Array, dy: jax.Array) -> jax.Array:
        shape = jax.ShapeDtypeStruct(kernel_shape, x.dtype)
        return jax.ffi.ffi_call(KERNEL_GRADIENT, shape)(
            x, dy, strides=_attribute(strides), low=_attribute(low)
        )

    cut = custom_partitioning(run)

    def partition(mesh: Any, operands: Any, result: Any) -> Any:
        axes = _batch_axes(operands[0])
        events, whole = NamedSharding(mesh, P(axes)), NamedSharding(mesh, P())

        def run_and_add(x: jax.Array, dy: jax.Array) -> jax.Array:
            return lax.psum(run(x, dy), axes) if axes else run(x, dy)

        return mesh, run_and_add, whole, (events, events)

    cut.def_partition(
        partition,
        infer_sharding_from_operands=lambda mesh, operands, result: NamedSharding(mesh, P()),
        sharding_rule="n d h w i, n e f g o -> a b c j k",
        need_replication_factors=tuple("dhwiefgoabcjk"),
    )
    batched = jax.custom_batching.custom_vmap(cut)

    @batched.def_vmap
    def rule(size: int, in_batched: list[bool], *operands: jax.Array) -> tuple[jax.Array, bool]:
        spread = [
            a if is_batched else jnp.broadcast_to(a, (size, *a.shape))
            for a, is_batched in zip(operands, in_batched, strict=True)
        ]
        return lax.map(lambda pair: batched(*pair), tuple(spread)), True

    return batched


def _batch_axes(operand: Any) -> Any:
    """The mesh axes over which the leading axis of an operand is sharded, or None."""
    spec = operand.sharding.spec
    return spec[0] if len(spec) else None
