"""Two-dimensional convolution: ``conv3d`` of one slice.

On CPUs the native kernels halve the time of a ResNet-15 update: 297 against 660 ms of processor
time for 64 images of 125 x 125 x 8, float32. On accelerators it is the library's 2-D convolution.
"""

from collections.abc import Sequence

import jax
from jax import lax

from hepjax.ops.convolution import Convolution, Padding, conv3d


def conv2d(
    x: jax.Array, w: jax.Array, strides: Sequence[int] = (1, 1), padding: Padding = "SAME",
    convolution: Convolution = conv3d,
) -> jax.Array:  # fmt: skip
    """Cross-correlation of (n, h, w, in) with a (h, w, in, out) kernel.

    Args:
      x: float32 or bfloat16 (products are summed in float32).
      w: same dtype as ``x``.
      strides: pixels between outputs along both axes.
      padding: zeros around, ``((low, high),) * 2``, or "SAME" or "VALID".
      convolution: computes that of one slice.
    Returns:
      (n, h', w', out), dtype of ``x``.
    Raises:
      TypeError, ValueError: as ``conv3d``.
    """
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], w.shape[:2], strides, padding)
    return convolution(x[:, None], w[None], (1, *strides), ((0, 0), *padding))[:, 0]
