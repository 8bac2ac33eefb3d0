"""``hepjax doctor``: what is installed, which devices and kernels are in use, what is missing."""

import argparse
import importlib.util
import json
import os
import time
from typing import Any

EXTRAS = {
    "plot": (("hist", "matplotlib", "mplhep"), "report pages and pictures"),
    "test": (("pytest", "hypothesis"), "the test suite"),
    "torch-bench": (("torch", "onnxruntime"), "benchmarks against PyTorch and ONNX Runtime"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``doctor``."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print what was found; always succeeds if jax starts."""
    from hepjax.engine.rundir import provenance

    report = provenance() | {
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "matmul_gflops": {name: _matmul_rate(name) for name in ("float32", "bfloat16")},
        "missing": _missing(),
    }
    if args.json:
        print(json.dumps(report))
        return 0
    for name, value in report.items():
        if name == "missing":
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            value = f"{len(value)} x {value[0]}"
        print(f"{name:14} {value}")
    for extra, what in report["missing"].items():
        print(f"missing        {what}: pip install 'hepjax[{extra}]'")
    return 0


def _missing() -> dict[str, str]:
    return {
        extra: what
        for extra, (modules, what) in EXTRAS.items()
        if any(importlib.util.find_spec(module) is None for module in modules)
    }


def _matmul_rate(dtype: str) -> float:
    """GFLOP/s of a 1024 x 1024 matrix product with float32 results, best of five."""
    import jax
    import jax.numpy as jnp

    n = 1024
    x = jnp.ones((n, n), dtype)
    product: Any = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    product(x, x).block_until_ready()
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        product(x, x).block_until_ready()
        seconds.append(time.perf_counter() - began)
    return round(2e-9 * n**3 / min(seconds), 1)
