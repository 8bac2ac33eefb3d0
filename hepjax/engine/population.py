"""Populations of any workload: ``train.members`` trainings side by side in one program.

Every array of the state gets a leading axis, the member. Members see the same events and differ in
initial weights, noise and, with ``train.member_rates``, in the learning rate. Each has its own
guard against non-finite updates, score and best epoch (engine/step.py, engine/checkpoint.py). With
``mesh.layout=members`` they are spread over the devices, which then have nothing to tell each
other. With ``train.exchange`` they take over from one another after an epoch (engine/exchange.py).
The answer to an event is the mean of the members, with their spread beside it.
"""

import copy
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.engine import exchange
from hepjax.engine.workload import (
    About,
    Answer,
    Batch,
    Clock,
    Field,
    HostBatch,
    Metrics,
    Spec,
    Workload,
)

SPREAD = "_spread"
"""End of the names of standard deviations over the members."""
EXCHANGE_KEY = 2**31 - 3
"""A fold that no member reaches."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Population:
    """The states of all members, each array with a leading axis."""

    number: jax.Array
    """(members,) int32."""
    each: Any
    course: exchange.Course | None = None
    """With ``train.exchange``."""


def of(workload: Workload[Any, Any], cfg: Any) -> Workload[Any, Any]:
    """The workload of a configuration: a population of it with ``train.members`` above 1.

    Raises:
      InputError: tournaments of a workload of which nothing can travel.
    """
    if cfg.train.members == 1 or workload.members(cfg) > 1:
        return workload
    if cfg.train.exchange == "tournament" and workload.tournament is None:
        raise InputError(
            f"train.exchange: expected none or best, as {workload.name} has no parts that travel "
            "between members, found tournament"
        )
    own = _Functions(workload)
    return replace(
        workload, members=lambda cfg: cfg.train.members, init=own.init, train_step=own.train_step,
        eval_step=own.eval_step, summarise=own.summarise, failure=own.failure, infer=own.infer,
        after_validation=own.after_validation, outputs=own.outputs,
        rows=own.rows if workload.rows else None,
        evaluate=own.evaluate if workload.evaluate else None,
    )  # fmt: skip


def with_rate(cfg: Any, rate: jax.Array) -> Any:
    """A configuration whose learning rate is a traced number, which no bound can be checked of."""
    changed = copy.copy(cfg)
    object.__setattr__(changed, "optimizer", replace(cfg.optimizer, learning_rate=rate))
    return changed


@dataclass(frozen=True)
class _Functions:
    """The functions of a population in terms of those of its members."""

    base: Workload[Any, Any]

    def init(self, cfg: Any, key: jax.Array) -> Population:
        number = jnp.arange(cfg.train.members, dtype=jnp.int32)
        one = jax.vmap(lambda n: self.base.init(cfg, jax.random.fold_in(key, n)))
        course = None if cfg.train.exchange == "none" else exchange.begin(cfg)
        return Population(number, one(number), course)

    def train_step(
        self, cfg: Any, state: Population, batch: Batch, key: jax.Array, clock: Clock
    ) -> tuple[Population, Metrics]:
        each, course = state.each, state.course
        if course is not None:
            travels = self.base.tournament.travels if self.base.tournament else ()
            own_key = jax.random.fold_in(key, EXCHANGE_KEY)
            each, course = exchange.carried_out(cfg, travels, each, course, own_key)
        rates = jnp.array(cfg.train.member_rates or [0.0] * cfg.train.members)
        if course is not None:
            rates = course.rate
        own_rates = bool(cfg.train.member_rates) or cfg.train.exchange == "best"

        def step(number: jax.Array, one: Any) -> tuple[Any, Metrics]:
            own = with_rate(cfg, rates[number]) if own_rates else cfg
            return self.base.train_step(own, one, batch, jax.random.fold_in(key, number), clock)

        each, metrics = jax.vmap(step)(state.number, each)
        return Population(state.number, each, course), metrics

    def eval_step(self, cfg: Any, state: Population, batch: Batch, key: jax.Array) -> Metrics:
        if (
            cfg.train.exchange == "tournament"
        ):  # apart for the events of each: (members, whose, ...)
            masks = exchange.own_events(cfg.train.members, batch)

            def sums(one: Any, mask: jax.Array) -> Metrics:
                return self.base.eval_step(cfg, one, batch | {"mask": mask}, key)

            found = jax.vmap(lambda one: jax.vmap(lambda m: sums(one, m))(masks))(state.each)
        else:
            found = jax.vmap(lambda one: self.base.eval_step(cfg, one, batch, key))(state.each)
        return found if state.course is None else found | exchange.told(state.course)

    def summarise(self, cfg: Any, sums: dict[str, Any]) -> dict[str, Any]:
        count, about = cfg.train.members, dict[str, Any]()
        if cfg.train.exchange != "none":
            sums, about = exchange.read(sums)
        apart = sums
        if cfg.train.exchange == "tournament":
            sums = {name: np.asarray(value).sum(axis=1) for name, value in apart.items()}
        each = [self.base.summarise(cfg, one) for one in _members(sums, count)]
        found = {name: [scores[name] for scores in each] for name in each[0]}
        if cfg.train.exchange == "none":
            return found
        if cfg.train.exchange == "best":
            donors = exchange.from_the_best(found[self.base.score])
            found["rate"] = about["rate"].tolist()
        else:
            donors = self._judged(cfg, apart, round(float(about["epochs"][0])))
        return found | {"origin": about["origin"].round().astype(int).tolist(), "donor": donors}

    def _judged(self, cfg: Any, apart: dict[str, Any], epoch: int) -> list[int]:
        """From whom each member takes, of sums (members, whose events, ...)."""
        assert self.base.tournament is not None
        names = self.base.tournament.metrics
        key = jax.random.fold_in(jax.random.key(cfg.train.seed), EXCHANGE_KEY)
        partner = np.asarray(exchange.pairs(jax.random.fold_in(key, epoch), cfg.train.members))

        def metrics(model: int, judge: int) -> list[float]:
            scores = self.base.summarise(cfg, {k: v[model, judge] for k, v in apart.items()})
            return [scores[name] for name in names]

        own = np.array([metrics(m, m) for m in range(len(partner))])
        theirs = np.array([metrics(int(partner[m]), m) for m in range(len(partner))])
        return exchange.from_partners(own, theirs, partner)

    def after_validation(self, cfg: Any, state: Population, scores: dict[str, Any]) -> Population:
        if state.course is None:
            return state
        donor = np.array(scores["donor"], np.int32)
        course = replace(
            state.course, epochs=state.course.epochs + 1,
            donor=jax.device_put(donor, state.course.donor.sharding),
        )  # fmt: skip
        return replace(state, course=course)

    def failure(self, cfg: Any, step: int, metrics: dict[str, Any]) -> str | None:
        each = _members({k: np.asarray(v) for k, v in metrics.items()}, cfg.train.members)
        reasons = [self.base.failure(cfg, step, one) for one in each]
        return reasons[0] if all(reasons) else None

    def infer(self, cfg: Any, state: Population, inputs: Batch, keys: jax.Array) -> Batch:
        made = jax.vmap(lambda one: self.base.infer(cfg, one, inputs, keys))(state.each)
        if self.base.outputs(cfg).kind == "table":
            spread = {f"{name}{SPREAD}": x.std(axis=0) for name, x in made.items()}
            return {name: x.mean(axis=0) for name, x in made.items()} | spread
        # An event is made by one member, not by the mean of several.
        which = jax.vmap(lambda k: jax.random.randint(k, (), 0, cfg.train.members))(keys)
        return {name: x[which, jnp.arange(len(which))] for name, x in made.items()}

    def outputs(self, cfg: Any) -> Answer:
        answer = self.base.outputs(cfg)
        if answer.kind != "table":
            return answer
        more = [Field(f"{f.name}{SPREAD}", f.shape, f.dtype, f.unit) for f in answer.spec.fields]
        spec = Spec((*answer.spec.fields, *more), answer.spec.facts)
        return replace(answer, spec=spec)

    def rows(
        self, cfg: Any, events: HostBatch, answers: HostBatch, first: int
    ) -> dict[str, np.ndarray]:
        assert self.base.rows is not None
        means = {k: v for k, v in answers.items() if not k.endswith(SPREAD)}
        table = self.base.rows(cfg, events, means, first)
        length = len(next(iter(table.values())))
        return table | {
            k: v for k, v in answers.items() if k.endswith(SPREAD) and v.shape == (length,)
        }

    def evaluate(self, cfg: Any, model: Any, source: Any, out: Any, about: About) -> dict[str, Any]:
        assert self.base.evaluate is not None
        return self.base.evaluate(cfg, model, source, out, averaged(about))


def averaged(about: About) -> About:
    """The same with records that have the mean over the members in place of a number of each."""
    history = [{k: _mean(v) for k, v in row.items()} for row in about.history]
    return about._replace(history=history)


def _members(tree: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """What each member has of arrays with a leading axis; numbers are of all."""

    def one(value: Any, k: int) -> Any:
        return value[k] if np.ndim(value) else value

    return [{name: one(value, k) for name, value in tree.items()} for k in range(count)]


def _mean(value: Any) -> Any:
    """The mean of a record over the members; what is no list of numbers stays."""
    if not isinstance(value, list) or not all(isinstance(x, int | float) for x in value):
        return value
    return float(np.mean(value)) if value else None
