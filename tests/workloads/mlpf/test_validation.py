"""Validation sums, the candidates that a trained network gives, and settings that cannot be."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.mlpf import CONCAT, config, raw_events
from helpers.models import initial, model_of

from hepjax import InputError
from hepjax.engine.workload import Spec
from hepjax.formats.particleflow.columns import IDENTIFIERS, QUANTITIES
from hepjax.workloads.mlpf import answer, objective, validation
from hepjax.workloads.mlpf.config import DataConfig, ModelConfig, published_optimizer
from hepjax.workloads.mlpf.workload import WORKLOAD

CFG = config(CONCAT)


@pytest.fixture(scope="module")
def state():
    return initial(objective, CFG)


def sums(state, raw, mask):
    batch = objective.prepare(CFG, Spec(), {k: jnp.asarray(v) for k, v in raw.items()})
    step = jax.jit(partial(validation.eval_step, CFG))
    return jax.device_get(step(state, batch | {"mask": jnp.asarray(mask)}, jax.random.key(0)))


def test_sums_add_up_over_batches_and_leave_out_what_fills_the_last(state):
    raw = raw_events([15, 9, 12], 16)
    whole = sums(state, raw, np.ones(3, np.float32))
    halves = [
        sums(state, {k: v[rows] for k, v in raw.items()}, np.float32(mask))
        for rows, mask in (([0, 1], [1, 1]), ([2, 2], [1, 0]))
    ]
    both = jax.tree.map(np.add, *halves)
    assert jax.tree.all(jax.tree.map(partial(np.allclose, rtol=1e-4), whole, both))
    assert whole["confusion"].sum() == 15 + 9 + 12
    assert whole["padding"] == 3 * 16 - 36


def test_scores_of_a_known_confusion_matrix():
    confusion = np.zeros((6, 6))
    confusion[1, 1], confusion[2, 2], confusion[2, 0], confusion[0, 2] = 50, 30, 10, 20
    moments = np.array([10.0, 1.0, 0.5])
    given = {"confusion": confusion, "padding": 90.0}
    given |= {f"{n}_{q}": moments for n, q in validation.RESOLUTIONS.items()}
    given |= {f"{n}_{k}": 1.0 for n in QUANTITIES for k in ("loss", "count")}
    scores = validation.summarise(CFG, given)
    expected = {
        "loss": 502.0, "accuracy": 80 / 110, "accuracy_padded": 170 / 200,
        "charged_hadron_efficiency": 1.0, "charged_hadron_fake_rate": 0.0,
        "neutral_hadron_efficiency": 0.75, "neutral_hadron_fake_rate": 0.4,
        "photon_efficiency": 0.0, "neutral_hadron_energy_bias": 0.1,
        "neutral_hadron_energy_resolution": 0.2,
    }  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_allclose(scores[name], value, atol=1e-9, err_msg=name)


def test_candidates_are_rows_like_the_truth(state):
    raw = raw_events([15, 9], 16)
    made = jax.jit(WORKLOAD.answer(CFG, Spec()))(state, {k: raw[k] for k in ("X", "n")}, None)
    rows, probability = (np.asarray(made[k]) for k in ("candidates", "probability"))
    assert rows.shape == (2, 16, 7)
    inside = np.arange(16) < raw["n"][:, None]
    np.testing.assert_allclose(probability.sum(-1), inside, rtol=1e-5)
    label = rows[..., 0].astype(int)
    assert not rows[label == 0].any()
    np.testing.assert_array_equal(label[inside], probability[inside].argmax(-1))
    some = label != 0
    assert some.any()
    np.testing.assert_allclose(np.hypot(rows[some][:, 4], rows[some][:, 5]), 1.0, rtol=1e-5)
    charged = np.isin(label, answer.CHARGED)
    np.testing.assert_array_equal(np.abs(rows[..., 1]), charged)
    assert (rows[..., [2, 6]] >= 0).all()


def test_prediction_gives_every_event_once_in_order(state):
    raw = raw_events([15, 9, 12, 5, 16], 16)

    class Events:
        blocks = np.array([0, 5])

        def __len__(self):
            return 5

        def __getitem__(self, rows):
            return {k: v[rows] for k, v in raw.items()}

    batches = list(model_of(WORKLOAD, CFG, state).over(Events(), 3))
    rows = np.concatenate([made["candidates"] for _, made in batches])
    whole = jax.jit(WORKLOAD.answer(CFG, Spec()))(state, {k: raw[k] for k in ("X", "n")}, None)
    np.testing.assert_allclose(rows, whole["candidates"], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.concatenate([b["n"] for b, _ in batches]), raw["n"])


def test_a_table_has_a_row_for_each_element(state):
    raw = raw_events([15, 9], 16)
    made = jax.jit(WORKLOAD.answer(CFG, Spec()))(state, {k: raw[k] for k in ("X", "n")}, None)
    made = jax.device_get(made)
    table = WORKLOAD.rows(CFG, raw, made, 40)
    np.testing.assert_array_equal(table["event"], [40] * 15 + [41] * 9)
    np.testing.assert_array_equal(table["element"], [*range(15), *range(9)])
    inside = np.arange(16) < raw["n"][:, None]
    np.testing.assert_array_equal(table["class"], made["candidates"][inside][:, 0])
    np.testing.assert_array_equal(table["energy"], made["candidates"][inside][:, 6])
    columns = [table[f"probability_{name}"] for name in IDENTIFIERS]
    np.testing.assert_array_equal(np.stack(columns, 1), made["probability"][inside])
    made["candidates"] = made["candidates"].copy()
    made["candidates"][1, 3] = np.nan
    with pytest.raises(InputError, match=r"^candidates: .* found 1 of 24 elements"):
        WORKLOAD.rows(CFG, raw, made, 0)


@pytest.mark.parametrize(
    ("groups", "key"),
    [
        ({"model": ModelConfig(dropout=0.1)}, "model.dropout"),
        ({"model": ModelConfig(inputs="log", published_slips=True)}, "model.inputs"),
        ({"model": ModelConfig(head_width=4)}, "model.head_width"),
        ({"model": ModelConfig(bin_size=0)}, "model.bin_size"),
        ({"optimizer": replace(published_optimizer(), decay=1.5)}, "optimizer.decay"),
        ({"data": DataConfig(buckets=(512, 256))}, "data.buckets"),
        ({"data": DataConfig(buckets=(0, 256))}, "data.buckets"),
        ({"objective": replace(CFG.objective, delta_angle=0.0)}, "objective.delta_angle"),
    ],
)
def test_settings_that_cannot_be_are_named(groups, key):
    with pytest.raises(InputError, match=rf"^{key}: expected"):
        replace(CFG, **groups)
