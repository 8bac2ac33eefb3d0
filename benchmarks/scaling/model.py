"""Time of a data-parallel update on n devices from arithmetic, bytes, link rate and latency.

    update(n) = gflop x events / sustained rate  +  2 bytes (n-1)/n / link rate
                +  collectives x hops(n) x latency
    hops(n) = 2 (n-1) on a ring, 4 (sqrt(n) - 1) on a square torus, 2 log2(n) on a tree

Events are those of one device, so this is weak scaling in the batch and strong scaling in the
epoch: an epoch has events / (n x events of a device) updates. No overlap of computing and sending
is assumed, nor slow devices, nor waiting for input; where a fitted latency stands in for them, its
source says so.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Machine:
    """One kind of device, its links and the work of an update; ``sources`` says whence."""

    name: str
    gflop: float
    """Of one event in one update (2 x multiply-adds of direct convolutions and dense layers)."""
    rate: float
    """GFLOP/s that a device sustains on them."""
    events: int
    """Of an update on each device."""
    payload: float
    """Bytes summed over devices in one update."""
    collectives: int
    """Sums in which those go."""
    link: float
    """Bytes/s that a device sends to the next one."""
    latency: float
    """Seconds of a hop."""
    network: Literal["ring", "torus", "tree"]
    """How a sum goes from device to device. On a tree, halves of the sum take two at a time (NCCL
    from 2.4 on), so it sends no more bytes than a ring."""
    sources: str


def hops(machine: Machine, n: int) -> float:
    """Messages one after the other in a sum over ``n`` devices."""
    return {"ring": 2 * (n - 1), "torus": 4 * (math.sqrt(n) - 1), "tree": 2 * math.log2(n)}[
        machine.network
    ]


def update_seconds(machine: Machine, n: int) -> float:
    """Of one update on ``n`` devices."""
    computing = machine.gflop * machine.events / machine.rate
    sending = 2 * machine.payload * (n - 1) / n / machine.link
    return computing + sending + machine.collectives * hops(machine, n) * machine.latency


def epoch_seconds(machine: Machine, n: int, events: int) -> float:
    """Of an epoch of ``events``; a fraction of an update counts as such."""
    return events / (n * machine.events) * update_seconds(machine, n)


def efficiency(machine: Machine, n: int, reference: int = 1) -> float:
    """Speed of ``n`` devices over that of perfect scaling from ``reference`` devices."""
    return update_seconds(machine, reference) / update_seconds(machine, n)


# Work of the networks, GFLOP an event in one update by the count of timing.step_gflop.
FIXED, FIXED_16 = 19.02, 49.80
ANGLE = 79.97
"""Variable-angle model: generator 6.12, discriminator 3.79 forward, by the same count."""

TRAINING_SHOWERS = 180_000
ANGLE_SHOWERS = 125_000

# Published epochs in seconds.
NODES = {256: 29.0}
NODES_2018 = {128: 149.0}
V100 = {2: 1781.5, 4: 899.0, 8: 453.0, 16: 228.0, 32: 115.0, 64: 59.4, 128: 34.05}
TPU_V3_CORES = {8: 416.0, 32: 103.0}


def fitted_rate(gflop: float, showers: int, devices: int, seconds: float, share: float) -> float:
    """GFLOP/s of a device, if ``devices`` need ``seconds`` for an epoch at efficiency ``share``."""
    return gflop * showers / (devices * seconds * share)


def latency_at(machine: Machine, n: int, share: float) -> float:
    """The latency at which ``n`` devices have the efficiency ``share`` against one; 0 at least."""
    computing = machine.gflop * machine.events / machine.rate
    sending = 2 * machine.payload * (n - 1) / n / machine.link
    left = computing / share - computing - sending
    return max(0.0, left / (machine.collectives * hops(machine, n)))


def fitted(machine: Machine, epochs: dict[int, float], events: int) -> Machine:
    """``machine`` with the rate and the latency that fit measured epochs best (relative squares).

    The bytes and the link stay. For a given latency the rate is a linear least-squares problem in
    its inverse; the latency is searched between 0 and 10 ms.
    """

    def with_best_rate(latency: float) -> tuple[float, Machine]:
        bare = replace(machine, rate=math.inf, latency=latency)
        unit = replace(bare, rate=1.0, latency=0.0, payload=0.0)
        fixed = {n: epoch_seconds(bare, n, events) / t for n, t in epochs.items()}
        slope = {n: epoch_seconds(unit, n, events) / t for n, t in epochs.items()}
        top = sum(slope[n] * (1 - fixed[n]) for n in epochs)
        inverse = top / sum(s * s for s in slope.values())
        error = sum((slope[n] * inverse + fixed[n] - 1) ** 2 for n in epochs)
        return error, replace(bare, rate=1 / inverse)

    grid = [1e-2 * i / 2000 for i in range(2001)]
    return min((with_best_rate(latency) for latency in grid), key=lambda found: found[0])[1]
