"""How the train step scales on the devices that are here, measured.

    python -m benchmarks.scaling.measured --config gan3d/small --events 16 --json measured.json

Weak scaling: ``--events`` an update on each device. Strong scaling: the events of the most devices,
cut over fewer. On a CPU a device is a process that may use one core, joined to the others over the
loopback; with accelerators it is one of those of this machine, all in one process. The cases take
turns, ``--rounds`` times, each with a warm-up; an efficiency is the median over the rounds.

Virtual devices of a CPU share its cores, so no speed-up comes of them. Of those the processor time
of one update is measured: it stays the same if no device does the work of another.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import setting

WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="gan3d/small", help="a configuration of gan3d")
    parser.add_argument("--events", type=int, default=16, help="of a device, in weak scaling")
    parser.add_argument("--updates", type=int, default=8, help="timed in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers")
    # Of a process of a group: devices, events, a core for each process or not, file.
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        if args.worker[2] == "core":
            take_one_core()
        devices, events = map(int, args.worker[:2])
        work(args.config, devices, events, args.updates, Path(args.worker[3]))
        return

    kind, most = devices_here()
    counts = [2**k for k in range(most.bit_length()) if 2**k <= most]
    weak = [(n, args.events * n) for n in counts]
    strong = [(n, args.events * counts[-1]) for n in counts]
    if kind == "cpu":
        print(f"{most} cores, a process on each", flush=True)
    virtual = [(n, 32) for n in (1, 2, 4, 8) if kind == "cpu"]
    samples: dict[str, dict[tuple[int, int], list[float]]] = {"wall_s": {}, "processor_s": {}}
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{folder}/programs")
        for _ in range(args.rounds):
            for case in sorted({*weak, *strong}):
                found = measure(args, kind, *case, cores=kind == "cpu")
                samples["wall_s"].setdefault(case, []).append(found["wall_s"])
            for case in virtual:
                found = measure(args, "cpu", *case, cores=False)
                samples["processor_s"].setdefault(case, []).append(found["processor_s"])
    rows = [
        *efficiencies(samples["wall_s"], "weak", weak),
        *efficiencies(samples["wall_s"], "strong", strong),
        *efficiencies(samples["processor_s"], "virtual", virtual),
    ]
    print_table(kind, rows)
    if args.json:
        from benchmarks.speed import timing

        timing.write_json(args.json, {"kind": kind, "rows": rows, "machine": timing.machine()})


def devices_here() -> tuple[str, int]:
    """Platform of the devices, and how many there are; of a CPU its cores.

    Another process looks: this one must not take the memory of the accelerators.
    """
    look = "import jax; print(jax.default_backend(), jax.local_device_count())"
    found = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True)
    kind, count = found.stdout.split()
    return kind, len(os.sched_getaffinity(0)) if kind == "cpu" else int(count)


def measure(
    args: argparse.Namespace, kind: str, devices: int, events: int, cores: bool
) -> dict[str, float]:
    """Seconds of an update of ``events``, in one process or in one for each of as many cores."""
    from hepjax.engine.group.launcher import run_group

    environment = setting.environment() | ({"JAX_PLATFORMS": "cpu"} if kind == "cpu" else {})
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "seconds.json"
        command = [
            sys.executable, "-m", "benchmarks.scaling.measured",
            "--config", args.config, "--updates", str(args.updates),
            "--worker", str(devices), str(events), "core" if cores else "all", str(out),
        ]  # fmt: skip
        if code := run_group(command, devices if cores else 1, environment):
            sys.exit(f"{devices} devices, {events} events: a process ended with {code}")
        return json.loads(out.read_text())


def take_one_core() -> None:
    """One of this process's own; before jax counts them."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(os.environ["HEPJAX_PROCESS"])]})


def work(config: str, devices: int, events: int, updates: int, out: Path) -> None:
    """What one process of a group does; the first one writes the medians."""
    import jax

    from hepjax.engine.group.processes import join
    from hepjax.engine.input import to_mesh
    from hepjax.engine.mesh import make_mesh, over_data, replicated, request_devices
    from hepjax.engine.settings import find_config, read_settings
    from hepjax.engine.step import compiled_step, init_state
    from hepjax.engine.workload import Spec
    from hepjax.workloads.table import configure

    processes = int(os.environ["HEPJAX_PROCESSES"])
    if processes == 1:
        request_devices(devices)
    else:  # a group of one would send its sums through gloo
        join()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not a notice, there is nothing to save
    from benchmarks.speed.train_step import showers

    overrides = [f"train.batch_size={events}", f"mesh.devices={devices}"]
    workload, cfg = configure(read_settings(find_config(config), overrides))
    mesh = make_mesh(cfg.mesh, events)
    seconds: dict[str, list[float]] = {"wall_s": [], "processor_s": []}
    with jax.set_mesh(mesh):
        state = jax.jit(lambda: init_state(workload, cfg), out_shardings=replicated(mesh))()
        step = compiled_step(workload, cfg, Spec(), 1000, replicated(mesh), mesh)
        raw = to_mesh(jax.device_get(showers(cfg, events // processes)), over_data(mesh))
        for _ in range(WARM_UP + updates):
            began, busy = time.perf_counter(), time.process_time()
            state, metrics = step(state, raw, None)
            jax.block_until_ready((state, metrics))
            seconds["wall_s"].append(time.perf_counter() - began)
            seconds["processor_s"].append(time.process_time() - busy)
    if jax.process_index() == 0:
        medians = {name: statistics.median(times[WARM_UP:]) for name, times in seconds.items()}
        out.write_text(json.dumps(medians))


def efficiencies(
    samples: dict[tuple[int, int], list[float]], what: str, cases: list[tuple[int, int]]
) -> list[dict[str, Any]]:
    """A row for each number of devices; 1 is as fast an event on each device as on one alone."""
    rows = []
    for n, events in cases:
        # Of a virtual device the processor time of all counts, so n of them are no more than one.
        share = 1 if what == "virtual" else n
        ratios = [
            (alone / cases[0][1]) / (seconds * share / events)
            for alone, seconds in zip(samples[cases[0]], samples[n, events], strict=True)
        ]
        rows.append({
            "what": what, "devices": n, "events": events, "efficiency": statistics.median(ratios),
            "least": min(ratios), "most": max(ratios),
            "seconds": statistics.median(samples[n, events]), "samples_s": samples[n, events],
        })  # fmt: skip
    return rows


def print_table(kind: str, rows: list[dict[str, Any]]) -> None:
    print("| scaling | devices | events an update | s an update | events/s | efficiency | range |")
    print("|---" * 7 + "|")
    names = {
        "weak": f"weak, {kind}", "strong": f"strong, {kind}",
        "virtual": "virtual devices, processor time",
    }  # fmt: skip
    for row in rows:
        rate = "-" if row["what"] == "virtual" else f"{row['events'] / row['seconds']:.1f}"
        print(
            f"| {names[row['what']]} | {row['devices']} | {row['events']} | {row['seconds']:.3f} "
            f"| {rate} | {row['efficiency']:.2f} | {row['least']:.2f} to {row['most']:.2f} |"
        )


if __name__ == "__main__":
    main()
