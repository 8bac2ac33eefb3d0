"""The optimizer group: schedules and updates against numbers worked out by hand."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import gan3d as tiny_gan3d
from helpers import mlpf as tiny_mlpf
from helpers import tagger as tiny_tagger
from helpers.toy import Line, final_state, in_the_table
from helpers.tuned import TUNED, TunedConfig

import hepjax
import hepjax.run
from hepjax import InputError
from hepjax.engine import optimizers, records
from hepjax.engine.config import TrainConfig
from hepjax.engine.optimizers import OptimizerConfig
from hepjax.engine.workload import Spec
from hepjax.workloads import table


def rates(epochs, updates=None, train=None, **settings):
    cfg, train = OptimizerConfig(**{"learning_rate": 1.0} | settings), train or TrainConfig()
    updates = [0] * len(epochs) if updates is None else updates
    return [
        float(optimizers.learning_rate(cfg, train, jnp.float32(e), jnp.int32(u)))
        for e, u in zip(epochs, updates, strict=True)
    ]


@pytest.mark.parametrize(
    ("settings", "epochs", "expected"),
    [
        ({}, [0, 3, 100], [1, 1, 1]),
        # Linear scaling: 256 events an update instead of 128 or 64.
        ({"reference_batch": 128}, [0, 100], [2, 2]),
        ({"reference_batch": 64, "learning_rate": 0.5}, [0, 100], [2, 2]),
        ({"reference_batch": 1}, [0], [256]),
        # It climbs from the rate itself to the scaled one.
        ({"reference_batch": 64, "warmup_epochs": 5}, [0, 2.5, 5, 9], [1, 2.5, 4, 4]),
        ({"reference_batch": 512, "warmup_epochs": 4}, [0, 2, 4], [1, 0.75, 0.5]),
        ({"warmup_epochs": 5}, [0, 2.5, 5], [1, 1, 1]),  # nothing to climb to
        # The last epoch reached counts, in whatever order they are written.
        ({"drops": ((6, 0.01), (3, 0.1))}, [0, 2.9, 3, 5.9, 6, 99], [1, 1, 0.1, 0.1, 0.01, 0.01]),
        ({"drops": ((0, 0.5),)}, [0, 1], [0.5, 0.5]),
        ({"decay": 0.5, "decay_every": 10}, [0, 9.9, 10, 19.9, 20], [1, 1, 0.5, 0.5, 0.25]),
        (
            {"decay": 0.5, "decay_every": 10, "decay_first": 9},
            [8.9, 9, 18.9, 19, 29],
            [1, 0.5, 0.5, 0.25, 0.125],
        ),
        ({"decay": 0.5}, [0, 1000], [1, 1]),  # no distance, no steps
        ({"cosine": True}, [0, 20 / 3, 10, 40 / 3, 20, 21], [1, 0.75, 0.5, 0.25, 0, 0]),
        (
            {"reference_batch": 128, "drops": ((8, 0.1),), "decay": 0.5, "decay_every": 5,
             "cosine": True},
            [10], [2 * 0.1 * 0.25 * 0.5],
        ),
    ],
)  # fmt: skip
def test_schedule_in_epochs(settings, epochs, expected):
    train = TrainConfig(batch_size=256, epochs=20)
    np.testing.assert_allclose(
        rates(epochs, train=train, **settings), expected, rtol=1e-5, atol=1e-7
    )


def test_step_decay_may_count_updates():
    settings = {"decay": 0.99, "decay_every": 10_000, "decay_unit": "updates"}
    found = rates([50] * 4, [0, 9_999, 10_000, 25_000], **settings)
    np.testing.assert_allclose(found, [1, 1, 0.99, 0.99**2], rtol=1e-5)
    found = rates([0] * 3, [2, 3, 13], **settings | {"decay_every": 10, "decay_first": 3})
    np.testing.assert_allclose(found, [1, 0.99, 0.99**2], rtol=1e-5)


def test_the_schedule_is_that_of_a_run(tmp_path):
    optimizer = OptimizerConfig(learning_rate=0.02, drops=((1.5, 0.1),), reference_batch=4)
    cfg = TunedConfig(TrainConfig(batch_size=8, epochs=2, record_every=1), optimizer=optimizer)
    hepjax.run.train(TUNED, cfg, tmp_path / "run")
    rows = [r for r in records.read(tmp_path / "run" / "metrics.jsonl") if r["event"] == "train"]
    # An update has the epochs done before it; there are six updates in an epoch.
    np.testing.assert_allclose([r["learning_rate"] for r in rows], [0.04] * 9 + [0.004] * 3)


GRADIENTS = [np.float32([3.0, -4.0]), np.float32([0.5, 0.1]), np.float32([-1.0, 2.0])]
START, RATE = np.float32([1.0, -2.0]), 0.1


def updated(cfg, gradients=GRADIENTS):
    params = {"w": jnp.asarray(START)}
    state, course = optimizers.init(cfg, params), []
    for gradient in gradients:
        params, state = optimizers.update(
            cfg, state, params, {"w": jnp.asarray(gradient)}, jnp.float32(RATE)
        )
        course.append(np.asarray(params["w"]))
    return course, state


def by_hand(cfg, gradients=GRADIENTS):
    """The published formulas of Adam, AdamW and RMSprop of Keras, in double precision."""
    w, mean, square = (np.float64(a) for a in (START, [0.0, 0.0], [0.0, 0.0]))
    course = []
    for k, gradient in enumerate(np.float64(gradients), start=1):
        mean = cfg.beta1 * mean + (1 - cfg.beta1) * gradient
        square = cfg.beta2 * square + (1 - cfg.beta2) * gradient**2
        if cfg.name == "rmsprop":
            step = gradient / (np.sqrt(square) + cfg.epsilon)
        else:
            first, second = mean / (1 - cfg.beta1**k), square / (1 - cfg.beta2**k)
            step = first / (np.sqrt(second) + cfg.epsilon)
        w = w - RATE * (step + cfg.weight_decay * w)
        course.append(w)
    return course


@pytest.mark.parametrize(
    "cfg",
    [
        OptimizerConfig("adam"),
        OptimizerConfig("adam", beta1=0.5, beta2=0.8, epsilon=0.1),
        OptimizerConfig("adamw"),
        OptimizerConfig("adamw", weight_decay=0.3),
        OptimizerConfig("rmsprop", beta2=0.9, epsilon=1e-7),
    ],
    ids=lambda cfg: f"{cfg.name} {cfg.weight_decay:g} {cfg.epsilon:g}",
)
def test_updates_are_the_published_formulas(cfg):
    np.testing.assert_allclose(updated(cfg)[0], by_hand(cfg), rtol=2e-5)


def test_weight_decay_does_not_pass_through_the_moments():
    """With a gradient of 0 the parameters shrink by the share times the rate, no more."""
    course, _ = updated(OptimizerConfig("adamw", weight_decay=0.3), [np.zeros(2, "f4")] * 2)
    np.testing.assert_allclose(course, [0.97 * START, 0.97**2 * START], rtol=1e-6)


def test_clipping_is_by_the_norm_of_all_parameters_together():
    cfg = OptimizerConfig("adam", clip=1.0)
    params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
    state = optimizers.init(cfg, params)
    large = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    _, state = optimizers.update(cfg, state, params, large, jnp.float32(1))
    adam = state[-1]
    np.testing.assert_allclose([adam.mu["a"][0], adam.mu["b"][0]], [0.06, 0.08], rtol=1e-5)
    # Gradients within the limit are left alone.
    small = [0.1 * g for g in GRADIENTS]
    np.testing.assert_array_equal(updated(cfg, small)[0], updated(replace(cfg, clip=0), small)[0])
    clipped = [g / max(1.0, np.linalg.norm(g)) for g in GRADIENTS]
    np.testing.assert_allclose(updated(cfg)[0], by_hand(cfg, clipped), rtol=2e-5)


def test_a_moving_average_follows_the_parameters():
    cfg = OptimizerConfig("adam", average=0.9)
    course, state = updated(cfg)
    np.testing.assert_array_equal(course, updated(replace(cfg, average=0.0))[0])
    wanted = np.float64(START)
    for w in course:
        wanted = 0.9 * wanted + 0.1 * w
    np.testing.assert_allclose(state["average"]["w"], wanted, rtol=1e-5)
    params = {"w": jnp.asarray(course[-1])}
    assert optimizers.trained(cfg, state, params) is state["average"]
    assert optimizers.trained(replace(cfg, average=0.0), state, params) is params


def test_an_average_of_a_run_is_validated_saved_and_served(tmp_path, monkeypatch):
    in_the_table(monkeypatch, "tuned = helpers.tuned:TUNED")
    optimizer = OptimizerConfig(learning_rate=0.02, average=0.95)
    policy = TrainConfig(batch_size=8, epochs=1)
    cfg = TunedConfig(policy, noise=0.0, optimizer=optimizer)
    hepjax.run.train(TUNED, cfg, tmp_path / "run")
    state, line = final_state(tmp_path / "run", 6, TUNED, cfg).model, Line()
    average, last = state["optimizer"]["average"], state["w"]
    assert np.abs(average - last).max() > 1e-3

    def loss(w):
        return np.square((line.x[52:] @ w).mean(1) - line.y[52:]).mean()

    scores = records.read(tmp_path / "run" / "metrics.jsonl")[-1]
    assert scores["loss"] == pytest.approx(loss(average), rel=1e-4)
    assert scores["loss"] != pytest.approx(loss(last), rel=1e-2)
    rows = list(hepjax.load(tmp_path / "run").predict([]))
    found = np.concatenate([part["y"] for part in rows])
    np.testing.assert_allclose(found, (line.x @ average).mean(1), atol=1e-5)


MLPF = tiny_mlpf.config(tiny_mlpf.CONCAT)
CASES = {
    "tagger": (
        tiny_tagger.TINY, tiny_tagger.spec_of(tiny_tagger.GRID), tiny_tagger.raw_batch(4),
    ),
    "mlpf": (MLPF, Spec(), tiny_mlpf.raw_events([14, 11], 16)),
    "gan3d": (tiny_gan3d.TINY, Spec(), tiny_gan3d.raw_showers(2)),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "tagger")) for n in CASES]
)
def test_workloads_validate_and_answer_with_the_average(name):
    """The parameters beside it may be NaN."""
    workload, (cfg, spec, raw) = table.get(name), CASES[name]
    averaged = replace(cfg, optimizer=replace(cfg.optimizer, average=0.9))
    key = jax.random.key(0)
    begun = jax.jit(partial(workload.init, averaged))(key)

    def broken(path, leaf):
        names = [getattr(k, "name", None) for k in path]
        return jnp.full_like(leaf, jnp.nan) if "params" in names else leaf

    raw = {k: jnp.asarray(v) for k, v in raw.items()}
    mask = {"mask": jnp.ones(len(next(iter(raw.values()))))}
    keys = jax.random.split(key, len(mask["mask"]))

    @jax.jit
    def results(state):
        batch = workload.prepare(averaged, spec, raw | mask)
        inputs = {n: (raw | batch)[n] for n in workload.inputs(averaged).names}
        sums = workload.eval_step(averaged, state, batch, key)
        return sums, workload.infer(averaged, state, inputs, keys)

    wanted = results(begun)
    found = results(jax.tree_util.tree_map_with_path(broken, begun))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(wanted))
    for a, b in zip(*map(jax.tree.leaves, (found, wanted)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate: expected above 0, found 0.0"),
        ({"decay": 0.0}, "decay: expected above 0, at most 1, found 0.0"),
        ({"decay": 1.5}, "decay: expected above 0, at most 1, found 1.5"),
        ({"decay_every": -1.0}, "decay_every: expected 0 or more, found -1.0"),
        ({"beta1": 1.0}, "beta1: expected 0 up to 1, found 1.0"),
        ({"average": 1.0}, "average: expected 0 up to 1, found 1.0"),
        ({"clip": -1.0}, "clip: expected 0 or more, found -1.0"),
        ({"drops": ((3.0, -0.1),)}, r"drops: expected 0 or more, found \(\(3.0, -0.1\),\)"),
        ({"weight_decay": 0.1}, "weight_decay: expected 0 with optimizer.name=adam, found 0.1"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(InputError, match=f"^optimizer.{message}$"):
        TunedConfig(optimizer=OptimizerConfig(**settings))
