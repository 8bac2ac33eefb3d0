"""One update on this device against the CPU, float32 with matrix products at full precision.

    python -m benchmarks.gpu.agreement --config gan3d/published --batch 4 --json agreement.json

Both sides are processes of their own that start from the same state, events and random numbers.
Arrays are compared by norm: |a - b| / |b|. Losses, batch statistics and moments of the optimizer
(which are gradients after the first update) shall agree to 1e-4. The learning rate is next to
nothing: the first step of RMSprop and Adam has the size of the rate whatever the gradient, so the
sign of a gradient that is nothing but rounding would move parameters, and with them the gradients
of the second step of the 3DGAN's networks. Parameters are told beside the others.

Where this device is a CPU, it computes its convolutions in pure JAX instead of by the native
kernels, so that two programs are compared.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.gpu.events import setting
from benchmarks.setting import ROOT, environment
from benchmarks.speed import timing
from hepjax.bench.profiled import Updates

LIMIT = 1e-4
STILL = "optimizer.learning_rate=1e-12"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--config", default="gan3d/published", help="as for hepjax train")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--elements", type=int, default=6400, help="of an MLPF event")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--side", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side is not None:
        np.savez(args.side, **after_one_update(args))
        return
    words = ["--config", args.config, "--batch", str(args.batch), "--elements", str(args.elements)]
    with tempfile.TemporaryDirectory() as folder:
        here, cpu = (Path(folder) / name for name in ("here.npz", "cpu.npz"))
        for path, more in ((here, {}), (cpu, {"JAX_PLATFORMS": "cpu"})):
            on_a_cpu = os.environ.get("JAX_PLATFORMS") == "cpu" and not more
            form = {"HEPJAX_CONV3D": "jax"} if on_a_cpu else {}
            command = [
                sys.executable,
                "-m",
                "benchmarks.gpu.agreement",
                *words,
                "--side",
                str(path),
            ]
            subprocess.run(command, env=environment() | more | form, cwd=ROOT, check=True)
        with np.load(here) as ours, np.load(cpu) as theirs:
            found = {"config": args.config, "batch": args.batch} | compared(
                dict(ours), dict(theirs)
            )
    print(found)
    if args.json:
        timing.write_json(args.json, found)


def after_one_update(args: argparse.Namespace) -> dict[str, np.ndarray]:
    """Metrics and state after the first update, by name."""
    overrides = [f"train.batch_size={args.batch}", "train.precision=float32", STILL]
    if args.config.startswith("mlpf"):
        overrides.append(f"data.buckets=[{args.elements}]")
    with tempfile.TemporaryDirectory() as folder, jax.default_matmul_precision("highest"):
        events = 2 * args.batch
        workload, cfg = setting(args.config, events, overrides, args.elements, Path(folder))
        updates = Updates(workload, cfg, None)
        with jax.set_mesh(updates.mesh):
            batch = next(updates.batches(1))
            updates.compile(batch)  # does it, too
            metrics = updates.metrics
        found = {f"metrics/{name}": np.asarray(value) for name, value in metrics.items()}
        leaves = jax.tree_util.tree_leaves_with_path(updates.state.model)
        device = jax.devices()[0].device_kind
    for path, leaf in leaves:
        if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            found[jax.tree_util.keystr(path)] = np.asarray(leaf)
    return found | {"device": np.array(device)}


def compared(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict[str, Any]:
    """The largest difference of each kind of array, and whether they agree."""
    worst: dict[str, dict[str, Any]] = {}
    for name in sorted(theirs.keys() - {"device"}):
        kind = kind_of(name)
        difference = relative(ours[name], theirs[name])
        if difference >= worst.get(kind, {"difference": -1.0})["difference"]:
            worst[kind] = {"difference": difference, "array": name}
    judged = [worst[kind]["difference"] for kind in worst if kind != "parameters"]
    return {
        "devices": [str(side["device"]) for side in (ours, theirs)],
        "limit": LIMIT,
        "agrees": bool(judged) and all(difference <= LIMIT for difference in judged),
        "worst": worst,
    }


def kind_of(name: str) -> str:
    """Losses, parameters, moments of the optimizer or statistics, by the name of an array."""
    if name.startswith("metrics/"):
        return "losses"
    if "optimizer" in name:
        return "moments"
    return "parameters" if "params" in name else "statistics"


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """|a - b| / |b|, and the plain difference where b is nothing; not finite: infinite."""
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    size = float(np.linalg.norm(b))
    difference = float(np.linalg.norm(a - b)) / (size if size > 0 else 1.0)
    return difference if np.isfinite(difference) else float("inf")


if __name__ == "__main__":
    main()
