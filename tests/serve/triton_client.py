"""Calls every method of an unmodified tritonclient; a script for the Python that has one.

    PYTHON tests/serve/triton_client.py HTTP GRPC MODEL

``MODEL`` takes ``image``. Prints the largest difference between answers; a wrong one is an error.
"""

import asyncio
import json
import queue
import sys

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException

EVENTS = 3


def asked(kind, image):
    """The inputs of a request."""
    given = kind.InferInput("image", list(image.shape), "FP32")
    given.set_data_from_numpy(image)
    return [given]


def described(client, model, version):
    """What the server says of itself, over either protocol."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(model)
    assert client.is_model_ready(model, version)
    plain = {"as_json": True} if isinstance(client, grpc.InferenceServerClient) else {}
    assert client.get_server_metadata(**plain)["name"] == "hepjax"
    metadata = client.get_model_metadata(model, **plain)
    assert [i["name"] for i in metadata["inputs"]] == ["image"]
    assert metadata["versions"] == [version]
    config = client.get_model_config(model, **plain)
    assert config.get("config", config)["input"][0]["data_type"] == "TYPE_FP32"
    index = client.get_model_repository_index(**plain)
    models = index["models"] if isinstance(index, dict) else index
    assert model in [m["name"] for m in models]
    stats = client.get_inference_statistics(model, **plain)["model_stats"][0]
    assert int(stats["inference_stats"]["success"]["count"]) > 0
    assert len(client.get_inference_statistics(**plain)["model_stats"]) == len(models)


def refused(call, *arguments):
    """The message of a call that must fail."""
    try:
        call(*arguments)
    except InferenceServerException as error:
        return str(error)
    raise AssertionError("expected a refusal")


async def asynchronous(urls, model, image):
    """Many requests at once, over both protocols."""
    answers = []
    async with http_aio.InferenceServerClient(urls[0]) as client:
        calls = [client.infer(model, asked(http_aio, image)) for _ in range(8)]
        answers += [a.as_numpy("log_odds") for a in await asyncio.gather(*calls)]
    async with grpc_aio.InferenceServerClient(urls[1]) as client:
        calls = [client.infer(model, asked(grpc_aio, image)) for _ in range(8)]
        answers += [a.as_numpy("log_odds") for a in await asyncio.gather(*calls)]

        async def requests():
            for number in range(5):
                yield {"model_name": model, "inputs": asked(grpc_aio, image),
                       "request_id": str(number)}  # fmt: skip

        seen = []
        async for answer, error in client.stream_infer(requests()):
            assert error is None
            seen.append(answer.get_response().id)
            answers.append(answer.as_numpy("log_odds"))
        assert seen == list("01234")
    return answers


def main(http_url, grpc_url, model):
    """Call everything; the largest difference between the answers."""
    image = np.random.default_rng(0).random((EVENTS, 20, 25, 4), np.float32)
    answers = []
    with http.InferenceServerClient(http_url, concurrency=8) as client:
        version = client.get_model_metadata(model)["versions"][0]
        for binary in (True, False):
            given = asked(http, image)
            given[0].set_data_from_numpy(image, binary_data=binary)
            for outputs in (
                None,
                [http.InferRequestedOutput("log_odds", binary_data=True)],
                [http.InferRequestedOutput("log_odds", binary_data=False)],
            ):
                answer = client.infer(model, given, outputs=outputs, request_id="7")
                assert answer.get_response()["id"] == "7"
                answers.append(answer.as_numpy("log_odds"))
        calls = [
            client.async_infer(model, asked(http, image), timeout=60_000_000) for _ in range(8)
        ]
        answers += [call.get_result().as_numpy("log_odds") for call in calls]
        described(client, model, version)
        assert "expected" in refused(client.infer, "nobody", asked(http, image))
        assert "expected" in refused(client.infer, model, asked(http, image), "999")
        assert "shape" in refused(client.infer, model, asked(http, image[:, :2]))
    with grpc.InferenceServerClient(grpc_url) as client:
        answer = client.infer(model, asked(grpc, image), model_version=version, request_id="7")
        assert answer.get_response().id == "7"
        answers.append(answer.as_numpy("log_odds"))
        results = queue.Queue()
        for _ in range(8):
            client.async_infer(
                model, asked(grpc, image), lambda result, error: results.put((result, error))
            )
        for _ in range(8):
            result, error = results.get(timeout=60)
            assert error is None, error
            answers.append(result.as_numpy("log_odds"))
        client.start_stream(lambda result, error: results.put((result, error)))
        client.async_stream_infer(model, asked(grpc, image), request_id="a")
        client.async_stream_infer("nobody", asked(grpc, image), request_id="b")
        client.async_stream_infer(model, asked(grpc, image), request_id="c")
        streamed = [results.get(timeout=60) for _ in range(3)]
        client.stop_stream()
        assert [error is None for _, error in streamed] == [True, False, True]
        answers += [result.as_numpy("log_odds") for result, _ in streamed if result is not None]
        described(client, model, version)
        assert "NOT_FOUND" in refused(client.infer, "nobody", asked(grpc, image))
        bad = np.full_like(image, np.nan)
        assert "INVALID_ARGUMENT" in refused(client.infer, model, asked(grpc, bad))
    answers += asyncio.run(asynchronous((http_url, grpc_url), model, image))
    assert all(a.shape == (EVENTS,) and a.dtype == np.float32 for a in answers)
    difference = max(float(np.abs(a - answers[0]).max()) for a in answers)
    print(json.dumps({"answers": len(answers), "largest_difference": difference}))
    assert difference < 1e-5


if __name__ == "__main__":
    main(*sys.argv[1:])
