"""Random wrong requests against ``hepjax serve``: each gets 2xx or 4xx, and the server stays up.

    python -m benchmarks.faults.serve_fuzz RUN --requests 10000 --seed 1

``RUN`` is one of MLPF. Half of the requests go over HTTP, half over gRPC. Of right requests fields
are replaced, lost or doubled and bytes are flipped or cut; others are noise.
"""

import argparse
import collections
import json
import random
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.faults.serve_requests import ask, event, fuzzed
from benchmarks.speed.serve import request_for, started
from hepjax.serve.messages import SERVICE, classes

OURS = ("INTERNAL", "UNKNOWN", "UNAVAILABLE", "UNIMPLEMENTED", "DATA_LOSS")
"""Codes of gRPC that no wrong request may get."""


def damaged(message: Any, rng: random.Random) -> bytes:
    """A request of gRPC with a few faults."""
    wrong = type(message)()
    wrong.CopyFrom(message)
    fault = rng.randrange(6)
    tensor = rng.choice(list(wrong.inputs))
    if fault == 0:
        tensor.shape[rng.randrange(len(tensor.shape))] = rng.choice([-1, 0, 2**40, 2**62, 3])
    elif fault == 1:
        tensor.datatype = rng.choice(["", "FP64", "BYTES", "x"])
    elif fault == 2:
        del wrong.raw_input_contents[rng.randrange(len(wrong.raw_input_contents))]
    elif fault == 3:
        place = rng.randrange(len(wrong.raw_input_contents))
        wrong.raw_input_contents[place] = rng.randbytes(rng.randint(0, 200))
    elif fault == 4:
        name = rng.choice(["seed", "timeout", "sequence_id", "x"])
        wrong.parameters[name].int64_param = rng.choice([-1, 2**62])
    else:
        data = bytearray(wrong.SerializeToString())
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)
    return bytes(wrong.SerializeToString())


def main() -> None:
    """Print how many requests got which answer; end with an error if one was our fault."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng, kinds = random.Random(args.seed), classes()
    found: collections.Counter[str] = collections.Counter()
    wrong = 0
    options = ("--lengths", "8,16", "--batch-size", "4", "--max-request", "1")
    with started(f"mlpf={args.run}", *options) as server, \
            grpc.insecure_channel(server["grpc"]) as channel:  # fmt: skip
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        asked = kinds["ModelMetadataRequest"](name="mlpf").SerializeToString()
        metadata = kinds["ModelMetadataResponse"].FromString(
            channel.unary_unary(f"/{SERVICE}/ModelMetadata")(asked)
        )
        right = request_for(metadata, 3, kinds)
        for number in range(args.requests):
            if number % 2:
                path, body, headers = fuzzed(rng, event(2))
                status, _, answer = ask(server["http"], path, body, headers)
                found[f"HTTP {status}"] += 1
                if status >= 500:
                    wrong += 1
                    print(number, path, body[:300], headers, answer[:300])
                continue
            data = damaged(right, rng)
            try:
                call(data, timeout=60)
                found["gRPC OK"] += 1
            except grpc.RpcError as error:
                found[f"gRPC {error.code().name}"] += 1
                if error.code().name in OURS:
                    wrong += 1
                    print(number, data[:300], error.details())
        status, _, answer = ask(server["http"], "/v2/models/mlpf/infer", event(2))
        up = status == 200 and np.isfinite(json.loads(answer)["outputs"][0]["data"]).all()
        alive = server["process"].poll() is None
    print(json.dumps(dict(sorted(found.items())) | {"our faults": wrong, "up": bool(up and alive)}))
    if wrong or not (up and alive):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
