"""Milliseconds a generated shower takes in hepjax, PyTorch and ONNX Runtime, paired in one process.

    python -m benchmarks.speed.generate --batch 1 64 256 --precision float32 --json generate.json

From energies, and angles where they are an input, to cells in GeV after the threshold, noise
included, with the same (untrained) weights; writing files is not in it. Start-up is making and
first calling the function, imports excluded. PyTorch runs with channels_last_3d, eager and, with
--compile, compiled as well; ONNX Runtime on the exported generator, float32 only (its CPU
convolutions know no bfloat16). At batch 1 in float32 PyTorch 2.13 takes its own slow convolution in
two layers, and oneDNN's from batch 2 on.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.speed import timing
from benchmarks.speed.train_step import settings
from hepjax.workloads.gan3d import answer, objective
from hepjax.workloads.gan3d.config import Gan3DConfig

try:
    import torch

    from benchmarks.speed import torch_gan3d
except ModuleNotFoundError:
    torch = None
try:
    import onnxruntime
except ModuleNotFoundError:
    onnxruntime = None

SHOWERS = 10_000
"""Over which the published protocol spreads the start-up."""
MONTE_CARLO = """
For context, documented elsewhere and not measured here: Geant4 17 s a shower in a full detector
(published with the 3DGAN, Intel Xeon 8180); EGSnrc 11 ms a GeV, 2.8 s on average for 10-500 GeV, in
a bare W-Si stack (electromagnetic only, 100 / 10 keV cuts, one core of a Xeon with AMX)."""
Generate = Callable[[], Any]
Asked = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="gan3d/published", help="as for hepjax train")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--compile", action="store_true", help="PyTorch compiled as well as eager")
    parser.add_argument("--no-torch", action="store_true", help="hepjax alone")
    parser.add_argument("--clock", choices=timing.CLOCKS, default="wall")
    parser.add_argument("--json", type=Path, help="also write all samples to this file")
    args = parser.parse_args()

    about = timing.machine()
    rates = timing.matmul_rates(args.clock)
    print(about)
    print("matrix product, GFLOP/s:", timing.rounded(rates))
    print(
        "\n| precision | batch | form | ms/shower | showers/s | GFLOP/s | of matrix product "
        f"| start-up s | ms/shower with start-up over {SHOWERS} | hepjax faster by |\n"
        + "|---" * 10 + "|"
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    for precision in args.precision:
        for batch in args.batch:
            cfg = settings(args.config, batch, precision)
            runs, start_up = {}, {}
            for form in forms(precision, with_torch=not args.no_torch, compiled=args.compile):
                print(f"preparing {form}, {precision}, {batch}", file=sys.stderr)
                runs[form], start_up[form] = make(form, cfg)
            times = timing.paired(runs, args.rounds, args.clock)
            for form in runs:
                row = judge(cfg, times, form, start_up[form], max(rates[precision].values()))
                rows.append(row)
                print_row(row)
    print(MONTE_CARLO)
    if args.json:
        content = {"config": args.config, "clock": args.clock, "machine": about}
        timing.write_json(args.json, content | {"matmul_gflops": rates, "rows": rows})


def forms(precision: str, *, with_torch: bool, compiled: bool) -> list[str]:
    """The forms that are installed and know this precision."""
    names = ["hepjax"]
    if with_torch and torch is not None:
        names += ["torch eager"] + ["torch compiled"] * compiled
        # The export goes through PyTorch.
        names += ["onnxruntime"] * (onnxruntime is not None and precision == "float32")
    return names


def make(form: str, cfg: Gan3DConfig) -> tuple[Generate, float]:
    """A function that makes one batch of showers, and the seconds until its first one was there."""
    state = jax.jit(partial(objective.init, cfg))(jax.random.key(0))
    network = state.generator
    asked = conditions(cfg)
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "generator.onnx"
        if form == "onnxruntime":
            torch_gan3d.export_onnx(cfg, network, exported)
        began = time.perf_counter()
        if form == "hepjax":
            run = hepjax_generate(cfg, state, asked)
        elif form == "onnxruntime":
            run = onnx_generate(cfg, exported, asked)
        else:
            generate = torch_gan3d.make_generate(cfg, network, compiled=form == "torch compiled")
            run = partial(generate, **{k: torch.tensor(v) for k, v in asked.items()})
        run()
    return run, time.perf_counter() - began


def conditions(cfg: Gan3DConfig) -> Asked:
    """Energies (n,) GeV of one batch, and polar angles (n,) rad where the model has them."""
    ranges = {"energy": cfg.energies} | ({"theta": cfg.angles} if cfg.with_angle else {})
    return {
        name: np.linspace(*between, cfg.train.batch_size, dtype=np.float32)
        for name, between in ranges.items()
    }


def hepjax_generate(cfg: Gan3DConfig, state: objective.State, asked: Asked) -> Generate:
    """As ``hepjax generate`` makes each batch."""

    @jax.jit
    def step(state: Any, asked: Any, index: Any, seed: Any) -> Any:
        keys = jax.vmap(partial(jax.random.fold_in, jax.random.key(seed)))(index)
        return answer.infer(cfg, state, asked, keys)["ecal"]

    index = np.arange(cfg.train.batch_size, dtype=np.int32)
    arguments = jax.device_put((state, asked, index))
    return lambda: step(*arguments, np.int32(0)).block_until_ready()


def onnx_generate(cfg: Gan3DConfig, path: Path, asked: Asked) -> Generate:
    """ONNX Runtime on all cores; noise, power and threshold in numpy."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = timing.use_all_cores()
    # Or its threads go on spinning while the next form is timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    draw = np.random.default_rng(0)
    energy = asked["energy"][:, None] / np.float32(objective.ENERGY_UNIT)

    def generate() -> np.ndarray:
        noise = draw.standard_normal((len(energy), objective.noise_size(cfg)), np.float32)
        latent = (
            np.hstack([energy, asked["theta"][:, None], noise])
            if cfg.with_angle
            else energy * noise
        )
        cells = session.run(None, {"latent": latent})[0]
        if cfg.data.power != 1:
            cells **= np.float32(1 / cfg.data.power)
        cells /= np.float32(cfg.data.scale)
        cells[cells < cfg.threshold] = 0.0
        return cells

    return generate


def judge(
    cfg: Gan3DConfig, times: timing.Times, form: str, start_up: float, ceiling: float
) -> dict[str, Any]:
    """One row of the table; ``start_up`` in seconds, ``ceiling`` in GFLOP/s."""
    batch = cfg.train.batch_size
    gflop = sum(timing.forward_gflop(cfg)[0])
    seconds = statistics.median(times[form]) / batch
    return {
        "precision": cfg.train.precision,
        "batch": batch,
        "form": form,
        "ms_per_shower": 1e3 * seconds,
        "gflop_per_shower": gflop,
        "gflops": gflop / seconds,
        "of_matmul": gflop / seconds / ceiling,
        "start_up_s": start_up,
        "ms_per_shower_with_start_up": 1e3 * (seconds + start_up / SHOWERS),
        "hepjax_faster_by": timing.speed(times, "hepjax", form),
    } | timing.summary(times[form])


def print_row(row: dict[str, Any]) -> None:
    ms = row["ms_per_shower"]
    ratio = "" if row["form"] == "hepjax" else f"{row['hepjax_faster_by']:.2f}"
    print(
        f"| {row['precision']} | {row['batch']} | {row['form']} | {ms:.2f} | {1e3 / ms:.0f} "
        f"| {row['gflops']:.0f} | {row['of_matmul']:.2f} | {row['start_up_s']:.2f} "
        f"| {row['ms_per_shower_with_start_up']:.2f} | {ratio} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
