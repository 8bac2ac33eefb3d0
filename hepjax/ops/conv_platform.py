"""Which implementation of the 3-D convolution runs where, and the derivatives that all share.

Accelerators use the convolution of XLA (cuDNN and the like). CPUs use the native kernels of hepjax,
or 2-D convolutions in pure JAX if the kernels cannot be built.

The environment variable ``HEPJAX_CONV3D`` is read when a function is traced:

====== =============================================================================
auto   default: as above
native as auto, but an error if the native kernels cannot be built
jax    2-D convolutions in pure JAX, on every platform
xla    the convolution of XLA, on every platform; on CPUs about 15 times slower
====== =============================================================================

The native kernels accept a batch that is sharded over devices. They gather events that are sharded
in space (spatial layout), where ``jax`` and ``xla`` exchange halos. Only ``jax`` and ``xla`` have
forward-mode derivatives.
"""

import functools
import os
from typing import Any, NamedTuple

import jax
from jax import lax

from hepjax import InputError
from hepjax.ops import native
from hepjax.ops.conv_jax import Pads, Triple, conv_planes, conv_xla

VARIABLE = "HEPJAX_CONV3D"
CHOICES = ("auto", "native", "jax", "xla")


def active_conv3d() -> dict[str, str]:
    """Which form ``conv3d`` takes on this CPU ("native", "jax" or "xla"), and why.

    For ``hepjax doctor``. Builds the native kernels if they are not there yet.
    """
    choice = _choice()
    if choice in ("jax", "xla"):
        return {"path": choice, "why": f"{VARIABLE}={choice}"}
    kernels = native.kernels()
    if kernels.path is None:
        return {"path": "jax", "why": kernels.note}
    return {"path": "native", "why": kernels.note}


def convolve(x: jax.Array, w: jax.Array, strides: Triple, pads: Pads) -> jax.Array:
    """``conv3d`` with its arguments checked and its padding explicit."""
    choice = _choice()
    if choice == "xla":
        return conv_xla(x, w, strides, pads)
    if choice == "jax":
        return conv_planes(x, w, strides, pads)
    use_native = False
    # Branches of all platforms are traced. Build the kernels only if the CPU branch can run.
    if jax.default_backend() == "cpu":
        kernels = native.kernels()
        use_native = kernels.path is not None
        if not use_native and choice == "native":
            raise InputError(f"{VARIABLE}: expected kernels for 'native', found {kernels.note}")
        if not use_native:
            native.warn_once(kernels.note)
    return _output(x, w, _Conv(strides, pads, x.shape, w.shape, use_native))


def _choice() -> str:
    choice = os.environ.get(VARIABLE, "auto")
    if choice not in CHOICES:
        raise InputError(f"{VARIABLE}: expected one of {', '.join(CHOICES)}, found '{choice}'")
    return choice


class _Conv(NamedTuple):
    """The static facts of a convolution, known when it is traced."""

    strides: Triple
    pads: Pads
    input_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    native: bool


def _by_platform(native_form: Any, form: Any, conv: _Conv, *arrays: jax.Array) -> jax.Array:
    """``form(convolution, *arrays)`` with the convolution of the platform it is lowered for."""
    planes = functools.partial(
        form, functools.partial(conv_planes, strides=conv.strides, pads=conv.pads)
    )
    library = functools.partial(
        form, functools.partial(conv_xla, strides=conv.strides, pads=conv.pads)
    )
    return lax.platform_dependent(
        *arrays, cpu=native_form if conv.native else planes, default=library
    )


# The output y(x, w), the input gradient x'(w, dy) and the kernel gradient w'(x, dy) come from one
# trilinear form. Each is a derivative of the others, so derivatives of any order close among them.
# They are written out so that the platform is chosen inside each: differentiating the choice would
# carry the residuals of every branch.


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _output(x: jax.Array, w: jax.Array, conv: _Conv) -> jax.Array:
    def native_form(x: jax.Array, w: jax.Array) -> jax.Array:
        return native.forward(x, w, conv.strides, conv.pads)

    return _by_platform(native_form, lambda convolution, x, w: convolution(x, w), conv, x, w)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _input_gradient(w: jax.Array, dy: jax.Array, conv: _Conv) -> jax.Array:
    def native_form(w: jax.Array, dy: jax.Array) -> jax.Array:
        return native.input_gradient(w, dy, conv.strides, conv.pads, conv.input_shape)

    def form(convolution: Any, w: jax.Array, dy: jax.Array) -> jax.Array:
        x = jax.ShapeDtypeStruct(conv.input_shape, w.dtype)
        return jax.linear_transpose(lambda x: convolution(x, w), x)(dy)[0]

    return _by_platform(native_form, form, conv, w, dy)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _kernel_gradient(x: jax.Array, dy: jax.Array, conv: _Conv) -> jax.Array:
    def native_form(x: jax.Array, dy: jax.Array) -> jax.Array:
        return native.kernel_gradient(x, dy, conv.strides, conv.pads, conv.kernel_shape)

    def form(convolution: Any, x: jax.Array, dy: jax.Array) -> jax.Array:
        w = jax.ShapeDtypeStruct(conv.kernel_shape, x.dtype)
        return jax.linear_transpose(lambda w: convolution(x, w), w)(dy)[0]

    return _by_platform(native_form, form, conv, x, dy)


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
