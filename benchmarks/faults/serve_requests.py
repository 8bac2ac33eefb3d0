"""Requests for a server, right and wrong, over bare sockets and channels."""

import copy
import http.client
import json
import random
from typing import Any

import numpy as np


def ask(
    address: str, path: str, body: bytes | dict | None = None,
    headers: dict[str, str] | None = None, timeout: float = 60,
) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
    """Status, headers and body of the answer to one HTTP request."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        method = "GET" if body is None else "POST"
        connection.request(method, path, content, headers or {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def event(length: int, seed: int = 0, events: int = 1) -> dict[str, Any]:
    """A request to MLPF, as JSON."""
    rng = np.random.default_rng(seed)
    X = np.abs(rng.normal(size=(events, length, 12))).astype(np.float32)
    return {
        "inputs": [
            {"name": "X", "shape": list(X.shape), "datatype": "FP32", "data": X.ravel().tolist()},
            {"name": "elements", "shape": [events, length], "datatype": "BOOL",
             "data": [[True] * length] * events},
        ]
    }  # fmt: skip


ODD = (None, True, -1, 0, 1, 2**31, 2**63, 10**30, -0.5, 1e300, "", "X", "FP32", "\u0000", [], [[]],
       {}, {"a": 1}, [1, 2], [None], "9" * 300)  # fmt: skip
"""Values that a field of a request may be replaced by."""


def mutated(request: dict[str, Any], rng: random.Random) -> bytes:
    """The request with a few faults: other values, lost or doubled fields, flipped or cut bytes."""
    wrong = json.loads(json.dumps(request))
    for _ in range(rng.randint(1, 3)):
        target: Any = wrong
        while True:  # down to a random place
            keys = list(target) if isinstance(target, dict) else list(range(len(target)))
            if not keys:
                break
            key = rng.choice(keys)
            deeper = isinstance(target[key], dict | list) and target[key] and rng.random() < 0.7
            if deeper:
                target = target[key]
                continue
            action = rng.random()
            if action < 0.2:
                del target[key]
            elif action < 0.3 and isinstance(target, list):
                target.append(target[key])
            else:
                target[key] = copy.deepcopy(rng.choice(ODD))
            break
    text = bytearray(json.dumps(wrong).encode())
    if rng.random() < 0.3:
        for _ in range(rng.randint(1, 4)):
            text[rng.randrange(len(text))] = rng.randrange(256)
    if rng.random() < 0.1:
        del text[rng.randrange(len(text)) :]
    return bytes(text)


HEADERS = ("inference-header-content-length", "content-encoding", "authorization", "id")
_ONE = "/v2/models/mlpf"
PATHS = (f"{_ONE}/infer", f"{_ONE}/versions/3/infer", f"{_ONE}/versions/4/infer", _ONE,
         f"{_ONE}/load", "/v2/models/x/infer", "/v2/models//infer", "/v2/%00", "/metrics/..",
         "/v2/repository/index")  # fmt: skip


def fuzzed(rng: random.Random, request: dict[str, Any]) -> tuple[str, bytes, dict[str, str]]:
    """Path, body and headers of a random request."""
    headers = {}
    if rng.random() < 0.3:
        values = ("", "0", "12", "-4", "9" * 40, "abc", "gzip")
        headers[rng.choice(HEADERS)] = rng.choice(values)
    path = PATHS[0] if rng.random() < 0.7 else rng.choice(PATHS)
    body = rng.randbytes(rng.randint(0, 400)) if rng.random() < 0.1 else mutated(request, rng)
    return path, body, headers
