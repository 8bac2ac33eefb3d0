"""Why a request is not answered, in the words of both protocols."""

import enum


class Reason(enum.Enum):
    """A kind of refusal: HTTP status and the name of the gRPC status."""

    INVALID = 400, "INVALID_ARGUMENT"
    """The request is wrong."""
    DENIED = 401, "UNAUTHENTICATED"
    """The token is missing or another."""
    UNKNOWN = 404, "NOT_FOUND"
    """No such model, version or path."""
    SLOW = 408, "CANCELLED"
    """The request did not arrive in time."""
    LARGE = 413, "INVALID_ARGUMENT"
    """The request is larger than the server accepts."""
    FAILED = 500, "INTERNAL"
    """A bug of ours."""
    FULL = 503, "RESOURCE_EXHAUSTED"
    """The queue is full; the same request may succeed later."""
    ABSENT = 503, "UNAVAILABLE"
    """The server starts or ends; the same request may succeed elsewhere."""
    LATE = 504, "DEADLINE_EXCEEDED"
    """The deadline of the request passed before its turn."""

    @property
    def http(self) -> int:
        """The status of HTTP."""
        return int(self.value[0])

    @property
    def grpc(self) -> str:
        """The name of the status of gRPC."""
        return str(self.value[1])


LONGEST = 300
"""Characters of a message, whatever a client has sent."""


class Refusal(Exception):  # noqa: N818
    """A request that is not answered, with one line for its client."""

    def __init__(self, reason: Reason, text: str) -> None:
        line = " ".join(text.split())
        super().__init__(line if len(line) <= LONGEST else f"{line[:LONGEST]}...")
        self.reason = reason


def invalid(text: str) -> Refusal:
    """The refusal of a request that is wrong."""
    return Refusal(Reason.INVALID, text)


def ours(error: Exception) -> Refusal:
    """The refusal of a request that a bug of ours keeps from being answered."""
    return Refusal(Reason.FAILED, f"bug of the server: {type(error).__name__}; its log has more")
