"""Work shared by processes: results in order, one count of what is done, no process left behind."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import pyarrow as pa

from hepjax import HepjaxError

Advance = Callable[[int], object]
"""Told of events that are done."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    make: Callable[[Item, Advance], Result],
    work: Sequence[Item],
    workers: int,
    advance: Advance,
    where: str,
) -> list[Result]:
    """``make`` of each item, in order, by ``workers`` processes.

    Args:
      make: a function that pickles, of an item and the ``advance`` of its process.
      where: beginning of the message if a worker is killed.
    Raises:
      HepjaxError: a worker was killed. Exceptions of ``make`` come through. Both end the others.
    """
    # Fresh processes: forked ones would share the threads and locks of the libraries.
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, _start_worker, (counter,)) as pool:
        futures = [pool.submit(_make_in_worker, make, item) for item in work]
        waiting, shown = set(futures), 0
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
                if (done := counter.value) > shown:
                    advance(done - shown)
                    shown = done
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            if isinstance(error, BrokenProcessPool):
                raise HepjaxError(
                    f"{where}: expected all workers to end, found that one was killed (out of "
                    "memory?); run the same command again with fewer --workers, finished shards "
                    "are kept"
                ) from None
            raise
    return [future.result() for future in futures]


_counter: Any = None
"""In a worker: events done by all of them."""


def _start_worker(counter: Any) -> None:
    global _counter
    _counter = counter
    pa.set_cpu_count(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_in_worker(make: Callable[[Item, Advance], Result], item: Item) -> Result:
    def advance(events: int) -> None:
        with _counter.get_lock():
            _counter.value += events

    return make(item, advance)
