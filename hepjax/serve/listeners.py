"""Sockets, TLS and tokens: what a server needs of the machine before it loads anything."""

import asyncio
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hepjax import InputError

STALLED_MS = 60_000
"""After which the system drops a connection whose client takes no data."""
HEAD_SECONDS = 30.0
"""In which the head of a request has to arrive."""


@dataclass(frozen=True)
class Certificate:
    """PEM files for TLS."""

    certificate: Path
    key: Path

    def require(self) -> None:
        """Refuse files that are no certificate with its key.

        Raises:
          InputError: they are not.
        """
        for path in (self.certificate, self.key):
            if not path.is_file():
                raise InputError(f"{path}: expected a file in PEM format, found none")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key)
        except OSError as error:  # those of ssl among them
            raise InputError(
                f"{self.certificate}: expected a certificate, and its key in {self.key}, "
                f"found: {error.strerror or error}"
            ) from None

    def for_grpc(self) -> grpc.ServerCredentials:
        """The same for gRPC."""
        pair = self.key.read_bytes(), self.certificate.read_bytes()
        return grpc.ssl_server_credentials([pair])


def read_token(path: Path) -> str:
    """The token that a file holds.

    Raises:
      InputError: it holds none.
    """
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "other characters than ASCII"
        raise InputError(f"{path}: expected a file with a token, found: {why}") from None
    if not token or len(token.split()) > 1:
        raise InputError(f"{path}: expected one token, found {len(token.split())} words")
    return token


def bind(host: str, port: int) -> socket.socket | None:
    """A TCP socket of this address, or None if the port is taken.

    Raises:
      InputError: no such address here.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind)
    except OSError as error:
        raise InputError(
            f"--host: expected an address of this machine, found {host}: {error.strerror}"
        ) from None
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
    try:
        bound.bind(address)
        bound.listen()  # two sockets may be bound to one port as long as neither listens
    except PermissionError:
        bound.close()
        raise InputError(
            f"port {port}: expected one that you may use, found a reserved one"
        ) from None
    except OSError as error:
        bound.close()
        if isinstance(error.errno, int) and error.errno == 99:  # EADDRNOTAVAIL
            raise InputError(f"--host: expected an address of this machine, found {host}") from None
        return None
    return bound


def bind_grpc(
    server: grpc.aio.Server, host: str, port: int, certificate: Certificate | None
) -> int | None:
    """Give a gRPC server its port; the port, or None if it is taken."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if certificate is None:
            return int(server.add_insecure_port(address)) or None
        return int(server.add_secure_port(address, certificate.for_grpc())) or None
    except RuntimeError:
        return None


class Patient(H11Protocol):
    """The protocol of uvicorn, which ends a connection whose request does not come to its body."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Part of a request, or of several."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        super().connection_lost(exc)
        self._unwatch()

    def _watch(self) -> None:
        """Count the time of a head that is under way; that of bodies is counted elsewhere."""
        under_way = self.cycle is None or self.cycle.response_complete
        if not under_way or self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._unwatch()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
