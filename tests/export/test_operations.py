"""Each operation that networks use gives in ONNX Runtime what it gives in JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from scipy import special

from hepjax import InputError
from hepjax.export import program
from hepjax.export.graph import Graph
from hepjax.export.onnx_file import model
from hepjax.export.parity import session
from hepjax.export.sizes import Sizes

(N,) = jax.export.symbolic_shape("n")


def run(function, *arrays, opset=16, open_batch=True):
    """What the exported function gives for arrays whose first axis was open."""
    graph = Graph(opset)
    given = {}
    for k, a in enumerate(arrays):
        shape = (N, *a.shape[1:]) if open_batch else a.shape
        given[f"x{k}"] = graph.input(f"x{k}", a.dtype, shape)
    if open_batch:
        graph.sizes["n"] = program._length(graph, "x0", 0)
    said = program._applied(graph, lambda d: {"y": function(*d.values())}, given)
    made = program._output(graph, "y", said["y"], Sizes(N, {}))
    written = program.Written(graph, {"y": made})
    program.tidy(graph, ["y"])
    runtime = session(model(written, opset).SerializeToString())
    return runtime.run(["y"], {f"x{k}": a for k, a in enumerate(arrays)})[0]


def same(function, *arrays, tolerance=2e-6, **kwargs):
    expected = np.asarray(jax.jit(function)(*arrays))
    found = run(function, *arrays, **kwargs)
    assert found.dtype == expected.dtype
    scale = max(np.abs(expected.astype(float)).max(), 1e-30)
    np.testing.assert_allclose(found, expected, atol=tolerance * scale, rtol=0)


RNG = np.random.default_rng(3)
X = RNG.normal(size=(3, 4, 5)).astype(np.float32)
POSITIVE = np.abs(X) + 0.1
INTEGERS = RNG.integers(-9, 9, (3, 4, 5)).astype(np.int32)

ELEMENTWISE = {
    "arithmetic": lambda x: (2 * x - 1) / (3 + x * x) + jnp.maximum(x, 0.3),
    "exponentials": lambda x: jnp.exp(x) + jnp.expm1(x) + jnp.exp2(x) + jnp.tanh(x),
    "activations": lambda x: jax.nn.relu(x) + jax.nn.leaky_relu(x, 0.3) + jax.nn.elu(x),
    "softplus": lambda x: jax.nn.softplus(x) + jax.nn.sigmoid(x) + jax.nn.silu(x),
    "gelu": lambda x: jax.nn.gelu(x, approximate=False) + lax.erfc(x) + lax.erf(x),
    "powers": lambda x: x**2 + x**3 + jnp.abs(x) ** 0.85 + lax.integer_pow(x + 4, -2),
    "angles": lambda x: jnp.sin(x) + jnp.cos(x) + jnp.arctan2(x, x[:, ::-1, ::-1] + 0.2),
    "choices": lambda x: jnp.where(x > 0.2, x, jnp.clip(-x, 0.1, 0.7)),
    "logic": lambda x: ((x > 0) & ~(x < -1) | (x == 0.5) | (x != x)).astype(jnp.float32),
    "rounding": lambda x: jnp.floor(x) + jnp.ceil(2 * x) + jnp.round(3 * x) + jnp.sign(x),
    "finite": lambda x: jnp.isfinite(1 / jnp.maximum(x, 0)).astype(jnp.float32),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name):
    same(ELEMENTWISE[name], X)


def test_roots_and_logarithms():
    same(lambda x: jnp.sqrt(x) + lax.rsqrt(x) + jnp.log(x) + jnp.log1p(x), POSITIVE)
    same(lambda x: lax.erf_inv(jnp.tanh(x)), X, tolerance=1e-5)


SMALL = np.float32(10.0) ** np.arange(-20, 0, dtype=np.float32)
DIGITS = {
    "erfc": (lax.erfc, special.erfc, np.linspace(-3, 8, 45, dtype=np.float32)),
    "log1p": (jnp.log1p, np.log1p, np.concatenate([SMALL, -SMALL, SMALL - 1, 1 / SMALL])),
    "expm1": (jnp.expm1, np.expm1, np.concatenate([SMALL, -SMALL, [-80, -3, 0, 3, 60]])),
    "atan2": (lambda x: jnp.arctan2(x, x * x), lambda x: np.arctan2(x, x * x), np.append(SMALL, 0)),
}


@pytest.mark.parametrize("name", DIGITS)
def test_small_results_keep_their_digits(name):
    function, known, x = DIGITS[name]
    x = x.astype(np.float32)
    with np.errstate(divide="ignore"):
        expected = known(x.astype(np.float64))
    np.testing.assert_allclose(run(function, x), expected, rtol=6e-6)


def test_integers():
    same(lambda i: i // 3 + i % 4 + jnp.abs(i) * 2, INTEGERS)
    same(lambda i: lax.rem(i, 5) + lax.div(i, 3), INTEGERS)


SHAPES = {
    "transposes": lambda x: jnp.swapaxes(x, 1, 2)[:, ::-1, 1:3] + 1,
    "reshapes": lambda x: x.reshape(x.shape[0] * 4, 5).T.reshape(5, -1, 4).transpose(1, 2, 0),
    "joins": lambda x: jnp.concatenate([x, 2 * x[:, :1]], 1) + jnp.stack([x[:, 0]] * 5, 1),
    "repeats": lambda x: jnp.repeat(x, 3, axis=1)[:, ::2],
    "broadcasts": lambda x: x[:, :, None] * jnp.arange(2.0)[:, None] + x[:, :1, None, :1],
    "pads": lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 3)), constant_values=0.5),
    "wraps": lambda x: jnp.pad(x, ((0, 0), (2, 1), (0, 0)), mode="wrap"),
    "sums": lambda x: x.sum(2) + x.max(1, keepdims=True)[:, :, 0] + x.min((1, 2))[:, None],
    "products": lambda x: x.prod(1) + (x > 0).any(1) + (x > -2).all(1),
    "cumulative": lambda x: jnp.cumsum(x, 2) + jnp.cumsum(x, 1)[:, ::-1],
    "largest": lambda x: jnp.argmax(x, 2) + 10 * jnp.argmin(x, 2),
    "sorted": lambda x: jnp.sort(x, 2) + jnp.argsort(x, axis=2, stable=True),
    "top": lambda x: lax.top_k(x, 2)[0] + lax.top_k(x, 2)[1],
    "taken": lambda x: jnp.take_along_axis(x, jnp.argsort(x[..., :1], axis=1), axis=1),
    "places": lambda x: x[:, 2] + x[..., 1, None][:, 0] + x[:, jnp.array([1, 3])].sum(1),
    "one-hot": lambda x: jax.nn.one_hot((2 * x).astype(jnp.int32), 3).sum(2),
    "softmax": lambda x: jax.nn.softmax(x) + jax.nn.log_softmax(x, axis=1),
    "unstacked": lambda x: sum((k + 1) * a for k, a in enumerate(jnp.unstack(x, axis=1))),
    "counts": lambda x: jnp.arange(x.shape[0])[:, None] + x[:, 0],
    "constants": lambda x: x + jnp.linspace(0, 1, 5) @ jnp.eye(5) + jnp.sort(jnp.ones(5)),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name):
    same(SHAPES[name], X)


def test_sums_over_edges_are_scattered():
    def sums(x, i):
        def one(x, i):
            return jax.ops.segment_sum(x, i, 6)

        return jax.vmap(one)(x, i)

    same(sums, X, RNG.integers(0, 6, (3, 4)).astype(np.int32))


def test_sizes_are_computed():
    def function(x):
        n = x.shape[0]
        rolled = jnp.roll(x, -1, axis=0)
        halves = x.reshape(-1, 2, 5)[: 2 * n - 1].sum((1, 2)).mean()
        last = lax.slice_in_dim(rolled, n - 1, n)
        return jnp.concatenate([last, x, x], axis=0) + halves

    same(function, X)


def test_matrix_products():
    w = RNG.normal(size=(5, 7)).astype(np.float32)
    same(lambda x: x @ w + 1, X)
    same(lambda x: jnp.einsum("nij,nkj->nik", x, x), X)
    same(lambda x: jnp.einsum("nij,jk,nil->nkl", x, w, x), X)
    same(lambda x: jnp.tensordot(x, w.reshape(5, 7, 1), axes=((2,), (0,))), X)


@pytest.mark.parametrize("opset", [16, 18, 23])
def test_convolutions(opset):
    image = RNG.normal(size=(2, 6, 7, 5, 3)).astype(np.float32)
    kernel = RNG.normal(size=(3, 2, 3, 3, 4)).astype(np.float32)

    def network(x):
        numbers = ("NDHWC", "DHWIO", "NDHWC")
        pads = ((1, 0), (0, 1), (2, 1))
        y = lax.conv_general_dilated(x, kernel, (1, 2, 1), pads, dimension_numbers=numbers)
        y = (jax.nn.relu(y + jnp.arange(4.0)) - 0.5) * 1.5 + 0.25
        y = lax.reduce_window(y, -jnp.inf, lax.max, (1, 2, 2, 1, 1), (1, 2, 1, 1, 1), "VALID")
        y = lax.reduce_window(y, 0.0, lax.add, (1, 2, 1, 2, 1), (1, 1, 1, 2, 1), "SAME")
        return y.reshape(x.shape[0], -1)

    same(network, image, opset=opset)
    same(network, image, opset=opset, open_batch=False)


@pytest.mark.parametrize("pads", ["SAME", ((2, 0), (1, 3))])
def test_transposed_convolutions(pads):
    image = RNG.normal(size=(2, 4, 5, 3)).astype(np.float32)
    kernel = RNG.normal(size=(3, 4, 3, 2)).astype(np.float32)
    same(lambda x: lax.conv_transpose(x, kernel, (2, 3), pads) + jnp.arange(2.0), image)


def test_one_slice_becomes_two_dimensions():
    image = RNG.normal(size=(2, 8, 9, 3)).astype(np.float32)
    kernel = RNG.normal(size=(1, 3, 3, 3, 4)).astype(np.float32)

    def network(x):
        pads = ((0, 0), (1, 1), (1, 1))
        numbers = ("NDHWC", "DHWIO", "NDHWC")
        return lax.conv_general_dilated(
            x[:, None], kernel, (1, 1, 1), pads, dimension_numbers=numbers
        )[:, 0]

    same(network, image)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: lax.while_loop(lambda c: c.sum() < 9, lambda c: c + 1, x),
        lambda x: jnp.linalg.cholesky(x[:, :4, :4]),
        lambda x: lax.conv_transpose(x, jnp.ones((2, 5, 3)), (2,), [(3, 0)]),
        lambda x: lax.dynamic_slice_in_dim(x, jnp.argmax(x[0, 0]), 2, axis=2),
    ],
)
def test_what_onnx_does_not_have_is_named(function):
    @jax.named_scope("Generator/Dense_1")
    def layer(x):
        return function(x)

    with pytest.raises(InputError, match=r"expected operations that ONNX has, found "):
        run(layer, X)


def test_batch_norm_is_one_factor_and_one_shift_and_a_bias_is_the_convolutions():
    kernel = RNG.normal(size=(3, 3, 2, 4)).astype(np.float32)

    def network(x):
        y = lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        y = jax.nn.relu(y + jnp.arange(4.0))
        return (y - jnp.arange(4.0)) * lax.rsqrt(jnp.arange(1.0, 5.0)) + 2.0

    image = RNG.normal(size=(2, 5, 6, 2)).astype(np.float32)
    same(network, image)
    graph = Graph(16)
    x = {"x": graph.input("x", np.float32, (2, 5, 6, 2))}
    said = program._applied(graph, lambda d: {"y": network(d["x"])}, x)
    program._output(graph, "y", said["y"], Sizes(2, {}))
    program.tidy(graph, ["y"])
    found = [node.op for node in graph.nodes]
    assert found == ["Transpose", "Conv", "Relu", "Mul", "Add", "Transpose"]
    assert len(graph.nodes[1].inputs) == 3
