"""Populations: members side by side in one state, each guarded, scored and chosen by itself."""

import json
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import toy
from helpers.toy import TOTAL, TOY, ToyConfig, final_state, in_the_table

import hepjax
import hepjax.run
from hepjax import InputError, TrainingError
from hepjax.engine import records
from hepjax.engine.checkpoint import best_first, complete_steps
from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.engine.train import train

MEMBERS, ILL, LAST_GOOD = 3, 1, 10


@dataclass(frozen=True)
class PopulationConfig(ToyConfig):
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(batch_size=8, epochs=4, record_every=1)
    )
    ill: tuple[int, ...] = (ILL,)
    """Members whose gradients are NaN after ``LAST_GOOD`` updates."""
    rates: tuple[float, ...] = (0.3, 0.2, 0.02)
    """Of each member."""


def init(cfg, key):
    one = jax.vmap(lambda k: toy.init(cfg, jax.random.fold_in(key, k)))(jnp.arange(MEMBERS))
    return one | {"number": jnp.arange(MEMBERS)}


def member_step(cfg, state, batch, key, clock):
    number = state["number"]
    key = jax.random.fold_in(key, number)
    loss, grad = toy.gradient(cfg, state["w"], batch, key)
    ill = jnp.isin(number, jnp.array(cfg.ill, int)) & (clock.updates >= LAST_GOOD)
    v = 0.9 * state["v"] + jnp.where(ill, jnp.nan, grad)
    w = state["w"] - jnp.array(cfg.rates)[number] * v
    return {"w": w, "v": v, "number": number}, {"loss": loss}


def train_step(cfg, state, batch, key, clock):
    return jax.vmap(lambda s: member_step(cfg, s, batch, key, clock))(state)


def eval_step(cfg, state, batch, key):
    return jax.vmap(lambda s: TOY.eval_step(cfg, s, batch, key))(state)


POPULATION = replace(
    TOY,
    name="population",
    Config=PopulationConfig,
    init=init,
    train_step=train_step,
    eval_step=eval_step,
    summarise=lambda cfg, sums: {"loss": (sums["loss"] / sums["n"]).tolist()},
    members=lambda cfg: MEMBERS,
)


def alone(member):
    """The workload that has this member and no other."""
    return replace(
        TOY,
        Config=PopulationConfig,
        init=lambda cfg, key: jax.tree.map(lambda x: x[member], init(cfg, key)),
        train_step=member_step,
    )


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    run = tmp_path_factory.mktemp("population") / "run"
    assert hepjax.run.train(POPULATION, PopulationConfig(), run).step == TOTAL
    return run


def rows_of(run, event):
    return [row for row in records.read(run / "metrics.jsonl") if row["event"] == event]


def state_of(run, step=TOTAL):
    return final_state(run, step, POPULATION, PopulationConfig())


def test_a_member_that_fails_stays_at_its_last_good_state(together, tmp_path):
    state = state_of(together)
    np.testing.assert_array_equal(state.skipped, [0, TOTAL - LAST_GOOD, 0])
    healthy = PopulationConfig(TrainConfig(batch_size=8, steps=LAST_GOOD), ill=())
    train(POPULATION, healthy, tmp_path, quiet=True)
    stopped = state_of(tmp_path, LAST_GOOD).model
    for name in ("w", "v"):
        np.testing.assert_array_equal(state.model[name][ILL], stopped[name][ILL])
        assert np.isfinite(state.model[name]).all()


@pytest.mark.parametrize("member", [k for k in range(MEMBERS) if k != ILL])
def test_the_others_train_as_they_do_alone(together, tmp_path, member):
    workload, cfg = alone(member), PopulationConfig()
    train(workload, cfg, tmp_path, quiet=True)
    single = final_state(tmp_path, TOTAL, workload, cfg).model
    state = state_of(together).model
    for name in ("w", "v"):
        np.testing.assert_allclose(state[name][member], single[name], rtol=1e-4, atol=1e-6)


def test_records_hold_a_number_for_each_member(together):
    trained, validated = rows_of(together, "train"), rows_of(together, "validation")
    assert all(len(row["loss"]) == len(row["skipped"]) == MEMBERS for row in trained)
    assert [row["skipped"][ILL] for row in trained[LAST_GOOD - 1 : LAST_GOOD + 2]] == [0, 1, 2]
    assert all(row["skipped"][k] == 0 for row in trained for k in (0, 2))
    assert all(len(row["loss"]) == MEMBERS for row in validated)


def test_the_best_epoch_is_chosen_for_each_member(together):
    folder = together / "checkpoints"
    scores = {row["step"]: row["loss"] for row in rows_of(together, "validation")}
    assert complete_steps(folder) == sorted(scores)
    for member in range(MEMBERS):
        order = sorted(scores, key=lambda s, m=member: (scores[s][m], -s))
        assert best_first(folder, member) == order
    assert best_first(folder) == sorted(scores, key=lambda s: (np.mean(scores[s]), -s))


def test_a_score_that_is_missing_comes_last(tmp_path):
    """``None`` is what a score that is no finite number is saved as."""
    scores = {1: [0.3, None], 2: [0.2, 0.5], 3: [None, None], 4: [0.4, 0.1]}
    for step, score in scores.items():
        folder = tmp_path / f"step_{step}"
        folder.mkdir()
        (folder / "manifest.json").write_text(
            json.dumps({"step": step, "epoch": step, "score": score, "sha256": {}})
        )
    assert best_first(tmp_path, 0) == [2, 1, 4, 3]
    assert best_first(tmp_path, 1) == [4, 2, 3, 1]
    assert best_first(tmp_path)[-1] == 3


@pytest.mark.parametrize("member", range(MEMBERS))
def test_a_member_is_loaded_by_its_number(together, monkeypatch, member):
    in_the_table(monkeypatch, f"population = {__name__}:POPULATION")
    monkeypatch.setattr("hepjax.workloads.table._load", lambda name: POPULATION)
    run = hepjax.load(together, member=member)
    best = best_first(together / "checkpoints", member)[0]
    assert run.step == best
    np.testing.assert_array_equal(run.state["w"], state_of(together, best).model["w"][member])
    (rows, *_) = run.predict([])
    x = toy.Line().x[: len(rows["y"])]
    np.testing.assert_allclose(rows["y"], (x @ np.asarray(run.state["w"])).mean(1), atol=1e-5)


def test_members_that_are_not_there_are_refused(together, monkeypatch):
    in_the_table(monkeypatch, f"population = {__name__}:POPULATION")
    monkeypatch.setattr("hepjax.workloads.table._load", lambda name: POPULATION)
    for member in (-1, MEMBERS):
        with pytest.raises(InputError, match=f"^member: expected 0 to 2, found {member}$"):
            hepjax.load(together, member=member)


def test_the_only_member_of_a_plain_run_is_all_of_it(tmp_path, monkeypatch):
    in_the_table(monkeypatch)
    hepjax.run.train(TOY, ToyConfig(TrainConfig(batch_size=8, steps=6)), tmp_path / "run")
    whole, first = (hepjax.load(tmp_path / "run", member=m) for m in (None, 0))
    np.testing.assert_array_equal(whole.state["w"], first.state["w"])


def test_a_population_of_the_ill_stops(tmp_path):
    cfg = PopulationConfig(ill=(0, 1, 2))
    with pytest.raises(TrainingError, match=rf"non-finite update before step {LAST_GOOD + 1} "):
        train(POPULATION, cfg, tmp_path, quiet=True)


def test_skipping_has_a_ceiling_for_the_last_healthy_member(tmp_path):
    policy = TrainConfig(batch_size=8, epochs=4, record_every=1, on_nonfinite="skip", max_skipped=3)
    cfg = PopulationConfig(policy, ill=(0, 1, 2))
    with pytest.raises(TrainingError, match="4 in a row"):
        train(POPULATION, cfg, tmp_path, quiet=True)


def test_eight_devices_equal_one_to_rounding(together, tmp_path):
    train(POPULATION, PopulationConfig(mesh=MeshConfig(devices=8)), tmp_path, quiet=True)
    found, wanted = state_of(tmp_path), state_of(together)
    np.testing.assert_array_equal(found.skipped, wanted.skipped)
    for name in ("w", "v"):
        np.testing.assert_allclose(found.model[name], wanted.model[name], rtol=1e-4, atol=1e-6)
