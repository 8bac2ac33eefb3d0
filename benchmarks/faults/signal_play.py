"""One round of signals: the command is started, signalled at its moment, and looked at."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from benchmarks.faults import signal_commands as commands
from benchmarks.faults.signal_commands import COMMANDS, HEPJAX, Ground
from benchmarks.faults.signal_rounds import MOMENTS, Round
from hepjax.engine import records
from hepjax.engine.checkpoint import complete_steps

PATIENCE = 60.0
PF_EXITING = 0x4
"""Of the flags in ``/proc/PID/stat``."""
TIDIED = 10.0
"""Seconds in which a command that has nothing to save ends; on a busy machine."""


def play(one: Round, ground: Ground) -> None:
    """Start the command, wait, send, look; fills in the rest of the round."""
    verb, _, workload = one.command.partition(" ")
    if verb == "train":
        _play_training(one, ground, workload)
    else:
        _play_other(one, ground)


def _play_training(one: Round, ground: Ground, workload: str) -> None:
    run = ground.folder / "rounds" / workload
    for attempt in range(6):
        if _interrupt_training(one, ground, workload, run, 0.6**attempt) or one.wrong:
            break
    else:
        one.wrong = "ended before the signal, six times"
    if one.wrong:
        return
    said = _said(ground)
    one.wrong = _wrong(one, said)
    if not one.wrong and "saved at step" in said:
        saved = complete_steps(run / "checkpoints")[-1]
        done = max(r.get("step", 0) for r in _records(run))
        one.wrong = "" if saved == done else f"saved {saved}, but there were {done} updates"
    elif not one.wrong and one.moment == "training" and (len(one.signals) == 1 or one.pause < 0.3):
        one.wrong = f"not saved: {said[-400:]}"


def _interrupt_training(
    one: Round, ground: Ground, workload: str, run: Path, earlier: float
) -> bool:
    """Whether the training was there to hear the first signal."""
    known, steps = len(_records(run)), complete_steps(run / "checkpoints")
    last = (steps[-1] if steps else 0) + 4
    words = ground.training(workload, run, last if one.moment == "end" else None)
    child = _start(words, ground, one.cached)
    reached: dict[str, Callable[[], bool]] = {
        "start": lambda: True,
        "compilation": lambda: "compiling the update" in _said(ground),
        "first update": lambda: "compiled in" in _said(ground),
        "training": lambda: len(_records(run)) > known + 1,  # the first says: resumed
        "validation": lambda: _ends_an_epoch(_records(run)[known:]),
        "save": lambda: any("-tmp" in p.name for p in (run / "checkpoints").glob("*")),  # of Orbax
        "end": lambda: " updates" in _said(ground),
    }
    after = MOMENTS[one.moment] * one.part * earlier
    return _send(one, child, ground, reached[one.moment], after)


def _ends_an_epoch(recent: list[dict]) -> bool:
    """Whether the last record is of an update after which there is a validation."""
    train = [r for r in recent if r["event"] == "train"]
    return bool(train) and recent[-1] is train[-1] and float(train[-1]["epoch"]).is_integer()


def _play_other(one: Round, ground: Ground) -> None:
    normal = commands.undisturbed(one.command, ground)
    for attempt in range(6):
        out = commands.new_folder(ground)
        words = COMMANDS[one.command](ground, out)
        child = _start(words, ground, one.cached)
        long = {"start": min(0.5, normal.seconds), "work": normal.seconds, "end": 0.05}[one.moment]
        reached = partial(_has_result, ground) if one.moment == "end" else lambda: True
        # A command that was faster than before has ended already: once more, a little earlier.
        if _send(one, child, ground, reached, long * one.part * 0.85**attempt):
            break
    else:
        one.wrong = one.wrong or "ended before the signal, six times"
    if one.wrong:
        return
    one.wrong = _wrong(one, _said(ground))
    found = commands.contents(out)
    hidden = [name for name in found if commands.temporary(name)]
    one.left = len(hidden)
    whole = {name: digest for name, digest in found.items() if name not in hidden}
    if not one.wrong and (half := commands.unfinished(whole, normal.files, out)):
        one.wrong = f"half-written: {half}"
    if not one.wrong and one.seconds > TIDIED:
        one.wrong = f"ended after {one.seconds:.1f} s"
    if one.wrong or not any(out.iterdir()):
        return  # where nothing is left, the command again is the undisturbed one
    again = subprocess.run(
        [*HEPJAX, *words], env=ground.variables(True), capture_output=True, text=True, check=False
    )
    if again.returncode:
        one.wrong = f"again: code {again.returncode}: {again.stderr[-400:]}"
        return
    found = {k: v for k, v in commands.contents(out).items() if not commands.temporary(k)}
    if found.keys() != normal.files.keys() or commands.unfinished(found, normal.files, out):
        one.wrong = f"again: other files, {sorted(found)}"


def _has_result(ground: Ground) -> bool:
    return bool((ground.folder / "stdout").read_bytes())


def _start(words: list[str], ground: Ground, cached: bool) -> subprocess.Popen:
    with (ground.folder / "stdout").open("w") as out, (ground.folder / "stderr").open("w") as err:
        return subprocess.Popen(
            [*HEPJAX, *words], stdout=out, stderr=err, env=ground.variables(cached)
        )


def _send(
    one: Round, child: subprocess.Popen, ground: Ground, reached: Callable[[], bool], after: float
) -> bool:
    """Wait for the moment and send the signals; whether the command was there to hear the first."""
    try:
        deadline = time.monotonic() + 3 * PATIENCE
        while not reached() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        if child.poll() is None and time.monotonic() >= deadline:
            one.wrong = f"no {one.moment} in {3 * PATIENCE:g} s, nothing was sent"
            return False
        time.sleep(after)
        began = time.monotonic()
        if is_leaving(child.pid):
            child.wait(PATIENCE)
        if child.poll() is not None:
            if child.returncode:
                one.wrong = f"failed before the signal: {child.returncode}: {_said(ground)[-400:]}"
            return False
        for name in one.signals:
            child.send_signal(signal.Signals[name])  # to one that has ended it is none
            with suppress(subprocess.TimeoutExpired):
                child.wait(one.pause)
        one.code = child.wait(PATIENCE)
        one.seconds = time.monotonic() - began
    except subprocess.TimeoutExpired:
        one.wrong = f"did not end in {PATIENCE:g} s: {_said(ground)[-300:]}"
        return False
    finally:
        child.kill()
        child.wait()
    return True


def is_leaving(pid: int) -> bool:
    """Whether the system takes a process apart already; it hears no signal any more."""
    with suppress(OSError):
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return after_name[0] != "Z" and bool(int(after_name[6]) & PF_EXITING)
    return False


def _wrong(one: Round, said: str) -> str:
    one.in_python = _in_python(one, said)
    if one.in_python:
        return ""
    sent = [signal.Signals[name] for name in one.signals]
    # Of signals that are sent together the system may deliver any first.
    first = sent if one.pause == 0 else sent[:1]
    if one.code not in (*(128 + n for n in first), *(-n for n in first)):
        return f"code {one.code}: {said[-400:]}"
    for word in ("hepjax: bug", "Traceback", "Fatal Python error"):
        if word in said:
            return f"says {word}: {said[-400:]}"
    return ""


def _in_python(one: Round, said: str) -> bool:
    """Whether a SIGINT came before the first line of hepjax: Python answers it with a traceback.

    The code is then 1 or that of SIGINT; nothing that hepjax is made of has run.
    """
    return (
        one.moment == "start" and one.signals[0] == "SIGINT" and "KeyboardInterrupt" in said
        and one.code in (1, 130, -2) and f"{os.sep}hepjax{os.sep}" not in said
    )  # fmt: skip


def _said(ground: Ground) -> str:
    return (ground.folder / "stderr").read_text() + (ground.folder / "stdout").read_text()


def _records(run: Path) -> list[dict]:
    return records.read(run / "metrics.jsonl")
