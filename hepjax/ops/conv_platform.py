"""Which implementation of the 3-D convolution runs where, and the derivatives that all share.

CPUs use the native kernels of hepjax, or 2-D convolutions in pure JAX if the kernels cannot be
built. NVIDIA GPUs take the form that ``conv_choices`` has measured for a layer, each pass its own;
other accelerators, and layers like none of those measured, the convolution of XLA (cuDNN and the
like).

The environment variable ``HEPJAX_CONV3D`` is read when a function is traced:

======== ===========================================================================
auto     default: as above
native   as auto, but an error if the native kernels cannot be built
jax      2-D convolutions in pure JAX, on every platform
xla      the convolution of XLA, on every platform; on CPUs about 15 times slower
blocks   blocks of cells as channels (``conv_cells``); ``blocks:1x2x2`` gives their size
bands    bands of slices as channels of a 2-D convolution; ``bands:5`` gives their number
products matrix products of shifted views
blocked  as auto; networks that can stay in blocks from input to pooling do
======== ===========================================================================

The native kernels accept a batch that is sharded over devices. They gather events that are sharded
in space (spatial layout), where ``jax`` and ``xla`` exchange halos; on GPUs ``auto`` takes ``xla``
there. Only ``native`` has no forward-mode derivatives; ``auto`` neither.
"""

import contextlib
import contextvars
import functools
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax

from hepjax import InputError
from hepjax.ops import conv_choices, native
from hepjax.ops.conv_cells import conv_bands, conv_blocks, conv_products
from hepjax.ops.conv_choices import LIBRARY, Form, Layer
from hepjax.ops.conv_jax import Pads, Triple, conv_planes, conv_xla

VARIABLE = "HEPJAX_CONV3D"
BLOCKED: Triple = (2, 2, 2)
"""Blocks of networks that are told to stay in them."""
BY_PLATFORM = ("auto", "native", "blocked")
"""Choices that leave the form of a layer to the platform; the others name it."""


def active_conv3d() -> dict[str, str]:
    """Which form ``conv3d`` takes on this CPU ("native", "jax", "xla", ...), and why.

    For ``hepjax doctor``. Builds the native kernels if they are not there yet.
    """
    choice = _choice()
    if isinstance(choice, Form):
        return {"path": str(choice), "why": f"{VARIABLE}={choice}"}
    kernels = native.kernels()
    if kernels.path is None:
        return {"path": "jax", "why": kernels.note}
    return {"path": "native", "why": kernels.note}


@contextlib.contextmanager
def recorded() -> Iterator[list[tuple[Layer, tuple[str, ...]]]]:
    """A list that fills with the layers traced inside and the form of each of their passes."""
    found: list[tuple[Layer, tuple[str, ...]]] = []
    token = _RECORD.set(found)
    try:
        yield found
    finally:
        _RECORD.reset(token)


_RECORD: contextvars.ContextVar[list[tuple[Layer, tuple[str, ...]]] | None]
_RECORD = contextvars.ContextVar("_RECORD", default=None)


def blocks_of_network(
    dtype: Any, size: Sequence[int], kernels: Sequence[Triple], channels: Sequence[int]
) -> Triple | None:
    """The blocks in which a network stays from its input to its pooling, or None.

    Args:
      size: cells of its image.
      kernels: taps of its convolutions, whose strides are 1.
      channels: those of its image, then the outputs of each convolution.
    """
    choice = _choice()
    if choice == "blocked":
        return BLOCKED
    if choice != "auto" or jax.default_backend() != "gpu" or _library_only():
        return None
    name = str(jax.numpy.dtype(dtype))
    layers = [
        Layer(name, tuple(size), kernel, (1, 1, 1), pair)
        for kernel, pair in zip(kernels, itertools.pairwise(channels), strict=True)
    ]
    return conv_choices.blocks_for(conv_choices.table(), layers)


def convolve(x: jax.Array, w: jax.Array, strides: Triple, pads: Pads) -> jax.Array:
    """``conv3d`` with its arguments checked and its padding explicit."""
    choice = _choice()
    layer = Layer(str(x.dtype), x.shape[1:4], w.shape[:3], strides, w.shape[3:])
    if isinstance(choice, Form):
        _record(layer, (choice,) * 3)
        if choice.name == "bands" and x.shape[1] == w.shape[0] == 1:
            raise InputError(_cannot(choice, x, w, "more than one slice"))
        return _form(choice, strides, pads)(x, w)
    backend, use_native = jax.default_backend(), False
    if choice == "native" and backend != "cpu":
        raise InputError(_cannot(choice, x, w, "a CPU"))
    # Branches of all platforms are traced. Build the kernels only if the CPU branch can run.
    if backend == "cpu":
        kernels = native.kernels()
        use_native = kernels.path is not None
        if not use_native and choice == "native":
            raise InputError(f"{VARIABLE}: expected kernels for 'native', found {kernels.note}")
        if not use_native:
            native.warn_once(kernels.note)
    on_gpu = (LIBRARY,) * 3
    if not _library_only():
        on_gpu = conv_choices.choose(conv_choices.table(), layer)
    here = {"cpu": (Form("native" if use_native else "jax"),) * 3, "gpu": on_gpu}
    _record(layer, here.get(backend, (LIBRARY,) * 3))
    return _output(x, w, _Conv(strides, pads, x.shape, w.shape, use_native, on_gpu))


def _record(layer: Layer, forms: tuple[Form, ...]) -> None:
    found = _RECORD.get()
    if found is not None:
        found.append((layer, tuple(map(str, forms))))


def _cannot(choice: Form | str, x: jax.Array, w: jax.Array, needs: str) -> str:
    return (
        f"{VARIABLE}: expected {needs} for the form '{choice}', found x {list(x.shape)} and "
        f"w {list(w.shape)} on the platform {jax.default_backend()}; unset it, or take xla"
    )


def _choice() -> str | Form:
    if native.is_library_only():
        return LIBRARY
    choice = os.environ.get(VARIABLE) or "auto"
    if choice in BY_PLATFORM:
        return choice
    try:
        return conv_choices.parse_form(choice)
    except ValueError as error:
        if ":" in choice:
            raise InputError(f"{VARIABLE}: expected {error}") from None
    names = ", ".join((*BY_PLATFORM, *conv_choices.DEFAULT_CELLS))
    raise InputError(f"{VARIABLE}: expected one of {names}, found '{choice}'")


def _library_only() -> bool:
    """Whether no measured form applies: what was measured are rounded products of whole events.

    With products of full float32 more of them cost more. Where devices share more than the events
    (spatial, channel and hybrid layouts), a cut through an event or its channels would not survive
    the rearranging of cells.
    """
    precision = jax.config.values["jax_default_matmul_precision"]
    if precision in ("highest", "float32"):
        return True
    mesh = jax.sharding.get_abstract_mesh()
    return not mesh.empty and sum(size > 1 for size in mesh.shape.values()) > 1


def _form(form: Form, strides: Triple, pads: Pads) -> Any:
    """The function of (x, w) that computes the convolution by a form in JAX."""
    forms: dict[str, Any] = {
        "xla": conv_xla, "jax": conv_planes, "products": conv_products,
        "blocks": functools.partial(conv_blocks, block=form.cells),  # type: ignore[arg-type]
        "bands": functools.partial(conv_bands, slices=form.cells[0] if form.cells else 0),
    }  # fmt: skip
    return functools.partial(forms[form.name], strides=strides, pads=pads)


class _Conv(NamedTuple):
    """The static facts of a convolution, known when it is traced."""

    strides: Triple
    pads: Pads
    input_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    native: bool
    on_gpu: tuple[Form, Form, Form]


def _by_platform(
    native_form: Any, form: Any, conv: _Conv, number: int, *arrays: jax.Array
) -> jax.Array:
    """``form(convolution, *arrays)`` with the convolution of the platform it is lowered for.

    ``number`` is that of the pass in ``conv_choices.PASSES``.
    """

    def by(chosen: Form) -> Any:
        return functools.partial(form, _form(chosen, conv.strides, conv.pads))

    return lax.platform_dependent(
        *arrays,
        cpu=native_form if conv.native else by(Form("jax")),
        cuda=by(conv.on_gpu[number]),
        default=by(LIBRARY),
    )


# The output y(x, w), the input gradient x'(w, dy) and the kernel gradient w'(x, dy) come from one
# trilinear form. Each is a derivative of the others, so derivatives of any order close among them.
# They are written out so that the platform is chosen inside each: differentiating the choice would
# carry the residuals of every branch.


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _output(x: jax.Array, w: jax.Array, conv: _Conv) -> jax.Array:
    def native_form(x: jax.Array, w: jax.Array) -> jax.Array:
        return native.forward(x, w, conv.strides, conv.pads)

    return _by_platform(native_form, lambda convolution, x, w: convolution(x, w), conv, 0, x, w)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _input_gradient(w: jax.Array, dy: jax.Array, conv: _Conv) -> jax.Array:
    def native_form(w: jax.Array, dy: jax.Array) -> jax.Array:
        return native.input_gradient(w, dy, conv.strides, conv.pads, conv.input_shape)

    def form(convolution: Any, w: jax.Array, dy: jax.Array) -> jax.Array:
        x = jax.ShapeDtypeStruct(conv.input_shape, w.dtype)
        return jax.linear_transpose(lambda x: convolution(x, w), x)(dy)[0]

    return _by_platform(native_form, form, conv, 1, w, dy)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _kernel_gradient(x: jax.Array, dy: jax.Array, conv: _Conv) -> jax.Array:
    def native_form(x: jax.Array, dy: jax.Array) -> jax.Array:
        return native.kernel_gradient(x, dy, conv.strides, conv.pads, conv.kernel_shape)

    def form(convolution: Any, x: jax.Array, dy: jax.Array) -> jax.Array:
        w = jax.ShapeDtypeStruct(conv.kernel_shape, x.dtype)
        return jax.linear_transpose(lambda w: convolution(x, w), w)(dy)[0]

    return _by_platform(native_form, form, conv, 2, x, dy)


Arrays = tuple[jax.Array, jax.Array]


def _with_operands(function: Any) -> Any:
    def forward(a: jax.Array, b: jax.Array, conv: _Conv) -> tuple[jax.Array, Arrays]:
        return function(a, b, conv), (a, b)

    return forward


def _output_vjp(conv: _Conv, operands: Arrays, dy: jax.Array) -> Arrays:
    x, w = operands
    return _input_gradient(w, dy, conv), _kernel_gradient(x, dy, conv)


def _input_gradient_vjp(conv: _Conv, operands: Arrays, x: jax.Array) -> Arrays:
    w, dy = operands
    return _kernel_gradient(x, dy, conv), _output(x, w, conv)


def _kernel_gradient_vjp(conv: _Conv, operands: Arrays, w: jax.Array) -> Arrays:
    x, dy = operands
    return _input_gradient(w, dy, conv), _output(x, w, conv)


_output.defvjp(_with_operands(_output), _output_vjp)
_input_gradient.defvjp(_with_operands(_input_gradient), _input_gradient_vjp)
_kernel_gradient.defvjp(_with_operands(_kernel_gradient), _kernel_gradient_vjp)
