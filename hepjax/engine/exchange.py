"""What members of a population take over from one another after an epoch (``train.exchange``).

``best``, population-based training (Jaderberg et al., arXiv:1711.09846): the worst quarter takes
over state and learning rate of the best quarter, and the rate is changed by a factor.
``tournament``, LTFB (Jacobs et al., arXiv:1910.02270): members meet in pairs and judge both of them
on validation events of their own; a member's parts that travel, such as a generator, stay if they
win any metric, and those of the partner must win all. The other parts stay in any case.

Validation decides, and the first update of the next epoch carries out: a checkpoint holds the state
that was validated and what comes next, so a resumed run goes on as one that was never stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.engine.workload import Batch, Metrics

FACTORS = (0.8, 1.25)
"""By one of which a learning rate that was taken over is changed; published are 0.8 and 1.2."""
SHARE = 4
"""The worst 1/SHARE of the members take over, one at least; the published share is a fifth."""
PREFIX = "exchange_"
"""Of the sums that validation adds."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Course:
    """What of each member is beyond its training; all arrays are (members,)."""

    rate: jax.Array
    """float32, its learning rate; 0 where members do not have their own."""
    origin: jax.Array
    """int32, the member whose state, or whose travelling part, this was at first."""
    donor: jax.Array
    """int32, from whom it takes before the next update; itself: from none."""
    epochs: jax.Array
    """int32, validations so far; the pairs of a tournament follow from it."""


def begin(cfg: Any) -> Course:
    """The course before the first update."""
    count = cfg.train.members
    number = jnp.arange(count, dtype=jnp.int32)
    rates = cfg.train.member_rates
    if cfg.train.exchange == "best" and not rates:
        rates = (cfg.optimizer.learning_rate,) * count
    return Course(
        jnp.array(rates or (0.0,) * count, jnp.float32), number, number, jnp.zeros_like(number)
    )


def carried_out(cfg: Any, travels: Sequence[str], each: Any, course: Course, key: jax.Array) -> Any:
    """Members and course after what the last validation decided, (each, course).

    Args:
      travels: fields of a member's state that a tournament moves.
      each: states of all members, (members, ...).
    """
    number = jnp.arange(cfg.train.members, dtype=jnp.int32)
    donor = course.donor

    def taken(tree: Any) -> Any:
        return jax.tree.map(lambda x: x[donor], tree)

    def move(each: Any, course: Course) -> tuple[Any, Course]:
        rate = course.rate
        if cfg.train.exchange == "best":
            factor = jax.random.choice(key, jnp.array(FACTORS), (cfg.train.members,))
            each, rate = taken(each), rate[donor] * jnp.where(donor == number, 1.0, factor)
        else:
            each = replace(each, **{name: taken(getattr(each, name)) for name in travels})
        return each, replace(course, rate=rate, origin=course.origin[donor], donor=number)

    return jax.lax.cond((donor != number).any(), move, lambda *same: same, each, course)


def own_events(members: int, batch: Batch) -> jax.Array:
    """(members, n) masks of the validation events of each member: no two have one in common."""
    rows = jnp.arange(len(batch["mask"])) % members
    return (rows == jnp.arange(members)[:, None]) * batch["mask"]


def told(course: Course) -> Metrics:
    """What validation adds to its sums, once a batch."""
    return {
        f"{PREFIX}batches": jnp.ones_like(course.rate), f"{PREFIX}rate": course.rate,
        f"{PREFIX}origin": course.origin.astype(jnp.float32),
        f"{PREFIX}epochs": course.epochs.astype(jnp.float32),
    }  # fmt: skip


def read(sums: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The other sums, and what ``told`` added to them, as it was."""
    added = {k.removeprefix(PREFIX): np.asarray(v) for k, v in sums.items() if k.startswith(PREFIX)}
    batches = added.pop("batches")
    return (
        {k: v for k, v in sums.items() if not k.startswith(PREFIX)},
        {k: v / batches for k, v in added.items()},
    )


def from_the_best(scores: Sequence[float]) -> list[int]:
    """From whom each member takes: the worst from the best, the second worst from the second best.

    A score that is no finite number is the worst; nobody takes from such a member.
    """
    known = np.where(np.isfinite(scores), scores, np.inf)
    order = np.argsort(known, kind="stable")
    donors = list(range(len(known)))
    for rank in range(max(len(known) // SHARE, 1)):
        best, worst = int(order[rank]), int(order[-1 - rank])
        if known[best] < known[worst]:
            donors[worst] = best
    return donors


def from_partners(own: np.ndarray, theirs: np.ndarray, partner: np.ndarray) -> list[int]:
    """From whom each member takes after a tournament: its partner if that wins every metric.

    Args:
      own: (members, metrics) of each on its own events, lower is better.
      theirs: the same of its partner on those events.
      partner: (members,).
    """
    number = np.arange(len(partner))
    return [int(x) for x in np.where((theirs < own).all(axis=1), partner, number)]


def pairs(key: jax.Array, count: int) -> jax.Array:
    """(count,) int32 the partner of each: random pairs; an odd one meets itself."""
    order = jax.random.permutation(key, count)
    place = jnp.argsort(order)
    last = (count % 2 == 1) & (place == count - 1)
    return order[jnp.where(last, place, place ^ 1)]
