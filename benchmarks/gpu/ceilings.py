"""What a device can do: matrix products by precision, and copies in its memory.

    python -m benchmarks.gpu.ceilings --json ceilings.json

Products are of random square matrices; copies count bytes read and written.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.speed import timing

PRODUCTS = {
    "bfloat16": ("bfloat16", "default"),
    "float32": ("float32", "default"),
    "float32 highest": ("float32", "highest"),
}


def best(run: Callable[[], Any], calls: int, rounds: int) -> float:
    """Seconds of a call, the shortest mean over ``calls`` that are not waited for one by one."""
    jax.block_until_ready(run())
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(calls):
            result = run()
        jax.block_until_ready(result)
        seconds.append((time.perf_counter() - began) / calls)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--size", type=int, default=8192, help="of the matrices")
    parser.add_argument("--megabytes", type=int, default=4096, help="of the copied array")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    found: dict[str, Any] = {"device": jax.devices()[0].device_kind, "size": args.size}
    for name, (dtype, precision) in PRODUCTS.items():
        a, b = jax.random.normal(jax.random.key(0), (2, args.size, args.size), dtype)
        product = jax.jit(lambda a, b, p=precision: jnp.matmul(a, b, precision=p))
        seconds = best(lambda p=product, a=a, b=b: p(a, b), 10, args.rounds)
        found[f"{name} TFLOP/s"] = 2e-12 * args.size**3 / seconds
    x = jnp.zeros(args.megabytes * 2**18, jnp.float32)
    copy = jax.jit(jnp.negative)
    seconds = best(lambda: copy(x), 10, args.rounds)
    found["copy TB/s"] = 2e-12 * x.nbytes / seconds
    print(found)
    if args.json:
        timing.write_json(args.json, found)


if __name__ == "__main__":
    main()
