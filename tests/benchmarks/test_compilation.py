"""What a compiler for GPUs has to tune: the products of a program, counted once each."""

import jax
import jax.numpy as jnp

from benchmarks.speed.compilation import products


def test_products_of_the_same_operands_are_one():
    def network(x, a, b, kernel):
        x = jnp.tanh(x @ a) @ a @ a  # three of one kind
        y = jax.lax.conv_general_dilated(x[:, None], kernel, (1,), "SAME")[:, 0]
        return (y @ b).sum()

    shapes = [(8, 16), (16, 16), (16, 4), (1, 1, 3)]
    arguments = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    found = products(jax.jit(network).lower(*arguments).as_text())
    assert sorted(found.values()) == [1, 1, 3]
    assert found.total() == 5
    (most,) = (what for what, count in found.items() if count == 3)
    assert "8x16xf32" in most
    assert "%" not in most
