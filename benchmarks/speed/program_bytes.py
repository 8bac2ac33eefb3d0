"""What a compiled update moves: bytes of convolutions, layout changes and arithmetic, by its HLO.

    python -m benchmarks.speed.program_bytes --target h100 --precision bfloat16 --batch 256 \\
        --forms xla auto blocked
    python -m benchmarks.speed.program_bytes --program generate --batch 1

Nothing is run. ``--target h100`` compiles ahead of time for an H100 that need not be here. It needs
the packages of jax for CUDA (the extra ``cuda``), whose compiler runs without a GPU. What only a
GPU can try is left out: which kernel of cuDNN is fastest. ``--target here`` compiles for the device
at hand. Each form is a value of HEPJAX_CONV3D. The bytes of an instruction are those of its
operands and its result; a fused loop is one instruction. ``layout`` are transposes, copies,
conversions of type, slices and paddings without arithmetic.
"""

import argparse
import json
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.scaling.collectives import BITS

DESCRIPTION = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84942979072 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 } registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}
platform_name: "CUDA" dnn_version_info { major: 9 minor: 10 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
"""Limits of an H100 (SXM) that XLA compiles for, in the words of its target description."""
OPTIONS = {"xla_gpu_enable_triton_gemm": False}
"""Without a GPU the compiler cannot choose tiles of its own matrix products; cuBLAS stands in."""

MOVES = {"transpose", "copy", "convert", "pad", "slice", "dynamic-slice", "concatenate", "reverse",
         "dynamic-update-slice", "copy-start", "copy-done"}  # fmt: skip
SILENT = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "reshape", "broadcast",
          "iota", "partition-id", "after-all", "while", "conditional", "call"}  # fmt: skip
"""Move nothing themselves (inside a fusion: cost nothing)."""

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)$")
_SHAPE = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")
_CALLED = re.compile(r"\bcalls=%?([\w.\-]+)")
_OTHERS = re.compile(r"\b(?:body|to_apply|branch_computations)=\{?((?:%?[\w.\-]+(?:, )?)+)\}?")


class Instruction(NamedTuple):
    name: str
    op: str
    bytes_out: int
    operands: tuple[str, ...]
    line: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=("here", "h100"), default="here")
    parser.add_argument("--config", default="gan3d/published", help="as for hepjax train")
    parser.add_argument("--program", choices=("update", "generate"), default="update")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--forms", nargs="+", default=["xla", "auto", "blocked"])
    parser.add_argument("--nhwc", action="store_true", help="with xla_gpu_force_conv_nhwc")
    parser.add_argument("--hlo", type=Path, help="folder for the compiled programs")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    args = parser.parse_args()
    rows = []
    print(HEADER)
    for form in args.forms:
        began = time.monotonic()
        text = compiled(args.program, args.target, args.config, args.precision, args.batch, form,
                        args.nhwc).as_text()  # fmt: skip
        moved, number = count(text)
        print(row_of(form, moved, number, time.monotonic() - began), flush=True)
        rows.append({"form": form, "megabytes": moved, "instructions": number, **vars(args)})
        if args.hlo:
            args.hlo.mkdir(parents=True, exist_ok=True)
            (args.hlo / f"{args.program}-{form.replace(':', '-')}.txt").write_text(text)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1, default=str))


KINDS = ("convolutions", "products", "layout", "arithmetic and transpose", "arithmetic", "other")
HEADER = (
    "megabytes (instructions) of each kind\n\n| form | "
    + " | ".join(KINDS)
    + " | all | compile s |\n"
    + "|---" * (len(KINDS) + 3)
    + "|"
)


def row_of(form: str, moved: dict[str, float], number: dict[str, int], seconds: float) -> str:
    cells = [f"{moved.get(k, 0):,.1f} ({number.get(k, 0)})" for k in KINDS]
    total = f"{sum(moved.values()):,.1f} ({sum(number.values())})"
    return f"| {form} | {' | '.join(cells)} | {total} | {seconds:.0f} |"


def compiled(
    program: str, target: str, config: str, precision: str, batch: int, form: str, nhwc: bool
) -> Any:
    """The compiled program of a configuration on one device."""
    os.environ["HEPJAX_CONV3D"] = form
    import jax

    from hepjax.run import configured

    jax.config.update("jax_enable_compilation_cache", False)
    jax.clear_caches()
    settings = [f"train.precision={precision}", f"train.batch_size={batch}", "mesh.devices=1"]
    workload, cfg = configured(config, settings)
    device = jax.devices()[0] if target == "here" else on_paper()
    options = dict(OPTIONS) if target == "h100" else {}
    if nhwc:
        options["xla_gpu_force_conv_nhwc"] = True
    make = lower_update if program == "update" else lower_generation
    return make(workload, cfg, device).compile(compiler_options=options)


def on_paper() -> Any:
    """An H100 that exists as a description only."""
    from jax.experimental import topologies

    try:
        found = topologies.get_topology_desc(
            "", "cuda", target_config=DESCRIPTION, topology="1x1x1"
        )
    except Exception as error:
        raise SystemExit(
            f"--target h100: expected the packages of jax for CUDA (pip install 'hepjax[cuda]'), "
            f"found {str(error).splitlines()[0]}"
        ) from None
    return found.devices[0]


def lower_update(workload: Any, cfg: Any, device: Any) -> Any:
    import jax

    from benchmarks.scaling.ahead import raw_batch, spec_of
    from hepjax.engine.mesh import state_shardings
    from hepjax.engine.step import compiled_step, init_state

    mesh = _mesh(device)
    with jax.set_mesh(mesh):
        state = jax.eval_shape(lambda: init_state(workload, cfg))
        shardings = state_shardings(cfg.mesh, mesh, state)
        step = compiled_step(workload, cfg, spec_of(workload.name, cfg), 1000, shardings, mesh)
        return step.lower(state, raw_batch(workload.name, cfg), None)


def lower_generation(workload: Any, cfg: Any, device: Any) -> Any:
    import jax
    import numpy as np

    from hepjax.engine.inference import _compiled
    from hepjax.engine.workload import _infer

    mesh, n = _mesh(device), cfg.train.batch_size
    with jax.set_mesh(mesh):
        state = jax.eval_shape(lambda: workload.init(cfg, jax.random.key(0)))
        step = _compiled(_infer(workload, cfg), mesh, ())
        batch = {"energy": jax.ShapeDtypeStruct((n,), np.float32)}
        index = jax.ShapeDtypeStruct((n,), np.int32)
        return step.lower(state, batch, index, jax.ShapeDtypeStruct((), np.int32))


def _mesh(device: Any) -> Any:
    import numpy as np
    from jax.sharding import AxisType, Mesh

    from hepjax.engine.mesh import DATA, MODEL

    grid = np.asarray([[device]], dtype=object)
    return Mesh(grid, (DATA, MODEL), axis_types=(AxisType.Auto,) * 2)


def count(hlo: str) -> tuple[dict[str, float], dict[str, int]]:
    """Megabytes and number of the instructions of each kind that run, a loop's body once."""
    computations, entry = read(hlo)
    moved: dict[str, float] = defaultdict(float)
    number: Counter[str] = Counter()
    for name in _running(computations, entry):
        sizes = {i.name: i.bytes_out for i in computations[name]}
        for i in computations[name]:
            if i.op in SILENT:
                continue
            called = _CALLED.search(i.line)
            inside = computations.get(called[1], []) if called and i.op == "fusion" else [i]
            kind = kind_of(inside)
            moved[kind] += 1e-6 * (i.bytes_out + sum(sizes.get(o, 0) for o in set(i.operands)))
            number[kind] += 1
    return dict(moved), dict(number)


def read(hlo: str) -> tuple[dict[str, list[Instruction]], str]:
    """The instructions of each computation of a program, and the name of its entry."""
    computations: dict[str, list[Instruction]] = {}
    entry, current = "", ""
    for line in hlo.splitlines():
        if header := _COMPUTATION.match(line):
            current = header[2]
            computations[current] = []
            entry = current if header[1] else entry
        elif current and (found := _INSTRUCTION.match(line)):
            name, kind, op, rest = found.groups()
            operands = tuple(re.findall(r"%([\w.\-]+)", rest.partition(")")[0]))
            computations[current].append(Instruction(name, op, _bytes(kind), operands, line))
    return computations, entry


def _bytes(text: str) -> int:
    total = 0
    for kind, sizes in _SHAPE.findall(text):
        elements = 1
        for size in filter(None, sizes.split(",")):
            elements *= int(size)
        total += elements * BITS.get(kind, 0) // 8
    return total


def _running(computations: dict[str, list[Instruction]], entry: str) -> Iterator[str]:
    """Computations whose instructions run one by one: the entry, bodies of loops, branches."""
    waiting, seen = [entry], set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in computations:
            continue
        seen.add(name)
        yield name
        for i in computations[name]:
            if i.op in ("while", "call", "conditional"):
                for names in _OTHERS.findall(i.line):
                    waiting += [n.strip().lstrip("%") for n in names.split(",")]


def kind_of(inside: Iterable[Instruction]) -> str:
    """The kind of an instruction, or of a fusion by what is inside."""
    ops = {i.op for i in inside if i.op not in SILENT}
    targets = " ".join(i.line for i in inside if i.op == "custom-call")
    if "convolution" in ops or "cudnn$conv" in targets or "hepjax_conv3d" in targets:
        return "convolutions"
    if "dot" in ops or "cublas" in targets:
        return "products"
    if ops <= MOVES:
        return "layout"
    if ops & {
        "custom-call",
        "all-reduce",
        "rng-bit-generator",
        "sort",
        "async-start",
        "async-done",
    }:
        return "other"
    turned = any(i.op == "transpose" and i.bytes_out > 2**20 for i in inside)
    return "arithmetic and transpose" if turned else "arithmetic"


if __name__ == "__main__":
    main()
