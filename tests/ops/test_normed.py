"""A dense layer, layer norm and SiLU: the native kernel against Flax and JAX, gradients too."""

import os
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepjax.ops import native, normed
from hepjax.ops.normed import layer_norm, normed_silu

needs_kernels = pytest.mark.skipif(native.kernels().path is None, reason="no C++ compiler")


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def of_flax(x, kernel, added, scale, shift):
    product = jnp.matmul(x, kernel, precision="highest")
    norm = nn.LayerNorm(use_fast_variance=False)
    return jax.nn.silu(norm.apply({"params": {"scale": scale, "bias": shift}}, product + added))


def assert_same(function, reference, arrays, slope):
    found, expected = (jax.vjp(jax.jit(f), *arrays) for f in (function, reference))
    pairs = zip((found[0], *found[1](slope)), (expected[0], *expected[1](slope)), strict=True)
    for a, b in pairs:
        atol = 2e-5 * max(1.0, float(jnp.abs(b).max(initial=0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@settings(max_examples=8, derandomize=True)
@given(
    rows=st.sampled_from([(0,), (1,), (2, 47), (49,), (2100,)]), inputs=st.integers(1, 70),
    outputs=st.integers(4, 70), alike=st.booleans(),
)  # fmt: skip
def test_values_and_gradients_are_those_of_flax(rows, inputs, outputs, alike):
    added = (outputs,) if alike else (*rows, outputs)
    shapes = ((*rows, inputs), (inputs, outputs), added, (outputs,), (outputs,), (*rows, outputs))
    *arrays, slope = draw(0, *shapes)
    assert_same(normed_silu, of_flax, arrays, slope)


def test_in_jax_it_is_the_same():
    *arrays, slope = draw(1, (2, 30, 9), (9, 7), (7,), (7,), (7,), (2, 30, 7))
    with native.library_only():
        assert_same(normed_silu, of_flax, arrays, slope)


@pytest.mark.parametrize("added", [(7,), (30, 7)])
def test_for_other_platforms_the_gradient_is_the_same(added):
    """The branch that a program has which is compiled here for an accelerator."""
    x, kernel, more, scale, shift, slope = draw(6, (30, 9), (9, 7), added, (7,), (7,), (30, 7))
    normal, inverse = normed._normalised(x @ kernel + more)
    found = normed._gradient(more.ndim == 1, x, kernel, scale, shift, normal, inverse[:, 0], slope)
    expected = jax.vjp(of_flax, x, kernel, more, scale, shift)[1](slope)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.reshape(b.shape), b, rtol=0, atol=2e-5)


@needs_kernels
def test_the_native_kernel_runs_and_only_where_it_may():
    *arrays, slope = draw(1, (30, 9), (9, 7), (7,), (7,), (7,), (30, 7))

    def program(*arrays):
        return jax.jit(lambda *a: jax.vjp(normed_silu, *a)[1](slope)).lower(*arrays).as_text()

    assert native.LAYER in program(*arrays)
    assert native.LAYER_GRADIENT in program(*arrays)
    with native.library_only():
        assert native.LAYER not in program(*arrays)


@needs_kernels
def test_members_of_a_stack_each_get_their_own():
    arrays = draw(2, (3, 20, 8), (3, 8, 16), (3, 16), (3, 16), (3, 16))
    each = [normed_silu(*(a[k] for a in arrays)) for k in range(3)]
    np.testing.assert_array_equal(jax.jit(jax.vmap(normed_silu))(*arrays), jnp.stack(each))


def test_what_is_not_finite_stays_so():
    x, *others = draw(3, (5, 8), (8, 16), (16,), (16,), (16,))
    y = normed_silu(x.at[2, 3].set(jnp.nan).at[4, 0].set(jnp.inf), *others)
    assert np.isfinite(np.asarray(y)).all(axis=1).tolist() == [True, True, False, True, False]


@needs_kernels
def test_sums_do_not_depend_on_threads():
    """Bit for bit: one thread in a process of its own, all of them here."""
    code = (
        "import os, sys; os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])\n"
        "import numpy as np\n"
        "from tests.ops.test_normed import gradients\n"
        "sys.stdout.buffer.write(b''.join(np.asarray(g).tobytes() for g in gradients()))"
    )
    alone = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, timeout=300,
        env={**os.environ, "PYTHONPATH": "."},
    ).stdout  # fmt: skip
    assert alone == b"".join(np.asarray(g).tobytes() for g in gradients())


def gradients():
    *arrays, slope = draw(4, (5000, 24), (24, 32), (32,), (32,), (32,), (5000, 32))
    return jax.jit(lambda *a: jax.vjp(normed_silu, *a)[1](slope))(*arrays)


SETS = """
import sys
from hepjax.ops import native_build
name = sys.argv[1]
for other in ("avx512", "avx2"):
    if other != name:
        native_build.KERNEL_SETS.pop("layer_" + other)
import numpy as np
from tests.ops.test_normed import gradients
sys.stdout.buffer.write(b"".join(np.asarray(g).tobytes() for g in gradients()))
"""


@pytest.mark.slow
@needs_kernels
@pytest.mark.parametrize("name", ["portable", "avx2"])
def test_kernels_for_other_processors_agree(name, tmp_path):
    made = subprocess.run(
        [sys.executable, "-c", SETS, name], capture_output=True, check=True, timeout=300,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": "."},
    ).stdout  # fmt: skip
    expected = np.concatenate([np.ravel(g) for g in gradients()])
    np.testing.assert_allclose(
        np.frombuffer(made, np.float32), expected, rtol=0, atol=1e-5 * np.abs(expected).max()
    )


def test_layer_norm_is_that_of_flax_with_its_gradients():
    x, weight, scale, shift = draw(5, (2, 50, 7), (2, 50, 7), (7,), (7,))

    def flax(x, scale, shift):
        return nn.LayerNorm().apply({"params": {"scale": scale, "bias": shift}}, x)

    own, theirs = (
        jax.value_and_grad(lambda *a, f=f: (weight * jnp.tanh(f(*a))).sum(), (0, 1, 2))(
            3.0 + 2.0 * x, scale, shift
        )
        for f in (layer_norm, flax)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), own, theirs)
