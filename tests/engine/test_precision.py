"""float32_highest reaches every product of an update and of an answer, and changes nothing else."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
from helpers.toy import TOY, ToyConfig

from hepjax.engine.config import TrainConfig
from hepjax.engine.precision import exactly


@pytest.mark.parametrize(
    ("precision", "dtype", "words"),
    [("float32", "float32", 0), ("bfloat16", "bfloat16", 0), ("float32_highest", "float32", 3)],
)
def test_products_ask_for_all_digits(precision, dtype, words):
    cfg = ToyConfig(train=TrainConfig(precision=precision))
    assert cfg.train.dtype == dtype

    def loss(a, b):
        return (a @ b).sum()

    x = jnp.ones((2, 2))
    step = exactly(cfg, jax.value_and_grad(loss, (0, 1)))
    assert str(jax.make_jaxpr(step)(x, x)).count("HIGHEST") // 2 == words


def test_the_users_own_choice_stands():
    with jax.default_matmul_precision("highest"):
        jaxpr = jax.make_jaxpr(exactly(ToyConfig(), jnp.dot))(jnp.ones((2, 2)), jnp.ones((2, 2)))
    assert "HIGHEST" in str(jaxpr)


def test_an_answer_is_as_exact_as_the_training():
    from hepjax.engine.workload import _infer

    cfg = replace(ToyConfig(), train=TrainConfig(precision="float32_highest"))
    seen = []

    def infer(cfg, state, inputs, keys):
        seen.append(jax.config.jax_default_matmul_precision)
        return inputs

    _infer(replace(TOY, infer=infer), cfg)(None, {}, None)
    assert seen == ["highest"]
