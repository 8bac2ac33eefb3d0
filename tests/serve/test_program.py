"""Events are answered alike alone and in company, and one that fails spoils no other."""

import jax
import numpy as np
import pytest
from helpers.gan3d import TINY_ANGLE
from helpers.models import model_of
from helpers.serving import MLPF

from hepjax.engine.step import init_state
from hepjax.serve.program import Rows, Times, compile_program, separately
from hepjax.serve.refusal import Refusal
from hepjax.serve.signature import signature
from hepjax.workloads import table


def program_of(name, cfg, lengths, most):
    workload = table.get(name)
    state = jax.jit(lambda: init_state(workload, cfg))().model
    model = model_of(workload, cfg, state)
    return model, compile_program(model, signature(workload, cfg), lengths, most)


@pytest.fixture(scope="module")
def showers():
    return program_of("gan3d", TINY_ANGLE, (0,), 4)


def test_a_seed_gives_the_showers_of_generate(showers):
    """Whatever they are batched with, and wherever a large request is cut."""
    model, program = showers
    inputs = {
        "energy": np.array([50, 100, 200], np.float32), "theta": np.array([1.2, 1.5, 1.8], "f4")
    }  # fmt: skip
    (alone,) = model.placed.given(
        lambda state, x, keys: model.workload.infer(model.cfg, state, x, keys), inputs, 4, seed=9
    )
    first = Rows({k: v[:1] for k, v in inputs.items()}, 9, 0)
    rest = Rows({k: v[1:] for k, v in inputs.items()}, 9, 1)
    other = Rows({k: v[:1] for k, v in inputs.items()}, 10, 0)
    answers, _ = program.answers(model.placed.state, [other, rest, first], 0)
    np.testing.assert_allclose(answers[1]["ecal"], alone["ecal"][1:], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(answers[2]["ecal"], alone["ecal"][:1], rtol=1e-5, atol=1e-7)
    assert np.abs(answers[0]["ecal"] - alone["ecal"][:1]).max() > 1e-6


def test_ragged_events_are_padded_and_cut():
    rng = np.random.default_rng(3)
    model, program = program_of("mlpf", MLPF, (8, 16), 4)
    assert program.sizes == {8: (1, 2), 16: (1,)}

    def event(length):
        X = np.abs(rng.normal(size=(1, length, 12))).astype(np.float32)
        return Rows({"X": X, "elements": np.ones((1, length), bool)}, 0, 0)

    short, other = event(5), event(7)
    together, _ = program.answers(model.placed.state, [other, short], 8)
    alone, _ = program.answers(model.placed.state, [short], 8)
    assert together[1]["candidates"].shape == (1, 5, 7)
    np.testing.assert_allclose(together[1]["candidates"], alone[0]["candidates"], atol=1e-5)
    longer, _ = program.answers(model.placed.state, [short], 16)
    np.testing.assert_allclose(longer[0]["candidates"], alone[0]["candidates"], atol=1e-4)


def rows(*values):
    return [Rows({"x": np.array([v], np.float32)}, 0, 0) for v in values]


def test_a_part_that_fails_is_refused_alone():
    """A planted fault: batches with a negative number raise, and roots of 7 are no numbers."""

    def answer(parts):
        values = np.concatenate([p.inputs["x"] for p in parts])
        if (values < 0).any():
            raise RuntimeError("negative")
        return [{"y": np.where(p.inputs["x"] == 7, np.nan, 1)} for p in parts], Times(1, 2, 3)

    results, times = separately(answer, rows(1, -1, 7))
    assert results[0]["y"] == 1
    assert isinstance(results[1], RuntimeError)
    assert isinstance(results[2], Refusal)
    assert times == Times(2, 4, 6)
    results, times = separately(answer, rows(1, 7))
    assert results[0]["y"] == 1
    assert isinstance(results[1], Refusal)
    assert times == Times(1, 2, 3)
