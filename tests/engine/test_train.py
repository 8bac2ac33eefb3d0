"""The train loop: resuming, layouts, non-finite updates, interruption, records."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import toy
from helpers.toy import TOTAL, TOY, ToyConfig, final_state

import hepjax.run
from hepjax import InputError, TrainingError
from hepjax.engine import records
from hepjax.engine.checkpoint import complete_steps, read_manifest
from hepjax.engine.config import (
    CheckpointConfig,
    InputConfig,
    MeshConfig,
    TrainConfig,
)
from hepjax.engine.step import init_state
from hepjax.engine.train import train


def same_bits(a, b):
    return all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    run = tmp_path_factory.mktemp("straight")
    outcome = hepjax.run.train(TOY, ToyConfig(), run)
    assert (outcome.step, outcome.signal) == (TOTAL, None)
    return run


def test_training_learns(straight):
    rows = records.read(straight / "metrics.jsonl")
    losses = [r["loss"] for r in rows if r["event"] == "train"]
    assert len(losses) == 4  # the mean of each epoch
    assert losses[-1] < 0.3 * losses[0]


def test_validation_counts_each_event_once(straight):
    rows = [r for r in records.read(straight / "metrics.jsonl") if r["event"] == "validation"]
    assert [r["n"] for r in rows] == [12] * 4  # 12 events in batches of 8, four epochs


def test_killed_and_resumed_run_equals_the_straight_one_bit_for_bit(straight, tmp_path):
    script = [sys.executable, toy.__file__, str(tmp_path)]
    child = subprocess.Popen([*script, "0.2"])
    deadline = time.monotonic() + 60
    while len(complete_steps(tmp_path / "checkpoints")) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    killed_at = complete_steps(tmp_path / "checkpoints")[-1]
    assert 0 < killed_at < TOTAL
    subprocess.run([*script, "0"], check=True)
    assert same_bits(final_state(tmp_path), final_state(straight))
    steps = [r["step"] for r in records.read(tmp_path / "metrics.jsonl") if r["event"] == "train"]
    assert steps == sorted(set(steps))


def test_resident_events_train_to_the_bits_of_streamed_ones(straight, tmp_path):
    train(TOY, ToyConfig(input=InputConfig(window=16, resident=True)), tmp_path, quiet=True)
    assert same_bits(final_state(tmp_path), final_state(straight))


@pytest.mark.parametrize("layout", ["replicated", "fsdp"])
def test_eight_devices_equal_one_to_rounding(straight, tmp_path, layout):
    train(TOY, ToyConfig(mesh=MeshConfig(layout, devices=8)), tmp_path, quiet=True)
    for x, y in zip(
        jax.tree.leaves(final_state(tmp_path)), jax.tree.leaves(final_state(straight)), strict=True
    ):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


def test_an_explicit_program_equals_a_partitioned_one(tmp_path):
    states = []
    for program in ("partitioned", "explicit"):
        cfg = ToyConfig(mesh=MeshConfig(devices=8, program=program), noise=0.0)
        (tmp_path / program).mkdir()
        train(TOY, cfg, tmp_path / program, quiet=True)
        states.append(final_state(tmp_path / program))
    # A gradient that is summed where it should be averaged is wrong by a factor of 8.
    for x, y in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


def test_resume_on_other_devices_equals_to_rounding(straight, tmp_path):
    stops = iter([None] * 9 + [signal.SIGTERM] * 100)
    first = train(TOY, ToyConfig(), tmp_path, quiet=True, interrupted=lambda step: next(stops))
    assert (first.step, first.signal) == (10, signal.SIGTERM)
    mesh = MeshConfig("fsdp", devices=4)
    assert train(TOY, ToyConfig(mesh=mesh), tmp_path, quiet=True).step == TOTAL
    for x, y in zip(
        jax.tree.leaves(final_state(tmp_path)), jax.tree.leaves(final_state(straight)), strict=True
    ):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)


def test_fsdp_spreads_large_arrays(tmp_path):
    from hepjax.engine.mesh import make_mesh, state_shardings

    cfg = MeshConfig("fsdp", devices=8)
    abstract = jax.eval_shape(lambda: init_state(TOY, ToyConfig()))
    shardings = state_shardings(cfg, make_mesh(cfg, 8), abstract)
    assert shardings.model["w"].shard_shape((32, 64)) == (32, 8)
    assert shardings.step.is_fully_replicated


def test_nonfinite_update_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    cfg = ToyConfig(TrainConfig(batch_size=8, epochs=4, record_every=1), poison=5)
    with pytest.raises(TrainingError, match="non-finite"):
        train(TOY, cfg, tmp_path, quiet=True)
    assert complete_steps(tmp_path / "checkpoints") == [6]  # the first epoch left event 5 out
    assert np.isfinite(final_state(tmp_path, 6).model["w"]).all()


def test_nonfinite_update_is_skipped_when_asked(tmp_path):
    policy = TrainConfig(batch_size=8, epochs=4, record_every=1, on_nonfinite="skip")
    outcome = train(TOY, ToyConfig(policy, poison=5), tmp_path, quiet=True)
    assert outcome.step == TOTAL
    assert np.isfinite(final_state(tmp_path).model["w"]).all()
    skipped = [
        r["skipped"] for r in records.read(tmp_path / "metrics.jsonl") if r["event"] == "train"
    ]
    assert 1 <= sum(s > 0 for s in skipped) <= 4  # event 5 is in one batch an epoch at most


def test_an_update_too_large_for_the_memory_names_the_batch(tmp_path):
    def train_step(cfg, state, batch, key, clock):
        state, metrics = TOY.train_step(cfg, state, batch, key, clock)
        beside = jax.random.normal(key, (2**24, 2**24))  # 1 PB, which no compiler can leave out
        return state, metrics | {"loss": metrics["loss"] + jnp.sort(beside).max()}

    with pytest.raises(
        InputError, match=r"^train.batch_size: expected .* 1 devices .* 8 events.*\(.+\)$"
    ):
        train(replace(TOY, train_step=train_step), ToyConfig(), tmp_path, quiet=True)


def test_skipping_has_a_ceiling(tmp_path):
    policy = TrainConfig(
        batch_size=52, epochs=9, record_every=1, on_nonfinite="skip", max_skipped=3
    )
    with pytest.raises(TrainingError, match="4 in a row"):
        train(TOY, ToyConfig(policy, poison=5), tmp_path, quiet=True)


def test_epoch_checkpoints_beyond_the_limit_are_removed(tmp_path):
    cfg = ToyConfig(checkpoint=CheckpointConfig(keep=2))
    train(TOY, cfg, tmp_path, quiet=True)
    assert complete_steps(tmp_path / "checkpoints") == [18, 24]


def test_a_finished_run_is_left_alone(straight):
    before = sorted((p, os.stat(p).st_mtime_ns) for p in (straight / "checkpoints").rglob("*"))
    assert train(TOY, ToyConfig(), straight, quiet=True).step == TOTAL
    after = sorted((p, os.stat(p).st_mtime_ns) for p in (straight / "checkpoints").rglob("*"))
    assert before == after


def test_a_warm_start_begins_with_the_best_epoch_of_another_run(straight, tmp_path):
    scores = {s: read_manifest(straight / "checkpoints", s)["score"] for s in (6, 12, 18, 24)}
    best = min(scores, key=scores.get)
    policy = TrainConfig(batch_size=8, steps=1, warm_start=str(straight))
    train(TOY, ToyConfig(policy), tmp_path, quiet=True)
    moved = final_state(tmp_path, 1)
    assert int(moved.step) == 1
    start = final_state(straight, best)
    assert 0 < np.abs(moved.model["w"] - start.model["w"]).max() < 0.1
    cold = init_state(TOY, ToyConfig())
    assert np.abs(moved.model["w"] - cold.model["w"]).mean() > 0.01


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ({}, {"program": "explicit"}, "mesh.program=partitioned .* found explicit"),
        (
            {"program": "explicit"},
            {"program": "explicit", "batch_norm": "local"},
            "mesh.batch_norm=global .* found local",
        ),
    ],
)
def test_what_changes_the_noise_or_the_statistics_stays_when_a_run_resumes(
    tmp_path, before, after, named
):
    run, policy = tmp_path / "run", TrainConfig(batch_size=8, steps=2)
    hepjax.run.train(TOY, ToyConfig(policy, MeshConfig(devices=2, **before)), run)
    longer = TrainConfig(batch_size=8, steps=4)
    with pytest.raises(InputError, match=f"expected {named}") as error:
        hepjax.run.train(TOY, ToyConfig(longer, MeshConfig(devices=2, **after)), run)
    assert "\n" not in str(error.value)
    # Other devices are no other run.
    hepjax.run.train(TOY, ToyConfig(longer, MeshConfig(devices=4, **before)), run)


def test_a_warm_start_from_nowhere_is_an_error(tmp_path):
    cfg = ToyConfig(TrainConfig(batch_size=8, warm_start=str(tmp_path / "none")))
    with pytest.raises(InputError, match="none"):
        train(TOY, cfg, tmp_path / "run", quiet=True)
