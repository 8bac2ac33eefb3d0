"""The gRPC side: the methods of ``inference.GRPCInferenceService`` that clients of Triton call."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import numpy as np
from google.protobuf import json_format, message

from hepjax.serve import describe
from hepjax.serve.messages import SERVICE, classes
from hepjax.serve.refusal import Refusal, invalid, ours
from hepjax.serve.request import LONGEST_ID, Asked, Given, Wanted
from hepjax.serve.service import Service

STREAM = 32
"""Requests of a stream that are worked on at once; the next one is read when one is answered."""
OPEN = frozenset({"ServerLive", "ServerReady"})
"""Methods without a token, for those that watch a server."""

Messages = dict[str, Any]
Context = Any
"""``grpc.aio.ServicerContext``."""
Failed = Callable[[Exception], object]


def parse(asked: Any) -> Asked:
    """The request of a ``ModelInferRequest``.

    Raises:
      Refusal: data in two places, in none, or in more than there are inputs.
    """
    raw = asked.raw_input_contents
    if raw and len(raw) != len(asked.inputs):
        raise invalid(
            f"raw_input_contents: expected {len(asked.inputs)}, one an input, found {len(raw)}"
        )
    if len(asked.id) > LONGEST_ID:
        raise invalid(f"id: expected at most {LONGEST_ID} characters, found {len(asked.id)}")
    inputs = []
    for number, tensor in enumerate(asked.inputs):
        typed = [values for _, values in tensor.contents.ListFields()]
        if "shared_memory_region" in tensor.parameters:
            raise invalid(f"{tensor.name}: expected no shared_memory_region, found one")
        if len(typed) != (0 if raw else 1):
            where = "raw_input_contents alone" if raw else "one kind of contents"
            raise invalid(f"{tensor.name}: expected data in {where}, found {len(typed)} kinds")
        data = raw[number] if raw else _array(tensor.contents)
        inputs.append(Given(tensor.name, tensor.datatype, list(tensor.shape), data))
    for output in asked.outputs:
        for name in ("classification", "shared_memory_region"):
            if name in output.parameters:
                raise invalid(f"outputs: expected no {name}, which is not offered, found one")
    outputs = [Wanted(output.name) for output in asked.outputs]
    return Asked(inputs, outputs, asked.id, _plain(asked.parameters))


def _array(contents: Any) -> np.ndarray:
    ((field, values),) = contents.ListFields()
    kinds = {"bool_contents": bool, "fp32_contents": np.float32, "bytes_contents": object}
    return np.array(values, kinds.get(field.name))


def _plain(parameters: Any) -> dict[str, Any]:
    """Parameters as numbers, texts and truth values."""
    found = {}
    for name, value in parameters.items():
        kind = value.WhichOneof("parameter_choice")
        found[name] = getattr(value, kind) if kind else None
    return found


def render(kinds: Messages, asked: Asked, answer: Any) -> Any:
    """The ``ModelInferResponse`` with an answer of ``Service.infer``, data as bytes."""
    tensors = {t.name: t for t in answer.served.program.signature.outputs}
    names = [wanted.name for wanted in asked.outputs] or list(tensors)
    made = kinds["ModelInferResponse"](
        model_name=answer.served.name, model_version=answer.version, id=asked.id
    )
    for name, value in answer.parameters.items():
        made.parameters[name].int64_param = value
    for name in names:
        array = np.ascontiguousarray(answer.arrays[name], tensors[name].dtype)
        made.outputs.add(name=name, datatype=tensors[name].datatype, shape=array.shape)
        made.raw_output_contents.append(array.tobytes())
    return made


def handler(service: Service, failed: Failed) -> grpc.GenericRpcHandler:
    """The methods, for ``grpc.aio.Server.add_generic_rpc_handlers``.

    Args:
      failed: told of exceptions that no request explains.
    """
    kinds = classes()

    async def infer(asked: Any, budget: float | None) -> Any:
        parsed = parse(asked)
        answer = await service.infer("grpc", asked.model_name, asked.model_version, parsed, budget)
        return render(kinds, parsed, answer)

    def unary(name: str, answer: Callable[[Any, Context], Awaitable[Any]]) -> Any:
        async def call(data: bytes, context: Context) -> bytes:
            try:
                if name not in OPEN:
                    service.require_token(_authorization(context))
                with service.memory.share() as share:
                    share.grow(len(data))
                    made = await answer(_read(kinds[f"{name}Request"], data), context)
                return bytes(made.SerializeToString())
            except Refusal as refusal:
                code = getattr(grpc.StatusCode, refusal.reason.grpc)
                await context.abort(code, str(refusal))
            except Exception as error:
                if isinstance(error, grpc.aio.AbortError):
                    raise
                failed(error)
                await context.abort(grpc.StatusCode.INTERNAL, str(ours(error)))
            raise AssertionError("abort raises")

        return grpc.unary_unary_rpc_method_handler(call)

    async def stream(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        try:
            service.require_token(_authorization(context))
        except Refusal as refusal:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(refusal))

        async def one(data: bytes) -> bytes:
            made = kinds["ModelStreamInferResponse"]()
            identity = ""
            try:
                with service.memory.share() as share:
                    share.grow(len(data))
                    asked = _read(kinds["ModelInferRequest"], data)
                    identity = asked.id
                    made.infer_response.CopyFrom(await infer(asked, context.time_remaining()))
            except Refusal as refusal:
                made.error_message = str(refusal)
            except Exception as error:
                failed(error)
                made.error_message = str(ours(error))
            if made.error_message:
                made.infer_response.id = identity  # a client knows by it which request failed
            return bytes(made.SerializeToString())

        async for answer in _in_order(requests, one):
            yield answer

    methods = {name: unary(name, answer) for name, answer in _unary(service, kinds, infer).items()}
    methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(stream)
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def _unary(
    service: Service, kinds: Messages, infer: Callable[[Any, float | None], Awaitable[Any]]
) -> dict[str, Callable[[Any, Context], Awaitable[Any]]]:
    """The methods with one request and one answer, all but those that say what there is trivial."""

    def filled(name: str, fields: dict[str, Any]) -> Any:
        return json_format.ParseDict(fields, kinds[f"{name}Response"]())

    async def live(asked: Any, context: Context) -> Any:
        return filled("ServerLive", {"live": True})

    async def ready(asked: Any, context: Context) -> Any:
        return filled("ServerReady", {"ready": service.ready})

    async def model_ready(asked: Any, context: Context) -> Any:
        service.model(asked.name, asked.version)
        return filled("ModelReady", {"ready": service.ready})

    async def server(asked: Any, context: Context) -> Any:
        return filled("ServerMetadata", describe.server())

    async def metadata(asked: Any, context: Context) -> Any:
        served = service.model(asked.name, asked.version)
        return filled("ModelMetadata", describe.metadata(served))

    async def config(asked: Any, context: Context) -> Any:
        served = service.model(asked.name, asked.version)
        return filled("ModelConfig", {"config": describe.config(served)})

    async def statistics(asked: Any, context: Context) -> Any:
        models = service.listed(asked.name, asked.version)
        return filled("ModelStatistics", {"model_stats": [describe.statistics(m) for m in models]})

    async def index(asked: Any, context: Context) -> Any:
        return filled("RepositoryIndex", {"models": describe.index(service.listed())})

    async def model_infer(asked: Any, context: Context) -> Any:
        return await infer(asked, context.time_remaining())

    return {
        "ServerLive": live, "ServerReady": ready, "ModelReady": model_ready,
        "ServerMetadata": server, "ModelMetadata": metadata, "ModelConfig": config,
        "ModelStatistics": statistics, "RepositoryIndex": index, "ModelInfer": model_infer,
    }  # fmt: skip


def _read(kind: Any, data: bytes) -> Any:
    """A message of the client.

    Raises:
      Refusal: the bytes are none.
    """
    try:
        return kind.FromString(data)
    except message.DecodeError:
        raise invalid(f"request: expected a {kind.DESCRIPTOR.name}, found other bytes") from None


def _authorization(context: Context) -> str | None:
    for name, value in context.invocation_metadata() or ():
        if name == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return None


async def _in_order(
    requests: AsyncIterator[bytes], one: Callable[[bytes], Awaitable[bytes]]
) -> AsyncIterator[bytes]:
    """Answers in the order of the requests, several of which are worked on at once."""
    tasks: asyncio.Queue[asyncio.Future[bytes] | None] = asyncio.Queue(STREAM)

    async def read() -> None:
        try:
            async for data in requests:
                await tasks.put(asyncio.ensure_future(one(data)))
        finally:
            await tasks.put(None)

    reader = asyncio.create_task(read())
    try:
        while (task := await tasks.get()) is not None:
            yield await task
        await reader
    finally:
        reader.cancel()
        while not tasks.empty():
            rest = tasks.get_nowait()
            if rest is not None:
                rest.cancel()
