"""What members of a population take over from one another, and that a resumed run does the same."""

from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import toy
from helpers.gan3d import TINY, raw_showers
from helpers.toy import TOY, ToyConfig, final_state

import hepjax.run
from hepjax import InputError
from hepjax.engine import exchange, population, records
from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.engine.optimizers import OptimizerConfig
from hepjax.engine.settings import build
from hepjax.engine.workload import Tournament
from hepjax.formats.showers.writer import write_showers
from hepjax.workloads.gan3d.workload import WORKLOAD as GAN3D

EPOCH = 52 // 8


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Pair:
    """A line, which travels, and a number that stays."""

    line: jax.Array
    home: jax.Array


@dataclass(frozen=True)
class RatedConfig(ToyConfig):
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=0.1))


def init(cfg, key):
    # Members differ much: the score of the first is the best.
    line = toy.init(cfg, key)["w"] + 10.0 * jax.random.uniform(key)
    return Pair(line, jax.random.uniform(key))


def train_step(cfg, state, batch, key, clock):
    """Nothing but a step of the size of the learning rate, to read what it was."""
    return replace(state, line=state.line - 1e-3 * cfg.optimizer.learning_rate), {
        "loss": state.line.mean()
    }


def eval_step(cfg, state, batch, key):
    return TOY.eval_step(cfg, {"w": state.line}, batch, key)


WORKLOAD = replace(
    TOY, Config=RatedConfig, init=init, train_step=train_step, eval_step=eval_step,
    tournament=Tournament(("line",), ("loss",)),
)  # fmt: skip


def config(kind, epochs=3, members=4, **more):
    train = TrainConfig(batch_size=8, epochs=epochs, members=members, exchange=kind, **more)
    return RatedConfig(train, MeshConfig(devices=1))


def validations(run):
    return [r for r in records.read(run / "metrics.jsonl") if r["event"] == "validation"]


def state_of(run, cfg, epochs):
    return final_state(run, epochs * EPOCH, population.of(WORKLOAD, cfg), cfg).model


def test_the_worst_take_from_the_best():
    assert exchange.from_the_best([3.0, 1.0, 2.0, 9.0]) == [0, 1, 2, 1]
    assert exchange.from_the_best([3.0, np.nan, 2.0, 1.0]) == [0, 3, 2, 3]
    eight = [8.0, 7, 1, 2, 3, 4, 5, 6]
    assert exchange.from_the_best(eight) == [2, 3, 2, 3, 4, 5, 6, 7]
    assert exchange.from_the_best([1.0, 1.0]) == [0, 1]
    assert exchange.from_the_best([np.inf, np.nan]) == [0, 1]


def test_a_partner_must_win_every_metric_on_the_events_of_who_judges():
    own = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [np.nan, 1.0]])
    theirs = np.array([[0.9, 0.9], [0.5, 1.0], [1.1, 0.5], [0.1, 0.1]])
    assert exchange.from_partners(own, theirs, np.array([1, 0, 3, 2])) == [1, 1, 2, 3]


def test_population_based_training_copies_state_and_changes_the_rate(tmp_path):
    cfg = config("best")
    hepjax.run.train(WORKLOAD, cfg, tmp_path)
    first, second, _ = validations(tmp_path)
    best, worst = np.argmin(first["loss"]), np.argmax(first["loss"])
    assert first["rate"] == pytest.approx([0.1] * 4)
    assert first["donor"] == [best if k == worst else k for k in range(4)]
    assert first["origin"] == [0, 1, 2, 3]
    assert second["origin"][worst] == best
    assert second["rate"][worst] in (pytest.approx(0.08), pytest.approx(0.125))
    assert second["loss"][worst] == pytest.approx(second["loss"][best], rel=1e-2)
    # The step since is that of the new rate.
    start = population.of(WORKLOAD, cfg).init(cfg, jax.random.key(0)).each
    after = state_of(tmp_path, cfg, 2)
    moved = float(start.line[best].mean() - after.each.line[worst].mean())
    assert moved == pytest.approx(1e-3 * EPOCH * (0.1 + second["rate"][worst]), rel=1e-2)
    assert after.each.home[worst] == start.home[best]  # the whole state


def test_in_a_tournament_only_what_travels_moves(tmp_path):
    cfg = config("tournament")
    hepjax.run.train(WORKLOAD, cfg, tmp_path)
    rows = validations(tmp_path)
    state, start = state_of(tmp_path, cfg, 3), population.of(WORKLOAD, cfg).init
    np.testing.assert_array_equal(state.each.home, start(cfg, jax.random.key(0)).each.home)
    moved = [sum(d != k for k, d in enumerate(row["donor"])) for row in rows]
    assert moved[0] == 2  # the loser of each of two pairs
    for row in rows:
        for member, donor in enumerate(row["donor"]):
            assert row["loss"][donor] <= row["loss"][member]
    assert rows[1]["origin"] == rows[0]["donor"]
    assert [len(set(row["loss"])) for row in rows[:2]] == [4, 2]


@pytest.mark.parametrize("kind", ["best", "tournament"])
def test_a_run_that_was_stopped_goes_on_as_if_it_was_not(tmp_path, kind):
    hepjax.run.train(WORKLOAD, config(kind), tmp_path / "whole")
    for epochs in (1, 3):
        hepjax.run.train(WORKLOAD, config(kind, epochs), tmp_path / "twice")
    whole, twice = (state_of(tmp_path / name, config(kind), 3) for name in ("whole", "twice"))
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(twice), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_cannot_be_exchanged_is_refused():
    with pytest.raises(InputError, match=r"train.exchange: expected none with one member, found"):
        build(RatedConfig, {"train": {"exchange": "best"}})
    with pytest.raises(InputError, match="as toy has no parts that travel between members"):
        population.of(replace(TOY, tournament=None), config("tournament"))


@pytest.mark.slow
def test_generators_of_the_3dgan_travel_and_its_metrics_are_theirs_alone(tmp_path):
    """A generator that was taken over has the same metrics beside another discriminator."""
    assert GAN3D.tournament is not None
    write_showers(tmp_path / "data", [raw_showers(64)], layout="fixed", events_per_file=64)
    cfg = replace(
        TINY, data=replace(TINY.data, files=(str(tmp_path / "data"),)),
        train=replace(TINY.train, batch_size=8, members=2, exchange="tournament"),
    )  # fmt: skip
    hepjax.run.train(GAN3D, cfg, tmp_path / "run")
    first, _ = validations(tmp_path / "run")
    workload = population.of(GAN3D, cfg)
    state = final_state(tmp_path / "run", first["step"], workload, cfg).model
    course = replace(state.course, donor=jnp.array([1, 1]))
    each, course = exchange.carried_out(
        cfg, GAN3D.tournament.travels, state.each, course, jax.random.key(0)
    )
    np.testing.assert_array_equal(course.origin, [1, 1])
    for a, b in ((each.generator, True), (each.discriminator, False)):
        equal = [bool((x[0] == x[1]).all()) for x in jax.tree.leaves(a.params)]
        assert all(equal) if b else not all(equal)
    source = GAN3D.sources(cfg).validation
    raw = source[np.arange(4)] | {"mask": np.ones(4, np.float32)}
    batch = GAN3D.prepare(cfg, GAN3D.spec(cfg, source), raw)
    judged = jax.jit(lambda one: GAN3D.eval_step(cfg, one, batch, jax.random.key(3)))
    found = [
        GAN3D.summarise(cfg, jax.device_get(judged(jax.tree.map(lambda x, k=k: x[k], each))))
        for k in (0, 1)
    ]
    for name in GAN3D.tournament.metrics:
        assert found[0][name] == pytest.approx(found[1][name], nan_ok=True)
    assert found[0]["gen_loss"] != pytest.approx(found[1]["gen_loss"])
