"""The HTTP side: paths of the Open Inference Protocol and of Triton's extensions, and /metrics."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hepjax.serve import describe, http_body
from hepjax.serve.memory import Share
from hepjax.serve.metrics import CONTENT_TYPE, exposition
from hepjax.serve.refusal import Reason, Refusal, ours
from hepjax.serve.service import Service

BODY_SECONDS = 30.0
"""In which the body of a request has to arrive."""
GONE = 499
"""Status for a client that closed the connection; nobody receives it."""

Handler = Callable[[Request], Awaitable[Response]]


async def _body(request: Request, share: Share) -> bytes:
    """The body of a request.

    Raises:
      Refusal: too large, too slow, or too many at once.
      ClientDisconnect: it was cut off.
    """
    announced = request.headers.get("content-length", "0")
    share.memory.require_size(int(announced) if len(announced) < 20 else 10**20)
    chunks = []
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                chunks.append(chunk)
                share.grow(len(chunk))
    except TimeoutError:
        raise Refusal(
            Reason.SLOW, f"body: expected all in {BODY_SECONDS:.0f} s, found {share.size} bytes"
        ) from None
    return b"".join(chunks)


def app(service: Service, failed: Callable[[Exception], object]) -> Starlette:
    """The application.

    Args:
      failed: told of exceptions that no request explains.
    """

    def route(path: str, method: str, handler: Handler, closed: bool = True) -> Route:
        async def guarded(request: Request) -> Response:
            try:
                if closed:
                    service.require_token(request.headers.get("authorization"))
                return await handler(request)
            except Refusal as refusal:
                return _refused(refusal)
            except ClientDisconnect:
                return Response(status_code=GONE)
            except Exception as error:
                failed(error)
                return _refused(ours(error))

        return Route(path, guarded, methods=[method])

    async def live(request: Request) -> Response:
        return Response()

    async def ready(request: Request) -> Response:
        return Response(status_code=200 if service.ready else 503)

    async def model_ready(request: Request) -> Response:
        service.model(**_named(request))
        return Response(status_code=200 if service.ready else 503)

    async def server(request: Request) -> Response:
        return JSONResponse(describe.server())

    async def metadata(request: Request) -> Response:
        return JSONResponse(describe.metadata(service.model(**_named(request))))

    async def config(request: Request) -> Response:
        return JSONResponse(describe.config(service.model(**_named(request))))

    async def statistics(request: Request) -> Response:
        models = service.listed(**_named(request))
        return JSONResponse({"model_stats": [describe.statistics(m) for m in models]})

    async def index(request: Request) -> Response:
        return JSONResponse(describe.index(service.listed()))

    async def metrics(request: Request) -> Response:
        return Response(exposition(service), media_type=CONTENT_TYPE)

    async def infer(request: Request) -> Response:
        with service.memory.share() as share:
            body = await _body(request, share)
            asked = http_body.parse(body, request.headers.get(http_body.HEADER))
            named = _named(request)
            answer = await _unless_gone(
                request, service.infer("http", named["name"], named.get("version", ""), asked)
            )
        content, headers = http_body.render(
            asked, answer.served.name, answer.version, answer.served.program.signature.outputs,
            answer.arrays, answer.parameters,
        )  # fmt: skip
        return Response(content, headers=headers)

    one = "/v2/models/{name}"
    routes = [
        route("/v2/health/live", "GET", live, closed=False),
        route("/v2/health/ready", "GET", ready, closed=False),
        route("/v2", "GET", server),
        route("/v2/", "GET", server),
        route("/v2/models/stats", "GET", statistics),
        route("/v2/repository/index", "POST", index),
        route("/metrics", "GET", metrics, closed=False),
    ]
    for path in (one, one + "/versions/{version}"):
        routes += [
            route(path, "GET", metadata),
            route(path + "/ready", "GET", model_ready),
            route(path + "/config", "GET", config),
            route(path + "/stats", "GET", statistics),
            route(path + "/infer", "POST", infer),
        ]
    return Starlette(routes=routes, exception_handlers={404: _no_path, 405: _no_path})


def _named(request: Request) -> dict[str, str]:
    return {name: request.path_params[name] for name in ("name", "version")
            if name in request.path_params}  # fmt: skip


def _refused(refusal: Refusal) -> Response:
    """The answer to a request that is refused; what is left of its body is not read."""
    headers = {"www-authenticate": "Bearer"} if refusal.reason is Reason.DENIED else {}
    if refusal.reason in (Reason.LARGE, Reason.SLOW, Reason.DENIED):
        headers["connection"] = "close"
    if refusal.reason.http == 503:
        headers["retry-after"] = "1"
    return JSONResponse({"error": str(refusal)}, refusal.reason.http, headers)


async def _no_path(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    found = f"{request.method} {request.url.path}"
    text = f"path: expected one of the Open Inference Protocol v2, found {found}"
    return JSONResponse({"error": str(Refusal(Reason.UNKNOWN, text))}, status)


async def _unless_gone(request: Request, work: Any) -> Any:
    """The result of ``work``, which is cancelled when the client closes the connection."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_closed(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        gone.cancel()


async def _closed(request: Request) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
