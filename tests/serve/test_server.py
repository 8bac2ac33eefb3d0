"""A server in a thread of this process: both protocols, wrong requests, checkpoints, the end."""

import asyncio
import contextlib
import json
import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from helpers.serving import MLPF, save

from benchmarks.faults.serve_requests import ask, event, fuzzed
from hepjax import InputError
from hepjax.serve.messages import SERVICE, classes
from hepjax.serve.server import Options, serve

INFER = "/v2/models/mlpf/infer"
KINDS = classes()
LARGEST = 100_000


class Inside:
    """A server in a thread; what it told, and its addresses."""

    def __init__(self, options: Options) -> None:
        self.told: list[tuple[str, dict]] = []
        self.received: list[int] = []
        self._news = threading.Condition()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(serve(options, self.received, self._tell))
        )
        self._thread.start()
        about = self.wait_for("ready")
        self.http, self.grpc = (f"127.0.0.1:{about[p]}" for p in ("http", "grpc"))

    def _tell(self, event: str, **fields: object) -> None:
        with self._news:
            self.told.append((event, fields))
            self._news.notify_all()

    def wait_for(self, name: str) -> dict:
        with self._news:
            found = self._news.wait_for(
                lambda: [fields for event, fields in self.told if event == name], 120
            )
        assert found, self.told
        return found[0]

    def stop(self) -> None:
        self.received.append(15)
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return save(tmp_path_factory.mktemp("serve") / "mlpf", "mlpf", MLPF)


@pytest.fixture(scope="module")
def server(run):
    inside = Inside(
        Options([("mlpf", run)], http=0, grpc=0, lengths=(8, 16), queue=16, largest=LARGEST,
                watch_seconds=0.1)
    )  # fmt: skip
    yield inside
    inside.stop()


def call(server, method, request, **more):
    """The answer to one call of gRPC, or its error."""
    with grpc.insecure_channel(server.grpc) as channel:
        data = request if isinstance(request, bytes) else request.SerializeToString()
        try:
            answer = channel.unary_unary(f"/{SERVICE}/{method}")(data, timeout=60, **more)
        except grpc.RpcError as error:
            return error
    return KINDS[f"{method}Response"].FromString(answer)


def message(length=5, seed=0, **changes):
    """The request of ``event`` for gRPC."""
    asked = event(length, seed)
    made = KINDS["ModelInferRequest"](**{"model_name": "mlpf", "id": "7"} | changes)
    for item in asked["inputs"]:
        made.inputs.add(name=item["name"], datatype=item["datatype"], shape=item["shape"])
        kind = np.float32 if item["datatype"] == "FP32" else bool
        made.raw_input_contents.append(np.array(item["data"], kind).tobytes())
    return made


def test_both_protocols_give_one_answer(server):
    status, _, body = ask(server.http, INFER, event(5) | {"id": "7"})
    answer = json.loads(body)
    assert (status, answer["id"], answer["model_version"]) == (200, "7", "3")
    assert answer["outputs"][0]["shape"] == [1, 5, 7]
    other = call(server, "ModelInfer", message())
    numbers = np.frombuffer(other.raw_output_contents[0], np.float32)
    np.testing.assert_allclose(numbers, answer["outputs"][0]["data"], rtol=1e-6)
    typed = message()
    del typed.raw_input_contents[:]
    typed.inputs[0].contents.fp32_contents.extend(event(5)["inputs"][0]["data"])
    typed.inputs[1].contents.bool_contents.extend([True] * 5)
    assert call(server, "ModelInfer", typed) == other


def test_what_the_server_says_of_itself(server):
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/mlpf/versions/3/ready"):
        assert ask(server.http, path)[0] == 200
    assert json.loads(ask(server.http, "/v2")[2])["name"] == "hepjax"
    about = json.loads(ask(server.http, "/v2/models/mlpf")[2])
    assert about["inputs"][0] == {"name": "X", "datatype": "FP32", "shape": [-1, -1, 12]}
    config = json.loads(ask(server.http, "/v2/models/mlpf/config")[2])
    assert config["input"][1] == {"name": "elements", "data_type": "TYPE_BOOL", "dims": [-1]}
    index = json.loads(ask(server.http, "/v2/repository/index", {})[2])
    assert index == [{"name": "mlpf", "version": "3", "state": "READY", "reason": ""}]
    ask(server.http, INFER, event(5))
    (stats,) = json.loads(ask(server.http, "/v2/models/mlpf/stats")[2])["model_stats"]
    assert stats["inference_stats"]["success"]["count"] >= 1
    page = ask(server.http, "/metrics")[2].decode()
    assert 'nv_inference_request_success{model="mlpf",version="3"}' in page
    made = call(server, "ModelStatistics", KINDS["ModelStatisticsRequest"]())
    assert made.model_stats[0].inference_count >= 1
    made = call(server, "ModelConfig", KINDS["ModelConfigRequest"](name="mlpf"))
    assert made.config.input[0].data_type == 11


def test_many_at_once_get_their_own_answers_beside_a_bad_one(server):
    """Lengths differ, so that requests of two buckets wait together; one asks with infinities."""

    def one(seed):
        bad = event(5, seed)
        bad["inputs"][0]["data"][0] = 3e38 if seed == 3 else 1.0
        return ask(server.http, INFER, bad if seed == 3 else event(1 + seed % 12, seed))

    alone = [one(seed) for seed in range(12)]
    with ThreadPoolExecutor(12) as threads:
        together = list(threads.map(one, range(12)))
    for (status, _, body), (_, _, expected) in zip(together, alone, strict=True):
        answer, other = json.loads(body), json.loads(expected)
        assert status in (200, 400)
        if status == 200:
            np.testing.assert_allclose(
                answer["outputs"][0]["data"], other["outputs"][0]["data"], atol=1e-4
            )
    assert [status for status, _, _ in together].count(200) >= 11


def test_wrong_requests_have_their_status(server):
    for path, body, status in (
        ("/v2/models/x", None, 404),
        ("/v2/models/x/infer", event(5), 404),
        ("/v2/models/mlpf/versions/9/infer", event(5), 404),
        ("/v3", None, 404),
        (INFER, None, 405),
        (INFER, event(17), 400),
        (INFER, event(5, events=17), 400),
        (INFER, b"{", 400),
        (INFER, b" " * (LARGEST + 1), 413),
    ):
        found, _, answer = ask(server.http, path, body)
        assert (found, path) == (status, path)
        assert "expected" in json.loads(answer)["error"]
    for request, code in (
        (message(model_name="x"), grpc.StatusCode.NOT_FOUND),
        (message(model_version="9"), grpc.StatusCode.NOT_FOUND),
        (message(length=17), grpc.StatusCode.INVALID_ARGUMENT),
        (b"\xff" * 40, grpc.StatusCode.INVALID_ARGUMENT),
    ):
        error = call(server, "ModelInfer", request)
        assert error.code() is code
        assert "expected" in error.details()


def raw(server, data, limit=20.0):
    """What a server sends to a client that sends these bytes and then nothing."""
    host, port = server.http.split(":")
    with socket.create_connection((host, int(port)), timeout=limit) as client:
        with contextlib.suppress(OSError):  # refused before all was sent
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # it does not read what it refuses
            while part := client.recv(65536):
                answer += part
    return answer


def test_heads_that_are_no_http_are_refused(server):
    head = b"POST /v2/models/mlpf/infer HTTP/1.1\r\nhost: a\r\n"
    for data in (
        b"\0\1\2 nonsense\r\n\r\n",
        head + b"x: " + b"y" * 200_000,
        head + b"content-length: -5\r\n\r\n",
        head + b"content-length: 5\r\ncontent-length: 6\r\n\r\n12345",
    ):
        answer = raw(server, data)
        assert answer.startswith(b"HTTP/1.1 4") or (not answer and len(data) > 65536)
    huge = head + b"content-length: 99999999999999999999999\r\n\r\n"
    assert raw(server, huge)[:12] in (b"HTTP/1.1 413", b"HTTP/1.1 400")
    raw(server, head + b"content-length: 50\r\n\r\n{")  # half a body, and gone
    assert ask(server.http, INFER, event(5))[0] == 200


def test_a_full_queue_and_a_deadline_refuse(server):
    """The thread of the devices is held, so that requests wait: 8 times 2 events fit, no more."""
    late = event(5) | {"parameters": {"timeout": 1}}
    status, _, body = ask(server.http, INFER, late)
    assert status == 504
    assert "within" in json.loads(body)["error"]
    with ThreadPoolExecutor(40) as threads:
        found = list(threads.map(lambda s: ask(server.http, INFER, event(5, s, 16))[0], range(40)))
    assert set(found) <= {200, 503}
    assert 200 in found


def test_a_new_checkpoint_takes_over_without_losing_a_request(tmp_path):
    run = save(tmp_path / "mlpf", "mlpf", MLPF)
    inside = Inside(
        Options([("m", run)], http=0, grpc=0, batch=1, lengths=(8,), watch_seconds=0.05)
    )
    try:
        asked = event(5)
        before = json.loads(ask(inside.http, "/v2/models/m/infer", asked)[2])
        save(run, "mlpf", MLPF, step=9, seed=1, score=0.5)
        seen = []
        while "9" not in seen[-1:] and len(seen) < 5000:
            status, _, body = ask(inside.http, "/v2/models/m/infer", asked)
            assert status == 200
            seen.append(json.loads(body)["model_version"])
        assert seen[-1] == "9"
        after = json.loads(ask(inside.http, "/v2/models/m/infer", asked)[2])
        assert after["outputs"][1]["data"] != before["outputs"][1]["data"]
        assert ask(inside.http, "/v2/models/m/versions/3/infer", asked)[0] == 404
        newest = save(run, "mlpf", MLPF, step=12, score=0.1) / "checkpoints" / "step_12"
        for path in newest.rglob("*"):
            if path.is_file() and path.name != "manifest.json":
                path.write_bytes(path.read_bytes()[:-1])
        assert "step_12" in inside.wait_for("reload refused")["error"]
        assert ask(inside.http, "/v2/models/m/versions/9/infer", asked)[0] == 200
    finally:
        inside.stop()


def test_both_ports_taken_is_one_message(run):
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as b:
        ports = [s.getsockname()[1] for s in (one, b)]
        with pytest.raises(InputError, match=rf"--http {ports[0]} and --grpc {ports[1]}: expected"):
            asyncio.run(serve(Options([("m", run)], http=ports[0], grpc=ports[1]), []))


def test_a_run_that_cannot_be_loaded_ends_the_server(run, tmp_path):
    told = []
    options = Options([("m", tmp_path)], http=0, grpc=0)
    with pytest.raises(InputError, match="expected"):
        asyncio.run(serve(options, [], lambda event, **fields: told.append(event)))
    assert told == ["listening", "ending", "ended"]


def test_random_requests_are_refused_and_never_our_fault(server):
    """The same as benchmarks/faults/serve_fuzz.py, with fewer."""
    rng = random.Random(1)
    for _ in range(150):
        path, body, headers = fuzzed(rng, event(2))
        status, _, answer = ask(server.http, path, body, headers)
        assert status < 500, (status, path, body, headers, answer)
        data = bytearray(message(2).SerializeToString())
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        found = call(server, "ModelInfer", bytes(data))
        if isinstance(found, grpc.RpcError):
            assert found.code() not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), found
    assert ask(server.http, INFER, event(5))[0] == 200
