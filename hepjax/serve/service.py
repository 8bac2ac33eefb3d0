"""What both protocols call: models by name, requests checked and answered, tokens compared."""

import hmac
import time
from dataclasses import dataclass, field, replace

from hepjax.serve.memory import Memory
from hepjax.serve.program import Arrays
from hepjax.serve.queue import Queue
from hepjax.serve.refusal import Reason, Refusal
from hepjax.serve.request import Asked, checked
from hepjax.serve.served import Served, Version


@dataclass(eq=False)
class Service:
    """The state of a server."""

    queue: Queue
    memory: Memory
    token: str | None = None
    """Clients have to send it as a bearer token."""
    models: dict[str, Served] = field(default_factory=dict)
    ready: bool = False
    """All models are compiled, and the server does not end."""
    answered: dict[tuple[str, str], int] = field(default_factory=dict)
    """Requests for inference by protocol and outcome."""

    def model(self, name: str, version: str = "") -> Served:
        """The model of this name, if it has this version.

        Raises:
          Refusal: none of the kind.
        """
        served = self.models.get(name)
        if served is None:
            known = ", ".join(self.models) or "none yet"
            raise Refusal(Reason.UNKNOWN, f"model: expected one of {known}, found {name!r}")
        served.at(version)
        return served

    def listed(self, name: str = "", version: str = "") -> list[Served]:
        """The model of this name, or all without a name.

        Raises:
          Refusal: none of the kind.
        """
        return [self.model(name, version)] if name else list(self.models.values())

    def require_token(self, header: str | None) -> None:
        """Refuse a request without the token.

        Args:
          header: value of ``authorization``.
        Raises:
          Refusal: it is not ``Bearer TOKEN``.
        """
        if self.token is None:
            return
        sent = (header or "").removeprefix("Bearer ").encode("utf-8", "replace")
        if not hmac.compare_digest(sent, self.token.encode()):
            what = "another token" if header else "none"
            raise Refusal(Reason.DENIED, f"authorization: expected Bearer TOKEN, found {what}")

    async def infer(
        self, protocol: str, name: str, number: str, asked: Asked, budget: float | None = None
    ) -> "Answer":
        """Check and answer a request, and count it.

        Args:
          budget: seconds that the client still waits, where the protocol says so.
        Raises:
          Refusal: it is not answered.
        """
        began, outcome, version = time.monotonic_ns(), "CANCELLED", None
        try:
            served = self.model(name, number)
            version = served.at(number)
            answer = await self._infer(served, version, asked, budget)
            outcome = "OK"
            return answer
        except Refusal as refusal:
            outcome = refusal.reason.grpc
            raise
        finally:
            key = protocol, outcome
            self.answered[key] = self.answered.get(key, 0) + 1
            if version is not None:
                counted = version.statistics
                duration = counted.success if outcome == "OK" else counted.fail
                duration.add(time.monotonic_ns() - began)

    async def _infer(
        self, served: Served, version: Version, asked: Asked, budget: float | None
    ) -> "Answer":
        program = served.program
        work = checked(asked, program.signature, self.queue.most, program.lengths[-1])
        served.require_sense(work)
        if budget is not None:
            work = replace(work, timeout=min(budget, work.timeout or budget))
        arrays, seed = await self.queue.answered(served, version, work)
        return Answer(served, version.number, arrays, seed)


@dataclass(frozen=True)
class Answer:
    """What a request is answered with."""

    served: Served
    version: str
    arrays: Arrays
    seed: int

    @property
    def parameters(self) -> dict[str, int]:
        """Of the answer: the seed, where events are drawn."""
        run = self.served.run
        drawn = run.workload.outputs(run.cfg).kind != "table"
        return {"seed": self.seed} if drawn else {}
