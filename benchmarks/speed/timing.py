"""What the paired benchmarks share: rounds in turn, ratios of neighbours, the machine's ceiling.

Every form that is compared runs in this one process on the same cores. A call returns its result
and waits for it, so that no compiler can leave work out.
"""

import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from hepjax.ops import active_conv3d
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.geometry import image
from hepjax.workloads.gan3d.layers import ONE, Layer, Shape, shapes

try:
    import torch
except ModuleNotFoundError:
    torch = None

Runs = dict[str, Callable[[], Any]]
Times = dict[str, list[float]]

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""CPU time is for a process pinned to one core of a machine that others use too."""
PAUSE = 0.02
"""Seconds before each sample, in which the idle threads of the form before stop spinning."""
SAMPLE = 0.1
"""Seconds that a sample lasts at least; short calls are repeated."""


def use_all_cores() -> int:
    """Give PyTorch as many threads as XLA takes: all cores this process may run on."""
    cores = len(os.sched_getaffinity(0))
    if torch is not None:
        torch.set_num_threads(cores)
    return cores


def paired(runs: Runs, rounds: int, clock: str = "wall") -> Times:
    """Seconds a call of each form, one sample in each round, in an order that rotates.

    Each form has been called twice before the first round: what is compiled is compiled.
    """
    now, calls = CLOCKS[clock], {}
    for name, run in runs.items():
        run()
        start = now()
        run()
        calls[name] = max(1, math.ceil(SAMPLE / (now() - start)))
    times: Times = {name: [] for name in runs}
    names = list(runs)
    for index in range(rounds):
        shift = index % len(names)
        for name in names[shift:] + names[:shift]:
            time.sleep(PAUSE)
            start = now()
            for _ in range(calls[name]):
                runs[name]()
            times[name].append((now() - start) / calls[name])
    return times


def speed(times: Times, name: str, reference: str) -> float:
    """How many times faster ``name`` is than ``reference``: median over rounds of the ratio."""
    return statistics.median(
        theirs / ours for ours, theirs in zip(times[name], times[reference], strict=True)
    )


def summary(times: list[float]) -> dict[str, Any]:
    """Median, minimum and all samples, in seconds."""
    return {"median_s": statistics.median(times), "min_s": min(times), "samples_s": times}


def matmul_rates(clock: str, size: int = 2048, rounds: int = 7) -> dict[str, dict[str, float]]:
    """GFLOP/s of a square matrix product by precision and framework, best of ``rounds``.

    The ceiling that a convolution is measured against is the better framework's.
    """
    rates: dict[str, dict[str, float]] = {}
    for precision in ("float32", "bfloat16"):
        a = jnp.ones((size, size), precision)
        # XLA reaches the matrix units of a CPU only with a float32 result.
        dot = jax.jit(lambda a: jnp.dot(a, a, preferred_element_type=jnp.float32))
        runs: Runs = {"xla": lambda dot=dot, a=a: dot(a).block_until_ready()}
        if torch is not None:
            t = torch.ones(size, size, dtype=getattr(torch, precision))
            runs["pytorch"] = lambda t=t: t @ t
        times = paired(runs, rounds, clock)
        rates[precision] = {name: 2e-9 * size**3 / min(taken) for name, taken in times.items()}
    return rates


def rounded(rates: dict[str, dict[str, float]]) -> dict[str, dict[str, int]]:
    """The rates to print."""
    return {k: {name: round(rate) for name, rate in v.items()} for k, v in rates.items()}


def machine() -> dict[str, Any]:
    """Processor, cores, load and versions: what a figure needs beside it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": (model or [platform.processor()])[0],
        "cores": use_all_cores(),
        "load_average": os.getloadavg()[0],
        "jax": jax.__version__,
        "torch": None if torch is None else torch.__version__,
        "conv3d": active_conv3d()["path"],
    }


def write_json(path: Path, content: Any) -> None:
    """Write under another name first, so that no half a file is left."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(path)


def forward_gflop(cfg: Gan3DConfig) -> tuple[list[float], list[float]]:
    """GFLOP an event of each layer of the generator and of the discriminator, forward.

    2 x multiply-adds of dense layers and of direct convolutions, after upsampling, taps on padding
    included. Nothing else is counted, and a faster algorithm counts as the direct one.
    """
    cells = image(cfg.calorimeter)
    shower = (*cells, 1) if len(cells) == 3 else cells
    generator, _ = _work(cfg.model.generator, (cfg.model.latent,))
    discriminator, features = _work(cfg.model.discriminator, shower)
    heads = 1 + ("energy" in cfg.model.heads)
    discriminator.append(heads * 2e-9 * math.prod(features))
    return generator, discriminator


def _work(layers: Sequence[Layer], shape: Shape) -> tuple[list[float], Shape]:
    """GFLOP of each layer that has weights, and the shape after the last one."""
    work = []
    for layer in layers:
        unpooled = shapes([replace(layer, pool=ONE)], shape, "layer")[0]
        if layer.dense:
            work.append(2e-9 * math.prod(shape) * math.prod(unpooled))
        elif layer.filters:
            work.append(2e-9 * math.prod(unpooled) * math.prod(layer.kernel) * shape[3])
        shape = shapes([layer], shape, "layer")[0]
    return work, shape


def step_gflop(cfg: Gan3DConfig) -> float:
    """GFLOP an event of the published update, each gradient counted as one more forward pass.

    Left out, as nobody needs them: gradients to the latent, to the showers when the discriminator
    learns, and to the discriminator's weights when the generator learns.
    """
    generator, discriminator = forward_gflop(cfg)
    fakes = sum(generator)
    discriminator_update = 3 * sum(discriminator) - discriminator[0]
    generator_update = 3 * sum(generator) - generator[0] + 2 * sum(discriminator)
    return fakes + 2 * discriminator_update + 2 * generator_update
