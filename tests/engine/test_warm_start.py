"""A run that begins with the best epoch of another: what it takes over, and what begins anew."""

import signal
from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers.toy import final_state
from helpers.tuned import TUNED, TunedConfig

import hepjax.run
from hepjax import InputError
from hepjax.engine import records, train
from hepjax.engine.begin import begin_or_restore
from hepjax.engine.checkpoint import best_first
from hepjax.engine.config import TrainConfig
from hepjax.engine.mesh import make_mesh
from hepjax.engine.optimizers import OptimizerConfig

STEPS_PER_EPOCH = 6
AVERAGED = OptimizerConfig(
    learning_rate=0.02, decay=0.9, decay_every=1, decay_unit="updates", average=0.5
)


def config(run=None, schedule="reset", **more):
    warm = {} if run is None else {"warm_start": str(run), "warm_schedule": schedule}
    return TunedConfig(
        TrainConfig(**{"batch_size": 8, "epochs": 2, "record_every": 1} | warm | more)
    )


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    run = tmp_path_factory.mktemp("earlier") / "run"
    hepjax.run.train(TUNED, config(epochs=3), run)
    return run


def best(run, cfg=None):
    """Update and state of the best epoch."""
    step = best_first(run / "checkpoints")[0]
    return step, final_state(run, step, TUNED, config() if cfg is None else cfg)


def beginning(cfg, folder):
    mesh = make_mesh(cfg.mesh, 8)
    with jax.set_mesh(mesh):
        done, state, _ = begin_or_restore(TUNED, cfg, mesh, folder / "checkpoints")
    assert done == int(state.step) == 0
    return jax.device_get(state)


def rates(run):
    rows = records.read(run / "metrics.jsonl")
    return {r["step"]: r["learning_rate"] for r in rows if r["event"] == "train"}


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_reset_takes_the_parameters_and_nothing_else(earlier, tmp_path):
    _, before = best(earlier)
    state = beginning(config(earlier), tmp_path)
    np.testing.assert_array_equal(state.model["w"], before.model["w"])
    assert any(np.any(leaf) for leaf in jax.tree.leaves(before.model["optimizer"]))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(state.model["optimizer"]))
    assert state.before is None


def test_reset_begins_the_schedule_anew(earlier, tmp_path):
    hepjax.run.train(TUNED, config(earlier, steps=3), tmp_path / "run")
    found = rates(tmp_path / "run")
    np.testing.assert_allclose([found[k] for k in (1, 2, 3)], 0.02 * 0.9 ** np.arange(3), rtol=1e-5)


def test_keep_takes_everything_and_the_time(earlier, tmp_path):
    step, before = best(earlier)
    state = beginning(config(earlier, "keep"), tmp_path)
    assert_same(state.model, before.model)
    np.testing.assert_array_equal(state.before, np.float32([step / STEPS_PER_EPOCH, step]))


def test_keep_goes_on_with_the_schedule(earlier, tmp_path):
    step = best_first(earlier / "checkpoints")[0]
    hepjax.run.train(TUNED, config(earlier, "keep", steps=3), tmp_path / "run")
    found = rates(tmp_path / "run")
    wanted = 0.02 * 0.9 ** (step + np.arange(3.0))
    np.testing.assert_allclose([found[k] for k in (1, 2, 3)], wanted, rtol=1e-5)
    rows = [r for r in records.read(tmp_path / "run" / "metrics.jsonl") if r["event"] == "train"]
    assert rows[0]["epoch_of_clock"] == pytest.approx(step / STEPS_PER_EPOCH)


def test_a_kept_run_that_resumes_equals_the_straight_one(earlier, tmp_path):
    cfg, total = config(earlier, "keep"), 2 * STEPS_PER_EPOCH
    hepjax.run.train(TUNED, cfg, tmp_path / "straight")
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    stops = iter([None] * 3 + [signal.SIGTERM] * 100)
    train.train(TUNED, cfg, stopped, quiet=True, interrupted=lambda step: next(stops))
    assert train.train(TUNED, cfg, stopped, quiet=True).step == total
    assert_same(*(final_state(tmp_path / d, total, TUNED, cfg) for d in ("straight", "stopped")))


def test_times_of_several_kept_runs_add_up_until_one_begins_anew(earlier, tmp_path):
    first = tmp_path / "first"
    cfg = config(earlier, "keep")
    hepjax.run.train(TUNED, cfg, first)
    step = best_first(earlier / "checkpoints")[0] + best_first(first / "checkpoints")[0]
    state = beginning(config(first, "keep"), tmp_path / "second")
    np.testing.assert_allclose(state.before, [step / STEPS_PER_EPOCH, step], rtol=1e-6)
    again = beginning(config(first), tmp_path / "third")
    assert again.before is None
    np.testing.assert_array_equal(again.model["w"], best(first, cfg)[1].model["w"])


def test_the_moving_average_is_taken_over_with_the_parameters(tmp_path):
    cfg = replace(config(), optimizer=AVERAGED)
    hepjax.run.train(TUNED, cfg, tmp_path / "run")
    _, before = best(tmp_path / "run", cfg)
    state = beginning(replace(config(tmp_path / "run"), optimizer=AVERAGED), tmp_path)
    optimizer = before.model["optimizer"]
    np.testing.assert_array_equal(state.model["optimizer"]["average"], optimizer["average"])
    assert not any(np.any(a) for a in jax.tree.leaves(state.model["optimizer"]["moments"]))


def test_another_optimizer_begins_with_moments_of_its_own(earlier, tmp_path):
    _, before = best(earlier)
    other = replace(config(earlier), optimizer=OptimizerConfig("rmsprop", beta2=0.9))
    state = beginning(other, tmp_path)
    np.testing.assert_array_equal(state.model["w"], before.model["w"])
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(state.model["optimizer"]))


def test_who_keeps_the_schedule_keeps_the_optimizer(earlier, tmp_path):
    other = replace(config(earlier, "keep"), optimizer=OptimizerConfig("rmsprop", beta2=0.9))
    with pytest.raises(InputError, match="expected a usable checkpoint, found none") as error:
        beginning(other, tmp_path)
    assert "\n" not in str(error.value)


def test_the_choice_of_the_schedule_stays_when_a_run_resumes(earlier, tmp_path):
    hepjax.run.train(TUNED, config(earlier, "keep", steps=1), tmp_path / "run")
    with pytest.raises(InputError, match=r"expected train.warm_schedule=keep as when the run"):
        hepjax.run.train(TUNED, config(earlier, "reset", steps=2), tmp_path / "run")
