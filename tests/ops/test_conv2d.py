"""Two-dimensional convolution is that of the library, on every path and with its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax.ops import conv2d


@pytest.mark.parametrize("path", ["auto", "jax", "xla", "blocks:1x2x2", "products"])
@pytest.mark.parametrize(
    ("strides", "padding"), [((1, 1), "SAME"), ((2, 2), "SAME"), ((2, 2), ((1, 1), (1, 1)))]
)
def test_equals_the_library(monkeypatch, path, strides, padding):
    monkeypatch.setenv("HEPJAX_CONV3D", path)
    x = jax.random.normal(jax.random.key(0), (2, 9, 12, 3))
    w = jax.random.normal(jax.random.key(1), (3, 3, 3, 4))

    def library(x, w):
        return jax.lax.conv_general_dilated(
            x, w, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def ours(x, w):
        return conv2d(x, w, strides, padding)

    np.testing.assert_allclose(ours(x, w), library(x, w), atol=1e-5)
    for number in (0, 1):
        a, b = (
            jax.grad(lambda *xw, f=f: jnp.sin(f(*xw)).sum(), argnums=number)(x, w)
            for f in (ours, library)
        )
        np.testing.assert_allclose(a, b, atol=2e-5)
