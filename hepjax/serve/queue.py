"""The queue in front of the devices: bounded, oldest first, answered in batches by one thread.

While a batch is computed, the requests that arrive wait; those that can be answered together are
the next batch. So batches grow with the load, and a lone request waits for nobody.
"""

import asyncio
import contextlib
import functools
import itertools
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from hepjax.serve import plan
from hepjax.serve.program import Arrays, Rows, Times
from hepjax.serve.refusal import Reason, Refusal, ours
from hepjax.serve.request import LARGEST_SEED, Work
from hepjax.serve.served import Served, Version

Failed = Callable[[Exception], object]


@dataclass(frozen=True, eq=False)
class Ticket:
    """Events of one request that wait."""

    served: Served
    version: Version
    rows: Rows
    length: int
    """To which they are padded."""
    elements: int
    """Without padding."""
    answer: "asyncio.Future[Arrays]"
    arrived: int = field(default_factory=time.monotonic_ns)

    @property
    def group(self) -> tuple[int, int]:
        """What the tickets of a batch have in common."""
        return id(self.version), self.length


class Queue:
    """Requests that wait, and the thread that answers them. Use it in one event loop."""

    def __init__(self, most: int, device: ThreadPoolExecutor, failed: Failed) -> None:
        """
        Args:
          most: events that may wait.
          device: of one thread.
          failed: told of an exception that no request explains.
        """
        self.most, self.rows, self.ending = most, 0, False
        self._device, self._failed = device, failed
        self._numbers = itertools.count()
        self._waiting: dict[int, Ticket] = {}
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._answer_all())

    async def answered(self, served: Served, version: Version, work: Work) -> tuple[Arrays, int]:
        """The answers to a request, and the seed that it was answered with.

        Raises:
          Refusal: the queue is full, the deadline has passed, the server ends, or the model gives
            no finite answer.
        """
        if self.ending:
            raise Refusal(Reason.ABSENT, "expected a server that goes on, found one that ends")
        if self.rows + work.rows > self.most:
            raise Refusal(
                Reason.FULL,
                f"expected at most {self.most} waiting events, found {self.rows} and {work.rows} "
                "more; try again later",
            )
        seed = secrets.randbelow(LARGEST_SEED) if work.seed is None else work.seed
        tickets = self._tickets(served, version, work, seed)
        try:
            async with asyncio.timeout(work.timeout):
                parts = await asyncio.gather(*(ticket.answer for ticket in tickets))
        except TimeoutError:
            raise Refusal(
                Reason.LATE, f"expected an answer within {work.timeout:.6g} s, found none yet"
            ) from None
        finally:
            for ticket in tickets:
                ticket.answer.cancel()
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}, seed

    def _tickets(self, served: Served, version: Version, work: Work, seed: int) -> list[Ticket]:
        program, loop, tickets = served.program, asyncio.get_running_loop(), []
        length = plan.padded(work.length, program.lengths)
        for rows in plan.parts(work.rows, program.sizes[length][-1]):
            inputs = {name: array[rows] for name, array in work.inputs.items()}
            part = Rows(inputs, seed, rows.start)
            elements = part.number * max(work.length, 1)
            ticket = Ticket(served, version, part, length, elements, loop.create_future())
            number = next(self._numbers)
            self._waiting[number] = ticket
            self.rows += part.number
            ticket.answer.add_done_callback(functools.partial(self._taken, number))
            tickets.append(ticket)
        self._more.set()
        return tickets

    def _taken(self, number: int, answer: object = None) -> None:
        """A ticket waits no more: its batch begins, or nobody wants the answer."""
        ticket = self._waiting.pop(number, None)
        if ticket is not None:
            self.rows -= ticket.rows.number

    def waiting(self, served: Served) -> int:
        """Requests, or parts of large ones, that wait for a model."""
        return sum(ticket.served is served for ticket in self._waiting.values())

    async def close(self) -> None:
        """Take no more requests and answer all that wait."""
        self.ending = True
        while self._waiting:
            await asyncio.sleep(0.01)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _answer_all(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                try:
                    await self._answer(self._next())
                except Exception as error:  # a bug of ours must not end the queue
                    self._failed(error)

    def _next(self) -> list[Ticket]:
        """Take the next batch out of the queue."""
        numbers = list(self._waiting)
        tickets = [self._waiting[number] for number in numbers]
        first = tickets[0]
        most = first.served.program.sizes[first.length][-1]
        waiting = [plan.Waiting(ticket.rows.number, ticket.group) for ticket in tickets]
        chosen = plan.choose(waiting, most)
        for position in chosen:
            self._taken(numbers[position])
        return [tickets[position] for position in chosen]

    async def _answer(self, tickets: list[Ticket]) -> None:
        first, began = tickets[0], time.monotonic_ns()
        rows = [ticket.rows for ticket in tickets]
        results: list[Arrays | Exception]
        try:
            results, times = await asyncio.get_running_loop().run_in_executor(
                self._device, first.served.answers, first.version, rows, first.length
            )
        except Exception as error:
            results, times = [error] * len(tickets), Times(0, 0, 0)
        count = sum(part.number for part in rows)
        sizes = first.served.program.sizes[first.length]
        first.version.statistics.batch(
            count, [began - ticket.arrived for ticket in tickets], times,
            plan.padded(count, sizes) * max(first.length, 1), sum(t.elements for t in tickets),
        )  # fmt: skip
        for ticket, result in zip(tickets, results, strict=True):
            if ticket.answer.done():
                continue
            if not isinstance(result, Exception):
                ticket.answer.set_result(result)
            elif isinstance(result, Refusal):
                ticket.answer.set_exception(result)
            else:
                self._failed(result)
                ticket.answer.set_exception(ours(result))
