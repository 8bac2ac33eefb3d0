"""Signals that end a command: SIGINT, SIGTERM and SIGHUP, at any moment, once or several times.

The exit code is 128 + the number of the first one. What it does depends on what there is to lose:

========  ===============================================  ======================================
state     when                                             the first signal
========  ===============================================  ======================================
STARTING  modules are imported, or all has been written    ends the process at once
WORKING   a command works, a training has no update yet    KeyboardInterrupt, which tidies up
SAVING    a training has updates                           is noted; the loop saves and returns
GROUP     the same, several processes                      is noted, and SIGTERM the notice to all
SERVING   a server answers requests                        is noted; what waits is answered
========  ===============================================  ======================================

Another one later, or tidying that takes too long, ends the process at once: ``os._exit`` from a
thread, because Python's own handlers wait as long as the main thread is inside XLA, and a normal
shutdown beside a compilation is a segmentation fault. This module imports nothing heavy.
"""

import _thread
import contextlib
import enum
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ONE_REQUEST_SECONDS = 0.5
"""Further signals so soon are the same request: a terminal that closes sends SIGHUP twice."""
RETRY_SECONDS = 0.05
"""Until a signal whose exception Python forgot, see ``_unheard``, comes again."""
TIDY_SECONDS = 3.0
"""From the first signal to the end of a command that has nothing to save."""


class State(enum.Enum):
    """What there is to lose, see above."""

    STARTING = 0
    WORKING = 1
    SAVING = 2
    GROUP = 3
    SERVING = 4


received: list[int] = []
"""Signals of the command that runs, as numbers."""
_state = State.STARTING
_raised = False


def enter(state: State) -> None:
    """Say what there is to lose from here on."""
    global _state
    _state = state


def leave_at_once(number: int) -> None:
    """End this process now, whatever its threads do; files are closed by the system."""
    _say("hepjax: interrupted")
    os._exit(128 + number)


@contextlib.contextmanager
def caught() -> Iterator[None]:
    """Handle the signals inside the block as the state says; nothing in threads but the main one.

    SIGHUP stays ignored where it was, which is what nohup is for.
    """
    global _raised
    received.clear()
    _raised = False
    enter(State.STARTING)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {n: signal.signal(n, _on_signal) for n in _handled()}
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_unheard, hook)
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reader,), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
        os.write(writer, b"\0")
        watcher.join()
        os.close(reader)
        os.close(writer)


def at_start() -> None:
    """Let each signal end this process from here on, until ``caught``."""
    for number in _handled():
        signal.signal(number, _on_signal)


def _handled() -> list[signal.Signals]:
    return [n for n in ENDING if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]


def default() -> None:
    """Leave the rest to the system: while Python shuts down, a signal ends the process."""
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _on_signal(number: int, frame: FrameType | None) -> None:
    """Python's handler, in the main thread between two instructions."""
    global _raised
    if not received:
        received.append(number)
    if _state is State.STARTING or (_state is State.WORKING and _importing(frame)):
        # An exception inside the start of an extension module is an ImportError or worse.
        leave_at_once(received[0])
    if _state is State.GROUP and number != signal.SIGTERM:
        os.kill(os.getpid(), signal.SIGTERM)
    if _state is State.WORKING and not _raised:
        _raised = True
        raise KeyboardInterrupt


def _unheard(
    others: "Callable[[sys.UnraisableHookArgs], object]", failure: "sys.UnraisableHookArgs"
) -> None:
    """Python's hook for exceptions that it would print and forget, as in a finaliser."""
    global _raised
    if received and issubclass(failure.exc_type, KeyboardInterrupt):
        _raised = False
        threading.Timer(RETRY_SECONDS, _thread.interrupt_main, [received[0]]).start()
    else:
        others(failure)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _watch(reader: int) -> None:
    """Hear of each signal at once, also while the main thread is busy outside of Python."""
    first: float | None = None
    while True:
        patience = None
        if first is not None and _state is State.WORKING:
            patience = max(first + TIDY_SECONDS - time.monotonic(), 0.0)
        if not select.select([reader], [], [], patience)[0]:
            leave_at_once(received[0])
        for number in os.read(reader, 64):
            if number == 0:
                return
            if signal.getsignal(number) is not _on_signal:
                continue  # somebody else's, such as those of hepjax launch
            if not received:
                received.append(number)
            if first is None:
                first = time.monotonic()
                if _state is State.SAVING:
                    _say("hepjax: saving before the end; again to end at once")
            elif time.monotonic() - first > ONE_REQUEST_SECONDS:
                leave_at_once(received[0])


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())
