"""Energy, utilisation and memory of a training; what cannot be read is absent, never guessed."""

import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from hepjax.engine.counters import Counter, Found, of_devices

INTERVAL = 0.5
"""Seconds between readings: RAPL wraps around after minutes under load."""


class Meter:
    """Adds up what counters say while it is entered, by a thread that reads them now and then."""

    def __init__(self, found: Sequence[Found], devices: Sequence[Any] = ()) -> None:
        """``devices``: of jax, whose memory is asked for."""
        self._counters = [counter for kind in found for counter in kind.counters]
        self._loads = [kind.load for kind in found if kind.load is not None]
        self._devices = devices
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hepjax-meter", daemon=True)
        self.restart()

    def __enter__(self) -> Self:
        if self._counters or self._loads:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def restart(self) -> None:
        """Begin to count at zero."""
        with self._lock:
            self._began, self._process = time.monotonic(), time.process_time()
            self._last = [_value(counter.read) for counter in self._counters]
            self._totals: list[float | None] = [
                None if value is None else 0.0 for value in self._last
            ]
            self._samples: list[list[float]] = [[] for _ in self._loads]

    def read(self) -> dict[str, Any]:
        """Since ``restart``: ``seconds``, ``joules`` by kind, utilisations (0 to 1), peaks (bytes).

        Energy of a kind is there if all its counters could be read all the time.
        """
        self._sample()
        with self._lock:
            seconds = time.monotonic() - self._began
            busy = (time.process_time() - self._process) / (seconds * _cores()) if seconds else 0.0
            joules: dict[str, float | None] = {}
            for counter, total in zip(self._counters, self._totals, strict=True):
                before = joules.get(counter.kind, 0.0)
                added = None if before is None or total is None else before + total
                joules[counter.kind] = added
            loads = [sum(samples) / len(samples) for samples in self._samples if samples]
        found: dict[str, Any] = {"seconds": round(seconds, 3)}
        if known := {kind: round(j, 3) for kind, j in joules.items() if j is not None}:
            found["joules"] = known
        found["cpu_utilisation"] = round(busy, 4)
        if loads:
            found["gpu_utilisation"] = round(sum(loads) / len(loads), 4)
        return found | peaks(self._devices)

    def _watch(self) -> None:
        while not self._ended.wait(INTERVAL):
            self._sample(loads=True)

    def _sample(self, *, loads: bool = False) -> None:
        with self._lock:
            for index, counter in enumerate(self._counters):
                before, total = self._last[index], self._totals[index]
                now = _value(counter.read)
                step = None if before is None or now is None else grown(counter, before, now)
                self._last[index] = now
                self._totals[index] = None if step is None or total is None else total + step
            for samples, load in zip(self._samples, self._loads, strict=True):
                if loads and (value := _value(load)) is not None:
                    samples.append(value)


def of_training(devices: Sequence[Any]) -> Meter:
    """A meter of this machine and the devices of this process."""
    return Meter(of_devices(devices), devices)


def grown(counter: Counter, before: float, now: float) -> float | None:
    """Joules between two readings, in which the counter wrapped around once at most."""
    if now >= before:
        return now - before
    return None if counter.span is None else now - before + counter.span


def peaks(devices: Sequence[Any]) -> dict[str, int]:
    """Largest memory of this process so far, and of one of its devices if jax knows it; bytes."""
    found = {}
    stats = [device.memory_stats() or {} for device in devices]
    if stats and all("peak_bytes_in_use" in of_one for of_one in stats):
        found["peak_device_bytes"] = max(int(of_one["peak_bytes_in_use"]) for of_one in stats)
    unit = 1 if sys.platform == "darwin" else 1024
    return found | {"peak_host_bytes": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def per_event(reading: dict[str, Any], events: int) -> dict[str, Any]:
    """A reading of so many events, with its joules also for each of them."""
    reading = {"events": events} | reading
    if "joules" not in reading or not events:
        return reading
    each = {kind: float(f"{j / events:.5g}") for kind, j in reading["joules"].items()}
    return reading | {"joules_per_event": each}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _value(read: Callable[[], float]) -> float | None:
    try:
        return read()
    except OSError:
        return None
