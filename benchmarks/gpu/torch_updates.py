"""Updates of the same networks in PyTorch on the same kind of device, eager and compiled.

    JAX_PLATFORMS=cpu python -m benchmarks.gpu.torch_updates --config gan3d/published --batch 256

Weights are those of hepjax (benchmarks/speed/torch_*.py), events lie in device memory, and updates
are not waited for one by one. jax only makes the weights, so it can stay on the CPU.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.speed import event_length, timing, train_step
from benchmarks.speed.tagger_epoch import random_batch
from hepjax.engine.workload import Spec
from hepjax.run import configured

try:
    import torch

    from benchmarks.speed import torch_gan3d, torch_mlpf, torch_tagger
except ModuleNotFoundError:
    torch = None

FORMS = ("eager", "compiled")
WARM = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--config", default="gan3d/published", help="as for hepjax train")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--elements", type=int, default=6400, help="of an MLPF event")
    parser.add_argument("--updates", type=int, default=10, help="in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--forms", nargs="+", default=FORMS, choices=FORMS)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    if torch is None:
        parser.error("needs PyTorch: pip install 'hepjax[torch-bench]'")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_default_device(device)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True  # as XLA
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    found: dict[str, Any] = {"device": name, "torch": torch.__version__}
    found |= {"config": args.config, "precision": args.precision, "batch": args.batch}
    for form in args.forms:
        try:
            found[form] = measured(args, form == "compiled")
        except Exception as error:  # the other form still counts
            found[form] = {"error": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
        print(form, found[form], flush=True)
        if args.json:
            timing.write_json(args.json, found)


def measured(args: argparse.Namespace, compiled: bool) -> dict[str, Any]:
    """Milliseconds an update, and seconds until the first one was done."""
    began = time.perf_counter()
    update = make(args, compiled)
    update()
    wait()
    first = time.perf_counter() - began
    for _ in range(WARM):
        update()
    wait()
    seconds = []
    for _ in range(args.rounds):
        start = time.perf_counter()
        for _ in range(args.updates):
            update()
        wait()
        seconds.append((time.perf_counter() - start) / args.updates)
    median = statistics.median(seconds)
    found = {"ms_per_update": 1e3 * median, "events_per_second": args.batch / median}
    found |= {"first_update_s": first, "samples_s": seconds}
    if torch.cuda.is_available():
        found["peak_device_bytes"] = torch.cuda.max_memory_allocated()
    return found


def make(args: argparse.Namespace, compiled: bool) -> Callable[[], Any]:
    """A function that starts one update."""
    overrides = [f"train.batch_size={args.batch}", f"train.precision={args.precision}"]
    workload, cfg = configured(args.config, [*overrides, "mesh.devices=1"])
    state = jax.jit(partial(workload.init, cfg))(jax.random.key(0))
    if workload.name == "tagger":
        batch = random_batch(cfg)
        image = torch.tensor(batch["image"]).permute(0, 3, 1, 2)
        label = torch.tensor(batch["label"])
        step = torch_tagger.make_update(cfg, state.params)
        # The loss and Adam stay outside of what is compiled, as is usual.
        run = torch.compile(step, dynamic=False) if compiled else step
        return lambda: run(image, label)
    if workload.name == "mlpf":
        events = event_length.events(args.batch, args.elements)
    else:
        events = train_step.showers(cfg, args.batch)
    batch = jax.jit(partial(workload.prepare, cfg, Spec()))(events)
    if workload.name == "mlpf":
        tensors = {name: torch.tensor(np.array(array)) for name, array in batch.items()}
        return torch_mlpf.make_update(cfg, state, tensors, compiled=compiled)
    arrays = batch | {"shower": batch["shower"].transpose(0, 4, 1, 2, 3)}
    tensors = {name: torch.tensor(np.array(array)) for name, array in arrays.items()}
    gan = torch_gan3d.make_gan(cfg, state, compiled=compiled)
    return lambda: torch_gan3d.train_step(gan, tensors)


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
