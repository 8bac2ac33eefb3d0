"""Populations of any workload: members as single trainings, their mean and spread."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.toy import TOY, ToyConfig, final_state, in_the_table
from helpers.toy import Line as ToyLine

import hepjax
import hepjax.run
from hepjax import InputError
from hepjax.engine import population, records
from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.engine.settings import build


def config(members=3, devices=1, layout="replicated", **more):
    return ToyConfig(
        TrainConfig(batch_size=8, epochs=2, record_every=2, members=members, **more),
        MeshConfig(devices=devices, layout=layout),
    )


def state_of(run, cfg):
    return final_state(run, 2 * (52 // 8), population.of(TOY, cfg), cfg)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = tmp_path_factory.mktemp("members") / "run"
    hepjax.run.train(TOY, config(), run)
    return run


def test_members_differ_and_each_is_scored(run):
    state = state_of(run, config())
    assert state.model.each["w"].shape == (3, 32, 64)
    assert len({float(w.sum()) for w in state.model.each["w"]}) == 3
    rows = [r for r in records.read(run / "metrics.jsonl") if r["event"] == "validation"]
    assert all(len(row["loss"]) == 3 for row in rows)


def test_one_member_is_loaded_as_a_single_training(run, monkeypatch):
    in_the_table(monkeypatch)
    one = hepjax.load(run, member=1)
    assert one.state["w"].shape == (32, 64)
    assert one.workload is TOY or one.workload.name == "toy"


def test_the_answer_is_the_mean_with_its_spread(run, monkeypatch):
    in_the_table(monkeypatch)
    whole = hepjax.load(run)
    (rows, *_) = whole.predict([])
    each = np.stack(
        [(ToyLine().x[: len(rows["y"])] @ w).mean(1) for w in np.asarray(whole.state.each["w"])]
    )
    np.testing.assert_allclose(rows["y"], each.mean(0), atol=1e-5)
    np.testing.assert_allclose(rows["y_spread"], each.std(0), atol=1e-5)
    assert whole.workload.outputs(whole.cfg).spec.names == ("y", "y_spread")


def test_devices_that_share_the_members_change_nothing(run, tmp_path):
    cfg = config(4, 4, "members")
    hepjax.run.train(TOY, cfg, tmp_path / "spread")
    hepjax.run.train(TOY, config(4), tmp_path / "one")
    spread, one = state_of(tmp_path / "spread", cfg), state_of(tmp_path / "one", config(4))
    np.testing.assert_allclose(spread.model.each["w"], one.model.each["w"], rtol=1e-4, atol=1e-6)


def test_the_step_of_spread_members_has_no_collective():
    import jax

    from hepjax.engine.mesh import make_mesh, state_shardings
    from hepjax.engine.step import compiled_step, init_state

    cfg = config(4, 4, "members")
    workload, mesh = population.of(TOY, cfg), make_mesh(cfg.mesh, 8)
    abstract = jax.eval_shape(lambda: init_state(workload, cfg))
    shardings = state_shardings(cfg.mesh, mesh, abstract)
    source = TOY.sources(cfg).train
    with jax.set_mesh(mesh):
        step = compiled_step(workload, cfg, workload.spec(cfg, source), 6, shardings, mesh)
        text = step.lower(abstract, source[np.arange(8)], None).compile().as_text()
    moved = [word for word in ("all-reduce", "all-to-all", "collective-permute") if word in text]
    assert not moved
    # Metrics, a number a member, are gathered for the host; no weight is.
    gathers = [line for line in text.splitlines() if " all-gather(" in line]
    assert not [line for line in gathers if "[4,32,64]" in line]


def test_rates_are_those_of_the_members(tmp_path):
    from dataclasses import dataclass, field

    from hepjax.engine.optimizers import OptimizerConfig

    @dataclass(frozen=True)
    class Rated(ToyConfig):
        optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def step(cfg, state, batch, key, clock):
        new, metrics = TOY.train_step(cfg, state, batch, key, clock)
        rate = cfg.optimizer.learning_rate
        return {"w": state["w"] + rate, "v": new["v"]}, metrics

    workload = replace(TOY, Config=Rated, train_step=step)
    cfg = Rated(TrainConfig(batch_size=8, steps=5, members=3, member_rates=(0.1, 0.2, 0.4)))
    cfg = replace(cfg, mesh=MeshConfig(devices=1))
    hepjax.run.train(workload, cfg, tmp_path)
    state = final_state(tmp_path, 5, population.of(workload, cfg), cfg).model.each["w"]
    import jax

    start = population.of(workload, cfg).init(cfg, jax.random.key(0)).each["w"]
    change = np.asarray(state - start).mean(axis=(1, 2))
    np.testing.assert_allclose(change, 5 * np.array([0.1, 0.2, 0.4]), rtol=1e-4)


def test_rates_and_members_must_agree():
    with pytest.raises(InputError, match=r"train.member_rates: expected none, or one for each of"):
        build(ToyConfig, {"train": {"members": 3, "member_rates": [0.1]}})


def test_a_population_larger_than_the_memory_says_what_would_fit(tmp_path, monkeypatch):
    one = 2 * 32 * 64 * 4  # bytes of a member's state
    monkeypatch.setattr("hepjax.engine.mesh_checks.memory_of", lambda device: 10.5 * one)
    with pytest.raises(InputError, match=r"^train.members: expected at most 10, whose states fit"):
        hepjax.run.train(TOY, config(20), tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()
