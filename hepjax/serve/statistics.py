"""What was served, counted as Triton counts it."""

import time
from dataclasses import dataclass, field

from hepjax.serve.program import Times


@dataclass
class Duration:
    """How often something was done, and nanoseconds of all times together."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        """One more."""
        self.count += 1
        self.ns += ns


@dataclass
class Statistics:
    """Of one version of a model. Written by the thread of the event loop alone."""

    success: Duration = field(default_factory=Duration)
    """Requests, from their arrival to the answer."""
    fail: Duration = field(default_factory=Duration)
    """Requests, refused ones included."""
    queue: Duration = field(default_factory=Duration)
    """Requests, or parts of large ones, until their batch began."""
    gather: Duration = field(default_factory=Duration)
    devices: Duration = field(default_factory=Duration)
    scatter: Duration = field(default_factory=Duration)
    events: int = 0
    batches: int = 0
    slots: int = 0
    """Elements, or events without a length, that the devices computed."""
    used: int = 0
    """Those of them that were no padding."""
    last_ms: int = 0
    """Of the clock, when the last batch was done."""
    by_size: dict[int, tuple[Duration, Duration, Duration]] = field(default_factory=dict)
    """Batches by their number of events: gathering, devices, handing out."""

    def batch(self, rows: int, waited: list[int], times: Times, slots: int, used: int) -> None:
        """A batch was answered.

        Args:
          waited: nanoseconds in the queue of each part.
        """
        self.batches += 1
        self.events += rows
        self.slots += slots
        self.used += used
        self.last_ms = time.time_ns() // 1_000_000
        parts = self.gather, self.devices, self.scatter
        for ns in waited:
            self.queue.add(ns)
            for duration, part in zip(parts, times, strict=True):
                duration.add(part)
        known = self.by_size.setdefault(rows, (Duration(), Duration(), Duration()))
        for duration, part in zip(known, times, strict=True):
            duration.add(part)
