"""A web server on this machine whose answers a test chooses, for what fetches files."""

import contextlib
import http.server
import threading
from collections.abc import Iterator


class Site:
    """Files by path, and what goes wrong with them, each by path."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: dict[str, list[int]] = {}
        """Bytes after which a connection ends, one number a request, then whole answers."""
        self.busy: dict[str, list[int]] = {}
        """Status codes of the first requests."""
        self.moved: dict[str, str] = {}
        self.kind: dict[str, str] = {}
        self.without_ranges: set[str] = set()
        self.without_etag: set[str] = set()
        self.without_length: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        """(path, Range) of each request."""
        self.address = ""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        site, path = self.site, self.path
        if path.startswith("http://"):  # as a proxy is asked
            path = "/" + path.split("/", 3)[3]
        site.asked.append((self.path, self.headers.get("Range", "")))
        if path in site.moved:
            self._end(302, Location=site.moved[path])
        elif site.busy.get(path):
            self._end(site.busy[path].pop(0), **{"Retry-After": "7"})
        elif path not in site.files:
            self._end(404)
        else:
            self._send(path, site.files[path])

    def _end(self, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, path: str, content: bytes) -> None:
        site, etag = self.site, f'"{hash(content)}"'
        start, wanted = 0, self.headers.get("Range")
        same = self.headers.get("If-Range") in (None, etag)
        if wanted and same and path not in site.without_ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if path not in site.without_etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Type", site.kind.get(path, "application/octet-stream"))
        body, cuts = content[start:], site.cut.get(path)
        if path in site.without_length:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if cuts:
            body = body[: cuts.pop(0)]
            self.close_connection = True
        self.wfile.write(body)


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """A running server."""
    made = Site()
    handler = type("Handler", (_Handler,), {"site": made})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    made.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
