"""``hepjax doctor``: what is installed, which devices and kernels are in use, what is missing."""

import argparse
import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hepjax.formats.source import Source

EXTRAS = {
    "plot": (("hist", "matplotlib", "mplhep", "sklearn"), "report pages and pictures"),
    "hep": (("pythia8mc", "fastjet"), "jets and events from Pythia, jet clustering"),
    "geant4": (("geant4_pybind",), "showers from Geant4"),
    "root": (("uproot", "awkward"), "ROOT files"),
    "energy": (("pynvml",), "energy and load of NVIDIA GPUs"),
    "test": (("pytest", "hypothesis"), "the test suite"),
    "serve": (("starlette", "uvicorn", "grpc", "prometheus_client"), "hepjax serve"),
    "torch-bench": (("torch", "onnxruntime"), "benchmarks against PyTorch and ONNX Runtime"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``doctor``."""
    parser.add_argument("--devices", type=int, default=0, metavar="N", help="virtual ones of a CPU")
    parser.add_argument(
        "--data", type=Path, nargs="+", metavar="PATH", help="events whose read rate is measured"
    )
    parser.add_argument(
        "--cluster", default="auto", choices=["auto", "none", "slurm", "mpi", "tpu"],
        help="how processes find each other, as for train",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print what was found; in a process group process 0 prints for all."""
    from hepjax.engine.group.processes import join, leaving_at_once
    from hepjax.engine.mesh import number_of_devices
    from hepjax.engine.platforms import platform_or_cpu

    processes = join(args.cluster)
    number_of_devices(-(-args.devices // processes))
    absent = platform_or_cpu()
    with leaving_at_once():
        return _report(args, absent)


def _report(args: argparse.Namespace, absent: str | None) -> int:
    import jax

    from hepjax.engine import compilation, counters, probe
    from hepjax.engine.provenance import provenance

    rate = probe.all_reduce_rate()
    processors, gpus = counters.of_devices(jax.local_devices())
    report = provenance() | {
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "matmul_gflops": {
            name: round(probe.matmul_rate(name), 1) for name in ("float32", "bfloat16")
        },
        "all_reduce_gb_per_s": None if rate is None else round(rate, 3),
        "read_events_per_s": None if not args.data else round(probe.read_rate(_open(args.data)), 1),
        "platform_asked": absent,
        "compiled_programs": None if (cache := compilation.use_cache()) is None else str(cache),
        "energy": {
            "cpu": ", ".join(processors.names) or processors.missing,
            "gpu": ", ".join(gpus.names) or gpus.missing,
        },
        "convolutions": _convolutions(),
        "missing": _missing(),
    }
    if jax.process_index() > 0:
        return 0
    if args.json:
        print(json.dumps(report))
        return 0
    for name, value in report.items():
        if name in ("missing", "convolutions") or value is None:
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = f"{len(value)} x {value[0]}"
        print(f"{name:20} {value}")
    for network, layers in report["convolutions"].items():
        if len(layers) > 1 and len(set(layers.values())) == 1:
            layers = {f"all {len(layers)} kinds of layers": next(iter(layers.values()))}
        for layer, forms in layers.items():
            print(f"{'convolution':20} {network}: {layer}: {forms}")
    for extra, what in report["missing"].items():
        print(f"{'missing':20} {what}: pip install 'hepjax[{extra}]'")
    return 0


NETWORKS = ("gan3d/published", "tagger/top")
"""Packaged configurations whose convolutions are shown; MLPF has none."""


def _convolutions() -> dict[str, dict[str, str]]:
    """The form of each layer of the packaged networks, of its output and both gradients."""
    import jax

    from hepjax import InputError
    from hepjax.engine.step import init_state
    from hepjax.ops.conv_platform import recorded
    from hepjax.run import configured

    shown: dict[str, dict[str, str]] = {}
    for network in NETWORKS:
        for precision in ("float32", "bfloat16"):
            workload, cfg = configured(network, [f"train.precision={precision}"])
            rows = shown.setdefault(f"{network} {precision}", {})
            with recorded() as layers:
                try:
                    jax.eval_shape(lambda w=workload, c=cfg: init_state(w, c))
                except InputError as error:
                    rows["a layer cannot"] = str(error)
                    continue
            for layer, forms in layers:
                sizes = ("x".join(map(str, part)) for part in (layer.kernel, layer.size))
                text = "{} to {} channels, {} taps, {} cells".format(*layer.channels, *sizes)
                text += "" if set(layer.strides) == {1} else f", strides {layer.strides}"
                chosen = forms[0] if len(set(forms)) == 1 else " / ".join(forms)
                rows[text] = chosen
    return shown


def _open(paths: list[Path]) -> "Source":
    """Events of a layout that trainings read directly.

    Raises:
      InputError: another one, which has to be packed first.
    """
    from hepjax import InputError
    from hepjax.workloads.families import family_of

    read = family_of(paths[0]).read
    if read is None:
        raise InputError(
            f"{paths[0]}: expected showers, events or a packed set, found another layout; "
            "hepjax pack makes one of it"
        )
    return read(paths)


def _missing() -> dict[str, str]:
    return {
        extra: what
        for extra, (modules, what) in EXTRAS.items()
        if any(importlib.util.find_spec(module) is None for module in modules)
    }
