"""Compile the train step of a configuration for devices that need not be here, and read it.

    python -m benchmarks.scaling.ahead --target cpu:256 --config gan3d/published
    python -m benchmarks.scaling.ahead --target v3:4x4 --config gan3d/published --layout fsdp
    python -m benchmarks.scaling.ahead --target v5e:16x16 --config mlpf/benchmark --events 1
    python -m benchmarks.scaling.ahead --target v5e:4x4 --config fields/published --events 1 \
        --layout spatial --model-devices 8 --set data.cells=512 data.crop=0
    python -m benchmarks.scaling.ahead --target cpu:8 --config tracking/published --events 1 \
        --layout spatial --model-devices 8 --set data.hits=[120000] data.edges=[2000000]

Nothing is run and no data is read: shapes alone go in. TPU targets need the extra ``tpu`` (libtpu),
no TPU. Printed: memory of a device, arithmetic, and the collectives of a step with the bytes that
a device sends (benchmarks/scaling/collectives.py). What does not fit into the memory is one line.
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

TPU_ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",  # the step is traced here; only its compiler is the TPU's
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # else a second process stops at a lock file
    "HEPJAX_CONV3D": "xla",  # the kernels for CPUs are no part of a program for TPUs
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--target", default="cpu:8", help="cpu:256, v3:4x4, v5e:16x16, v6e:4x4, ..."
    )
    parser.add_argument("--config", default="gan3d/published", help="as for hepjax train")
    parser.add_argument("--layout", nargs="+", default=["replicated"])
    parser.add_argument("--model-devices", type=int, default=2, help="second axis, if there is one")
    parser.add_argument(
        "--events", type=int, help="of each device; default: the whole train.batch_size"
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other settings")
    parser.add_argument("--hlo", type=Path, help="also write the compiled program to this file")
    parser.add_argument("--json", type=Path, help="also write all numbers to this file")
    args = parser.parse_args()
    prepare_jax(args.target)

    from benchmarks.speed import timing

    rows = []
    for layout in args.layout:
        second = args.model_devices if layout in ("hybrid", "channel", "spatial") else 1
        settings = [f"mesh.layout={layout}", f"mesh.model_devices={second}", *args.set]
        try:
            row, text = examine(args.target, args.config, args.events, settings)
        except DoesNotFitError as error:
            print(f"{args.target} {args.config} {layout}: {error}")
            rows.append({"target": args.target, "layout": layout, "overflow": str(error)})
            continue
        print_row(row)
        rows.append(row)
        if args.hlo:
            args.hlo.write_text(text)
        if args.json:
            timing.write_json(args.json, rows)
    if args.json:
        timing.write_json(args.json, rows)


class DoesNotFitError(Exception):
    """The program needs more memory than a device has."""


def prepare_jax(target: str) -> None:
    """Set what has to be set before jax starts."""
    kind, size = target.split(":")
    if kind != "cpu":
        os.environ.update(TPU_ENVIRONMENT)
    import jax

    if kind == "cpu":
        jax.config.update("jax_num_cpu_devices", int(size))


def devices_of(target: str) -> list[Any]:
    """Devices to compile for; those of a TPU exist on paper only."""
    import jax
    from jax.experimental import topologies

    kind, size = target.split(":")
    if kind == "cpu":
        return jax.devices("cpu")[: int(size)]
    return list(topologies.get_topology_desc(target, "tpu").devices)


def examine(
    target: str, config: str, events: int | None, overrides: list[str]
) -> tuple[dict[str, Any], str]:
    """Compile one step; return its row of numbers and the text of the compiled program.

    Args:
      events: of each device, or of each group that shares an event.
    Raises:
      DoesNotFitError: the memory of a device is too small.
    """
    from hepjax.engine.settings import find_config, read_settings
    from hepjax.workloads.table import configure

    devices = devices_of(target)
    workload, cfg = configure(read_settings(find_config(config), overrides))
    sharing = len(devices)
    if cfg.mesh.layout in ("channel", "spatial"):
        sharing //= cfg.mesh.model_devices
    batch = (events or cfg.train.batch_size) * sharing
    overrides = [*overrides, f"train.batch_size={batch}"]
    workload, cfg = configure(read_settings(find_config(config), overrides))
    started = time.monotonic()
    compiled = compile_step(workload, cfg, devices, raw_batch(workload.name, cfg))
    row = {
        "target": target,
        "devices": len(devices),
        "config": config,
        "layout": cfg.mesh.layout,
        "model_devices": cfg.mesh.model_devices,
        "precision": cfg.train.precision,
        "batch": batch,
        "compile_s": time.monotonic() - started,
    }
    text = compiled.as_text()
    return row | numbers(compiled, text, len(devices)), text


def raw_batch(name: str, cfg: Any) -> dict[str, Any]:
    """Shapes and types of what the source of a workload gives for one batch."""
    import jax
    import numpy as np

    from hepjax import InputError

    n = cfg.train.batch_size

    def array(dtype: Any, *shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((n, *shape), dtype)

    if name == "gan3d":
        return {"ecal": array(np.float32, 25, 25, 25), "energy": array(np.float32)}
    if name == "tagger":
        cells = 1536  # a crowded jet of eight channels has some 1,250 (docs/studies/reading.md)
        return {
            "cell": array(np.int32, cells), "value": array(np.float32, cells),
            "label": array(np.int32), "weight": array(np.float32),
        }  # fmt: skip
    if name == "fields":
        cells = (cfg.data.cells,) * 3
        return {"dark": array(np.float32, *cells, 4), "gas": array(np.float32, *cells, 5)}
    if name == "tracking":
        hits, edges = cfg.data.hits[-1], cfg.data.edges[-1]
        return {
            "xyz": array(np.float32, hits, 3), "counts": array(np.bool_, hits),
            **{name: array(np.int32, hits) for name in ("surface", "particle", "place")},
            **{name: array(np.int32, edges) for name in ("senders", "receivers")},
            **{name: array(np.bool_, edges) for name in ("true", "signal")},
            **{name: array(np.int32) for name in ("hits", "edges", "missed", "event")},
        }  # fmt: skip
    if name == "calo":
        filled = cfg.calorimeter.voxels // 4
        return {
            "cell": array(np.int32, filled), "value": array(np.float32, filled),
            "energy": array(np.float32),
        }  # fmt: skip
    if name != "mlpf":
        raise InputError(f"--config: expected a workload with known shapes, found {name}")
    elements = cfg.data.buckets[-1]
    return {
        "X": array(np.float32, elements, 12), "ygen": array(np.float32, elements, 7),
        "n": array(np.int32),
    }  # fmt: skip


def spec_of(name: str, cfg: Any) -> Any:
    """What a step has to know of the events beside their arrays."""
    from hepjax.engine.workload import Spec

    if name != "tagger":
        return Spec()
    coarsenings = (1, 1, 1, 1, 5, 1, 1, 1)[: len(cfg.data.names)]  # HCAL towers of 5 x 5
    return Spec(facts=(("coarsenings", coarsenings),))


def compile_step(workload: Any, cfg: Any, devices: list[Any], raw: dict[str, Any]) -> Any:
    """The engine's step, state and batch as shapes, compiled for ``devices``.

    Raises:
      DoesNotFitError: the memory of a device is too small.
    """
    from functools import partial

    import jax
    import numpy as np
    from jax.sharding import AxisType, Mesh

    from hepjax.engine.mesh import DATA, MODEL, SHARD, state_shardings
    from hepjax.engine.step import compiled_step, init_state

    # As engine.mesh.make_mesh, which takes the devices that are here.
    second = SHARD if cfg.mesh.layout == "hybrid" else MODEL
    grid = np.asarray(devices, dtype=object).reshape(-1, cfg.mesh.model_devices)
    mesh = Mesh(grid, (DATA, second), axis_types=(AxisType.Auto,) * 2)
    with jax.set_mesh(mesh):
        state = jax.eval_shape(partial(init_state, workload, cfg))
        shardings = state_shardings(cfg.mesh, mesh, state)
        spec = spec_of(workload.name, cfg)
        step = compiled_step(workload, cfg, spec, 1000, shardings, mesh)
        lowered = step.lower(state, raw, None)
        try:
            return lowered.compile()
        except jax.errors.JaxRuntimeError as error:
            raise _overflow(error) from None


def _overflow(error: Exception) -> Exception:
    text = str(error)
    if "RESOURCE_EXHAUSTED" not in text:
        return error
    found = re.search(r"\(?([\d.]+[KMGT]?)\)? (?:of [\w ]*)?exceeds[\w ]*\(([\d.]+[KMGT]?)", text)
    found = found or re.search(r"Used ([\d.]+[KMGT]?) of ([\d.]+[KMGT]?) hbm", text)
    if found is None:
        return DoesNotFitError("does not fit into the memory of a device: " + text.splitlines()[0])
    return DoesNotFitError(f"does not fit: needs {found[1]}B of memory, a device has {found[2]}B")


def numbers(compiled: Any, text: str, devices: int) -> dict[str, Any]:
    """Memory, arithmetic and collectives of a compiled program, for one device."""
    from benchmarks.scaling.collectives import collectives, overlap

    memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
    found = collectives(text, devices)
    kinds: dict[str, dict[str, float]] = {}
    for c in found:
        entry = kinds.setdefault(c.kind, {"count": 0, "payload_bytes": 0, "sent_bytes": 0})
        entry["count"] += c.times
        entry["payload_bytes"] += c.times * c.payload
        entry["sent_bytes"] += c.times * c.sent
    return {
        "memory_bytes": {
            "arguments": memory.argument_size_in_bytes,
            "outputs": memory.output_size_in_bytes - memory.alias_size_in_bytes,
            "temporary": memory.temp_size_in_bytes,
        },
        "gflop": 1e-9 * cost["flops"],
        "collectives": kinds,
        "overlapped_share_of_bytes": overlap(found),
        "asynchronous": sum(c.overlapped is not None for c in found),
    }


def print_row(row: dict[str, Any]) -> None:
    memory = row["memory_bytes"]
    print(
        f"\n{row['config']} {row['precision']}, {row['layout']}, {row['target']} "
        f"({row['devices']} devices), {row['batch']} events an update; "
        f"compiled in {row['compile_s']:.0f} s"
    )
    print(
        f"a device: {sum(memory.values()) / 2**20:.0f} MiB ("
        + ", ".join(f"{name} {size / 2**20:.1f}" for name, size in memory.items())
        + f"), {row['gflop']:.1f} GFLOP by the compiler's count"
    )
    print("| collective | number | payload MB | sent by a device MB |\n|---|---|---|---|")
    for kind, entry in row["collectives"].items():
        print(
            f"| {kind} | {entry['count']} | {entry['payload_bytes'] / 1e6:.3f} "
            f"| {entry['sent_bytes'] / 1e6:.3f} |"
        )
    share = 100 * row["overlapped_share_of_bytes"]
    print(f"with computation between start and end: {share:.0f} % of the bytes", flush=True)


if __name__ == "__main__":
    sys.exit(main())
