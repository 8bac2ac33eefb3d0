"""conv3d and upsample_conv3d against the library's convolution: values, gradients, layouts."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jax import lax

from hepjax import InputError
from hepjax.ops import active_conv3d, conv3d, convolution, native, upsample_conv3d

PATHS = ["auto", "jax", "xla"]
CELLS = ["blocks", "blocks:1x3x2", "bands:3", "products"]
"""Forms for accelerators; they run on a CPU for the sake of these tests."""
CHANNELS = st.sampled_from([1, 2, 3, 6, 8, 16, 17, 33, 64])
TOLERANCE = {"float32": 2e-5, "bfloat16": 2e-2}


def library(x, w, strides, padding):
    """The library's convolution; padded before, because jaxlib 0.10.2 fails on wide padding."""
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:4], w.shape[:3], strides, padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    dimensions = ("NDHWC", "DHWIO", "NDHWC")
    return lax.conv_general_dilated(x, w, strides, "VALID", dimension_numbers=dimensions)


def normal(seed, shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def assert_same(function, reference, x, w, dtype="float32"):
    """Value and both gradients agree with the reference computed in float32."""
    shape = jax.eval_shape(reference, x, w).shape
    x, w, dy = x.astype(dtype), w.astype(dtype), normal(7, shape, dtype)

    def value_and_gradients(f, *operands):
        y, pull = jax.vjp(f, *operands[:2])
        return y, *pull(operands[2])

    found = jax.jit(functools.partial(value_and_gradients, function))(x, w, dy)
    exact = [a.astype(jnp.float32) for a in (x, w, dy)]
    expected = jax.jit(functools.partial(value_and_gradients, reference))(*exact)
    for a, b in zip(found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, dtype)
        a, b = np.asarray(a, np.float32), np.asarray(b)
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * max(1e-3, np.abs(b).max()))


@st.composite
def convolutions(draw, longest=7):
    three = st.tuples(*(st.integers(1, 5),) * 3)
    kernel = draw(three)
    pad = st.tuples(st.integers(0, 5), st.integers(0, 5))
    padding = draw(st.one_of(st.sampled_from(["SAME", "VALID"]), st.tuples(pad, pad, pad)))
    size = tuple(draw(st.integers(k, max(k, longest))) for k in kernel)
    strides = draw(st.one_of(st.just((1, 1, 1)), st.tuples(*(st.integers(1, 3),) * 3)))
    channels = draw(CHANNELS), draw(CHANNELS)
    return draw(st.integers(1, 3)), size, kernel, channels, strides, padding


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=8, derandomize=True)
@given(case=convolutions(), dtype=st.sampled_from(["float32", "bfloat16"]))
def test_values_and_gradients_are_those_of_the_library(path, case, dtype):
    n, size, kernel, (c_in, c_out), strides, padding = case
    x, w = normal(0, (n, *size, c_in)), normal(1, (*kernel, c_in, c_out))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEPJAX_CONV3D", path)
        assert_same(
            lambda x, w: conv3d(x, w, strides, padding),
            lambda x, w: library(x, w, strides, padding),
            x, w, dtype,
        )  # fmt: skip


@pytest.mark.parametrize("path", CELLS)
@settings(max_examples=4, derandomize=True)
@given(case=convolutions(longest=5), dtype=st.sampled_from(["float32", "bfloat16"]))
def test_cells_and_taps_as_channels_give_the_numbers_of_the_library(path, case, dtype):
    n, size, kernel, (c_in, c_out), strides, padding = case
    assume(not path.startswith("bands") or size[0] > 1)
    c_in, c_out = min(c_in, 8), min(c_out, 8)
    x, w = normal(0, (n, *size, c_in)), normal(1, (*kernel, c_in, c_out))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEPJAX_CONV3D", path)
        assert_same(
            lambda x, w: conv3d(x, w, strides, padding),
            lambda x, w: library(x, w, strides, padding),
            x, w, dtype,
        )  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("kernel", "c_in", "c_out", "pad"),
    [((5, 5, 5), 1, 32, 2), ((5, 5, 5), 32, 8, 2), ((5, 5, 5), 8, 8, 1), ((2, 2, 2), 6, 1, 0)],
)
def test_layers_of_the_published_network(kernel, c_in, c_out, pad, dtype):
    x, w = normal(0, (2, 6, 7, 25, c_in)), normal(1, (*kernel, c_in, c_out))
    padding = ((pad, pad),) * 3
    assert_same(
        lambda x, w: conv3d(x, w, padding=padding),
        lambda x, w: library(x, w, (1, 1, 1), padding),
        x, w, dtype,
    )  # fmt: skip


@settings(max_examples=8, derandomize=True)
@given(case=convolutions(longest=5), scale=st.tuples(*(st.integers(1, 4),) * 3))
def test_upsampling_fused_is_upsampling_then_convolving(case, scale):
    n, size, kernel, (c_in, c_out), _, padding = case
    c_in, c_out = min(c_in, 8), min(c_out, 8)
    x, w = normal(0, (n, *size, c_in)), normal(1, (*kernel, c_in, c_out))

    def repeat_first(x, w):
        for axis, r in enumerate(scale):
            x = jnp.repeat(x, r, axis=axis + 1)
        return library(x, w, (1, 1, 1), padding)

    assert_same(lambda x, w: upsample_conv3d(x, w, scale, padding), repeat_first, x, w)


@pytest.mark.parametrize("path", [*PATHS, "blocks", "bands:3"])
def test_vmap_over_inputs_kernels_and_both(path, monkeypatch):
    monkeypatch.setenv("HEPJAX_CONV3D", path)
    x, w = normal(0, (3, 2, 4, 5, 6, 2)), normal(1, (3, 2, 3, 2, 2, 4))

    def loss(x, w):
        return (conv3d(x, w) ** 2).sum()

    for axes in [(0, None), (None, 0), (0, 0)]:
        mapped = jax.jit(jax.vmap(jax.grad(loss, (0, 1)), axes))(
            x if axes[0] == 0 else x[0], w if axes[1] == 0 else w[0]
        )
        for i in range(3):
            one = jax.grad(loss, (0, 1))(x[i * (axes[0] == 0)], w[i * (axes[1] == 0)])
            for a, b in zip(mapped, one, strict=True):
                np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-3)


def test_second_derivatives_are_those_of_the_library():
    x, w = normal(0, (2, 4, 5, 6, 2)), normal(1, (3, 2, 3, 2, 3))

    def penalty(convolution):
        def norm(x, w):
            return (jax.grad(lambda x: jnp.tanh(convolution(x, w)).sum())(x) ** 2).sum()

        return jax.grad(norm, (0, 1))(x, w)

    found = penalty(conv3d)
    expected = penalty(lambda x, w: library(x, w, (1, 1, 1), "SAME"))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_event_has_the_same_bits_in_any_batch(dtype):
    x, w = normal(0, (5, 7, 8, 9, 8), dtype), normal(1, (5, 5, 5, 8, 8), dtype)
    whole = np.asarray(conv3d(x, w), np.float32)
    for i in range(5):
        np.testing.assert_array_equal(np.asarray(conv3d(x[i : i + 1], w)[0], np.float32), whole[i])


@pytest.mark.parametrize(
    ("x", "w", "arguments", "words"),
    [
        ((2, 4, 4, 4, 3), (3, 3, 3, 2, 8), {}, "input channels"),
        ((4, 4, 4, 3), (3, 3, 3, 3, 8), {}, "(n, d, h, w, in)"),
        ((2, 4, 4, 4, 3), (5, 3, 3, 3, 8), {"padding": "VALID"}, "fits"),
        ((2, 4, 4, 4, 3), (3, 3, 3, 3, 8), {"padding": "FULL"}, "'FULL'"),
        ((2, 4, 4, 4, 3), (3, 3, 3, 3, 8), {"strides": (0, 1, 1)}, "strides"),
    ],
)
def test_shapes_that_do_not_fit_are_named(x, w, arguments, words):
    with pytest.raises(ValueError, match="expected") as error:
        jax.eval_shape(lambda: conv3d(jnp.zeros(x), jnp.zeros(w), **arguments))
    assert words in str(error.value)


@pytest.mark.parametrize(
    "dtypes", [("int32", "int32"), ("float16", "float16"), ("float32", "bfloat16")]
)
def test_other_dtypes_are_refused(dtypes):
    x, w = jnp.zeros((1, 3, 3, 3, 1), dtypes[0]), jnp.zeros((1, 1, 1, 1, 1), dtypes[1])
    with pytest.raises(TypeError, match=dtypes[1]):
        conv3d(x, w)


def test_an_unknown_path_is_refused(monkeypatch):
    monkeypatch.setenv("HEPJAX_CONV3D", "fast")
    with pytest.raises(InputError, match="fast"):
        conv3d(jnp.zeros((1, 3, 3, 3, 1)), jnp.zeros((1, 1, 1, 1, 1)))


@pytest.mark.parametrize("path", ["jax", "xla"])
def test_the_forced_path_is_reported(path, monkeypatch):
    monkeypatch.setenv("HEPJAX_CONV3D", path)
    assert active_conv3d()["path"] == path


DEVICES = """
import os, jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_num_cpu_devices", 8)
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P
from hepjax.ops import conv3d
devices = np.array(jax.devices()).reshape(4, 2)
mesh = Mesh(devices, ("data", "model"), axis_types=(AxisType.Auto,) * 2)
draw = np.random.default_rng(0).normal
x, w = jnp.float32(draw(size=(8, 6, 5, 7, 3))), jnp.float32(draw(size=(3, 3, 3, 3, 4)))
def loss(x, w):
    y = conv3d(jnp.tanh(x), w)
    return (y ** 2).sum(), y
step = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
expected = step(x, w)
specs = [P(), P("data"), P(("data", "model")), P("data", "model")]
# The library's kernel gradient comes out 4 (data) times too large there (jaxlib 0.10.2).
if os.environ["HEPJAX_CONV3D"] != "xla":
    specs.append(P(None, "model"))
for spec in specs:
    with jax.set_mesh(mesh):
        put = [jax.device_put(a, NamedSharding(mesh, s)) for a, s in ((x, spec), (w, P()))]
        found = step(*put)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-3)
    text = step.lower(*put).compile().as_text()
    if spec == P("data") and "custom-call" in text and "hepjax" in text:
        assert "all-gather" not in text, "a batch over devices must stay where it is"
print("same")
"""


@pytest.mark.parametrize("path", PATHS)
def test_batch_and_event_spread_over_devices_give_the_same(path, tmp_path):
    done = run_python(DEVICES, HEPJAX_CONV3D=path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "same"


BITS = """
import hashlib, os, sys
if sys.argv[1:] == ["one thread"]:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import jax, jax.numpy as jnp, numpy as np
from hepjax.ops import conv3d
draw = np.random.default_rng(0).normal
for dtype in ("float32", "bfloat16"):
    x = jnp.asarray(draw(size=(3, 7, 6, 9, 8)), dtype)
    w = jnp.asarray(draw(size=(5, 5, 5, 8, 8)), dtype)
    y, pull = jax.vjp(conv3d, x, w)
    print(*(hashlib.sha256(np.asarray(a).tobytes()).hexdigest() for a in (y, *pull(y))))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be limited")
def test_values_and_gradients_have_the_same_bits_on_one_thread():
    one, all_ = run_python(BITS, "one thread"), run_python(BITS)
    assert one.returncode == 0, one.stderr[-2000:]
    assert len(one.stdout.split()) == 6
    assert one.stdout == all_.stdout


ONE = """
import jax.numpy as jnp
from hepjax.ops import active_conv3d, conv3d
for _ in range(2):
    y = conv3d(jnp.ones((1, 3, 3, 3, 1)), jnp.ones((2, 2, 2, 1, 1)), padding="VALID")
    print(float(y.sum()))
print(active_conv3d()["path"])
"""


def run_python(code, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("compiler", "words"), [("no-such-compiler", "no C++ compiler"), ("false", "false failed")]
)
def test_without_a_compiler_one_line_and_the_same_numbers(compiler, words, tmp_path):
    done = run_python(ONE, CXX=compiler, XDG_CACHE_HOME=str(tmp_path), HEPJAX_CONV3D="auto")
    assert done.stdout.split() == ["64.0", "64.0", "jax"]
    assert len(done.stderr.strip().splitlines()) == 1
    assert words in done.stderr
    assert list((tmp_path / "hepjax").iterdir()) == []


def test_native_wanted_but_not_there_is_an_error(tmp_path):
    done = run_python(
        ONE, CXX="no-such-compiler", XDG_CACHE_HOME=str(tmp_path), HEPJAX_CONV3D="native"
    )
    assert done.returncode == 1
    assert "InputError: HEPJAX_CONV3D" in done.stderr


def test_a_cache_that_others_can_write_is_not_trusted(tmp_path):
    (tmp_path / "hepjax").mkdir()
    (tmp_path / "hepjax").chmod(0o777)
    done = run_python(ONE, XDG_CACHE_HOME=str(tmp_path), HEPJAX_CONV3D="auto")
    assert done.stdout.split()[-1] == "jax"
    assert "written by others" in done.stderr


@pytest.mark.skipif(native.native_build.find_compiler() is None, reason="no C++ compiler")
def test_kernels_are_built_where_there_is_a_compiler(tmp_path):
    done = run_python(ONE, XDG_CACHE_HOME=str(tmp_path), HEPJAX_CONV3D="native")
    assert done.stdout.split() == ["64.0", "64.0", "native"], done.stderr
    assert [p.suffix for p in (tmp_path / "hepjax").iterdir()] == [".so"]


@settings(max_examples=4, derandomize=True)
@given(case=convolutions(longest=5), scale=st.tuples(*(st.integers(1, 4),) * 3))
def test_the_coarse_kernel_is_the_same_by_sums_and_by_products(case, scale):
    """A CPU takes the products and an accelerator the sums."""
    _, size, kernel, _, _, padding = case
    fine = tuple(s * r for s, r in zip(size, scale, strict=True))
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(fine, kernel, (1, 1, 1), padding)
    n_out = [s + sum(p) - k + 1 for s, p, k in zip(fine, padding, kernel, strict=True)]
    taps, _ = convolution._coarse_grid(size, kernel, scale, padding, n_out)
    given = {"taps": taps, "scale": scale, "low": tuple(p[0] for p in padding)}
    w = normal(2, (*kernel, 2, 3))
    sums = convolution._coarse_by_sums(w, **given)
    products = convolution._coarse_by_products(w, **given)
    np.testing.assert_allclose(sums, products, rtol=1e-5, atol=1e-5)
