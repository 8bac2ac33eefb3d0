"""Speed of each convolution of the 3DGAN (and of a tagger) in hepjax, plain XLA and PyTorch.

    python -m benchmarks.speed.conv3d --batch 8 --json conv3d.json
    taskset -c 1 python -m benchmarks.speed.conv3d --batch 4 --clock cpu     where others work too
    python -m benchmarks.speed.conv3d --batch 128 --precision bfloat16 float32 --choices FILE
                                                             a table of forms for this device

Every form runs in this process, in turn, round after round; the table gives medians. "fwd" is the
output, "step" the output and both gradients, all three returned. GFLOP are those of the direct
convolution (after upsampling, taps on padding included), for every form. PyTorch is optional; there
weights and arrays are channels_last_3d, eager, and compiled with --compile.

``--choices`` times the three passes of each form one by one (forms that cannot run are left out by
name) and writes the file that ``HEPJAX_CONV3D_CHOICES`` names (hepjax/ops/conv_choices.py).
"""

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.ops import active_conv3d, conv3d, conv_choices, upsample_conv3d

try:
    import torch
except ModuleNotFoundError:
    torch = None


class Layer(NamedTuple):
    size: tuple[int, int, int]
    kernel: tuple[int, int, int]
    channels: tuple[int, int]
    pads: tuple[tuple[int, int], ...]
    scale: tuple[int, int, int] = (1, 1, 1)
    strides: tuple[int, int, int] = (1, 1, 1)


def cube(channels: tuple[int, int], pad: int = 2) -> Layer:
    return Layer((25, 25, 25), (5, 5, 5), channels, ((pad, pad),) * 3)


def plane(kernel: int, channels: tuple[int, int], size: int = 125, stride: int = 1) -> Layer:
    pad = (kernel // 2, kernel // 2)
    return Layer((1, size, size), (1, kernel, kernel), channels, ((0, 0), pad, pad),
                 strides=(1, stride, stride))  # fmt: skip


MODELS = {
    "gan3d": {
        "D1 1-32": cube((1, 32)),
        "D2 32-8": cube((32, 8)),
        "D3 8-8": cube((8, 8)),
        "D4 8-8": cube((8, 8), 1),
        "G1 8-64": Layer((7, 7, 8), (6, 6, 8), (8, 64), ((2, 3), (2, 3), (3, 4))),
        "G2 64-6": Layer((7, 7, 8), (6, 5, 8), (64, 6), ((2, 2), (2, 2), (0, 0)), (2, 2, 2)),
        "G3 6-6": Layer((13, 14, 9), (3, 3, 8), (6, 6), ((1, 1), (0, 0), (3, 3)), (2, 2, 3)),
        "G4 6-1": Layer((26, 26, 26), (2, 2, 2), (6, 1), ((0, 0),) * 3),
    },
    "gan3d-16": {"D1 1-16": cube((1, 16)), "D2 16-8": cube((16, 8))},
    "blocked": {  # the discriminator of the 3DGAN that stays in blocks of 2 x 2 x 2 cells
        "B1 8-256": Layer((13, 13, 13), (3, 3, 3), (8, 256), ((1, 1),) * 3),
        "B2 256-64": Layer((13, 13, 13), (3, 3, 3), (256, 64), ((1, 1),) * 3),
        "B3 64-64": Layer((13, 13, 13), (3, 3, 3), (64, 64), ((1, 1),) * 3),
    },
    "tagger": {f"{k}x{k} {c}-{c}": plane(k, (c, c)) for k, c in ((7, 8), (3, 8), (3, 16), (3, 32))},
    "tagger/top": {
        "R1 7x7/2 8-16": plane(7, (8, 16), stride=2),
        "R2 3x3 16-16": plane(3, (16, 16), 31),
        "R3 3x3/2 16-32": plane(3, (16, 32), 31, 2),
        "R4 1x1/2 16-32": plane(1, (16, 32), 31, 2),
        "R5 3x3 32-32": plane(3, (32, 32), 16),
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="gan3d")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--forms", default="native,native-bf16,jax,xla,torch,torch-bf16")
    parser.add_argument("--compile", action="store_true", help="PyTorch compiled as well as eager")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--json", help="also write the medians, in seconds, to this file")
    parser.add_argument("--choices", type=Path, help="write a table of forms to this file, no more")
    parser.add_argument("--precision", nargs="+", default=["bfloat16"], help="with --choices")
    args = parser.parse_args()
    if args.choices:
        models = MEASURED if args.model == "gan3d" else (args.model,)
        write_choices(args.choices, models, args.batch, args.rounds, args.precision)
        return
    clock = time.perf_counter if args.clock == "wall" else time.process_time
    if torch is not None:
        torch.set_num_threads(len(os.sched_getaffinity(0)))

    forms = [f for f in args.forms.split(",") if torch is not None or not f.startswith("torch")]
    if args.compile:
        forms += [f"{f}-compiled" for f in forms if f.startswith("torch")]
    ceiling = matmul_rates(clock)
    print(f"hepjax path: {active_conv3d()}", f"matrix product GFLOP/s: {ceiling}", sep="\n")
    print(
        f"\n| layer | form | fwd ms | GFLOP/s | step ms | GFLOP/s | of ceiling |{''}\n"
        + "|---" * 7
        + "|"
    )
    results: dict[str, Any] = {"batch": args.batch, "clock": args.clock, "ceiling": ceiling}
    for name, layer in MODELS[args.model].items():
        results[name] = measure(layer, args.batch, forms, args.rounds, clock)
        gflop = gflop_of(layer, args.batch)
        for form, (fwd, step) in results[name].items():
            rate = ceiling["bfloat16" if "bf16" in form else "float32"]
            print(
                f"| {name} | {form} | {fwd * 1e3:.2f} | {gflop / fwd:.0f} | {step * 1e3:.2f} "
                f"| {3 * gflop / step:.0f} | {3 * gflop / step / rate:.2f} |",
                flush=True,
            )
    if args.json:
        with open(args.json, "w") as file:
            json.dump(results, file, indent=1)


def gflop_of(layer: Layer, batch: int) -> float:
    out = math.prod(
        (n * r + sum(p) - k) // stride + 1
        for n, r, p, k, stride in zip(
            layer.size, layer.scale, layer.pads, layer.kernel, layer.strides, strict=True
        )
    )
    return 2e-9 * batch * out * math.prod(layer.kernel) * math.prod(layer.channels)


def measure(
    layer: Layer, batch: int, forms: list[str], rounds: int, clock: Callable[[], float]
) -> dict[str, tuple[float, float]]:
    """Median seconds of output and of output plus gradients, for each form."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(batch, *layer.size, layer.channels[0])).astype(np.float32)
    w = draw.normal(size=(*layer.kernel, *layer.channels)).astype(np.float32)
    runs = {
        form: (torch_runs if "torch" in form else jax_runs)(form, layer, x, w) for form in forms
    }
    times: dict[str, list[list[float]]] = {form: [[], []] for form in forms}
    for pair in runs.values():
        for run in pair:
            run()
    for _ in range(rounds):
        for form, pair in runs.items():
            for run, taken in zip(pair, times[form], strict=True):
                start = clock()
                run()
                taken.append(clock() - start)
    median = statistics.median
    return {form: (median(value), median(step)) for form, (value, step) in times.items()}


def jax_runs(form: str, layer: Layer, x: Any, w: Any) -> tuple[Callable[[], Any], ...]:
    os.environ["HEPJAX_CONV3D"] = form.removesuffix("-bf16")
    dtype = jnp.bfloat16 if "bf16" in form else jnp.float32
    x, w = jnp.asarray(x, dtype), jnp.asarray(w, dtype)

    def convolve(x: jax.Array, w: jax.Array) -> jax.Array:
        if layer.scale == (1, 1, 1):
            return conv3d(x, w, layer.strides, layer.pads)
        if form == "xla":
            for axis, r in enumerate(layer.scale):
                x = jnp.repeat(x, r, axis=axis + 1)
            return conv3d(x, w, padding=layer.pads)
        return upsample_conv3d(x, w, layer.scale, layer.pads)

    def step(x: jax.Array, w: jax.Array, dy: jax.Array) -> tuple[jax.Array, ...]:
        y, pull = jax.vjp(convolve, x, w)
        return y, *pull(dy)

    dy = jnp.ones(jax.eval_shape(convolve, x, w).shape, dtype)
    forward = jax.jit(convolve).lower(x, w).compile()
    both = jax.jit(step).lower(x, w, dy).compile()
    return (
        lambda: jax.block_until_ready(forward(x, w)),
        lambda: jax.block_until_ready(both(x, w, dy)),
    )


def torch_runs(form: str, layer: Layer, x: Any, w: Any) -> tuple[Callable[[], Any], ...]:
    dtype = torch.bfloat16 if "bf16" in form else torch.float32
    x = torch.tensor(x.transpose(0, 4, 1, 2, 3), dtype=dtype)
    w = torch.tensor(w.transpose(4, 3, 0, 1, 2), dtype=dtype)
    flat = (
        x.shape[2] == w.shape[2] == 1
    )  # a 2-D convolution; PyTorch 2.13 crashes on it in bf16 3-D
    if flat:
        x, w = x[:, :, 0], w[:, :, 0]
    layout = torch.channels_last if flat else torch.channels_last_3d
    x, w = (a.to(memory_format=layout).requires_grad_() for a in (x, w))
    symmetric = all(low == high for low, high in layer.pads)
    padding = tuple(p[0] for p in layer.pads[flat:]) if symmetric else 0

    def convolve(x: Any, w: Any) -> Any:
        if layer.scale != (1, 1, 1):
            x = torch.nn.functional.interpolate(x, scale_factor=layer.scale, mode="nearest")
        if not symmetric:
            x = torch.nn.functional.pad(x, [p for pair in reversed(layer.pads) for p in pair])
        convolution = torch.nn.functional.conv2d if flat else torch.nn.functional.conv3d
        return convolution(x, w, stride=layer.strides[flat:], padding=padding)

    if form.endswith("compiled"):
        convolve = torch.compile(convolve)
    with torch.no_grad():
        dy = torch.ones_like(convolve(x, w))

    def forward() -> Any:
        with torch.no_grad():
            return convolve(x, w)

    def step() -> Any:
        y = convolve(x, w)
        return y, torch.autograd.grad(y, (x, w), dy)

    return forward, step


MEASURED = ("blocked", "gan3d", "tagger/top")
"""Models whose layers --choices measures, the most valuable first."""
CANDIDATES = {
    False: ("xla", "bands:1", "bands:2", "bands:5", "blocks:2x2x2", "products"),
    True: ("xla", "blocks:1x2x2", "products"),
}
"""Forms that --choices times, of layers in depth (False) and of flat ones."""


def write_choices(
    path: Path, models: tuple[str, ...], batch: int, rounds: int, precisions: list[str]
) -> None:
    """Time the forms of each layer, pass by pass; print the table and write the file.

    The file is written anew after each layer: what was measured before an early end is of use.
    """
    entries: list[dict[str, Any]] = []
    print("milliseconds of output / input gradient / kernel gradient\n")
    print("| layer | form | ms |\n|---|---|---|")
    for precision in precisions:
        for name, layer in ((n, a) for model in models for n, a in MODELS[model].items()):
            if layer.scale != (1, 1, 1):
                continue  # its sub-pixel form is a layer of many channels
            times = {}
            for form in CANDIDATES[layer.kernel[0] == 1]:
                if form.startswith("blocks") and name in MODELS["blocked"]:
                    continue  # in blocks already
                try:
                    times[form] = passes(layer, form, precision, batch, rounds)
                except Exception as error:  # cuDNN without a kernel, or no memory: the next form
                    said = str(error).splitlines()[0]
                    print(f"| {name} {precision} | {form} | left out: {said} |", flush=True)
                    continue
                shown = " / ".join(f"{t:.3f}" for t in times[form])
                print(f"| {name} {precision} | {form} | {shown} |", flush=True)
            if times:
                entries.append({
                    "dtype": precision, "size": layer.size, "kernel": layer.kernel,
                    "strides": layer.strides, "channels": layer.channels, "milliseconds": times,
                })  # fmt: skip
                _write(path, entries, batch)


def _write(path: Path, entries: list[dict[str, Any]], batch: int) -> None:
    """The table so far, as ``conv_choices.read`` takes it."""
    device = jax.devices()[0]
    platform = "cuda" if device.platform == "gpu" else device.platform
    blocked = conv_choices.packaged().blocked
    content = {
        "kind": conv_choices.KIND, "platform": platform, "device": device.device_kind,
        "source": f"benchmarks.speed.conv3d, batch {batch}, jax {jax.__version__}",
        "blocked": blocked and blocked._asdict(),
    }  # fmt: skip
    lines = ",\n  ".join(map(json.dumps, entries))
    head = json.dumps(content, indent=1).removesuffix("\n}")
    part = path.with_name(f"{path.name}.part")
    part.write_text(f'{head},\n "layers": [\n  {lines}\n ]\n}}\n')
    conv_choices.read(part)
    part.replace(path)


def passes(layer: Layer, form: str, precision: str, batch: int, rounds: int) -> list[float]:
    """Median milliseconds of the three passes, each its own program."""
    os.environ["HEPJAX_CONV3D"] = form
    draw = np.random.default_rng(0)
    x = jnp.asarray(draw.normal(size=(batch, *layer.size, layer.channels[0])), precision)
    w = jnp.asarray(draw.normal(size=(*layer.kernel, *layer.channels)), precision)

    def convolve(x: jax.Array, w: jax.Array) -> jax.Array:
        return conv3d(x, w, layer.strides, layer.pads)

    dy = jnp.ones(jax.eval_shape(convolve, x, w).shape, precision)
    programs = (
        (convolve, (x, w)),
        (lambda w, dy: jax.linear_transpose(lambda x: convolve(x, w), x)(dy)[0], (w, dy)),
        (lambda x, dy: jax.linear_transpose(lambda w: convolve(x, w), w)(dy)[0], (x, dy)),
    )
    return [round(_milliseconds(jax.jit(f), operands, rounds), 4) for f, operands in programs]


CALLS = 10
"""Of a program between two looks at the clock: a GPU works on while the next call is made."""


def _milliseconds(function: Callable[..., Any], operands: Any, rounds: int) -> float:
    jax.block_until_ready(function(*operands))
    calls = 1 if jax.default_backend() == "cpu" else CALLS
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready([function(*operands) for _ in range(calls)])
        taken.append(1e3 * (time.perf_counter() - start) / calls)
    return statistics.median(taken)


def matmul_rates(clock: Callable[[], float], size: int = 2048) -> dict[str, float]:
    """GFLOP/s of the best matrix product here, of XLA or PyTorch."""
    best = {"float32": 0.0, "bfloat16": 0.0}
    for name in best:
        a = jnp.ones((size, size), name)
        product = jax.jit(lambda a: jnp.dot(a, a, preferred_element_type=jnp.float32))
        runs = [lambda f=product, a=a: jax.block_until_ready(f(a))]
        if torch is not None:
            t = torch.ones(size, size, dtype=getattr(torch, name))
            runs.append(lambda t=t: t @ t)
        for run in runs:
            run()
            for _ in range(5):
                start = clock()
                run()
                best[name] = max(best[name], 2e-9 * size**3 / (clock() - start))
    return {name: round(rate) for name, rate in best.items()}


if __name__ == "__main__":
    main()
