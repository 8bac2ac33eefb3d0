"""One case of the fuzzer in a process of its own, bounded in time and memory.

The parent has imported everything and has started nothing, so a fork is ready in milliseconds. The
child is killed after ``SECONDS`` of processor time, or ``WAITING`` without any, so that a busy
machine makes no difference. Its memory is what the system counted at its end.
"""

import contextlib
import io
import json
import os
import re
import resource
import select
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SECONDS = 20.0
WAITING = 20.0
"""Without any processor time."""
MEMORY = 2**30
"""Most that a case may have at one time, the interpreter included."""
ADDRESSES = 2**36
"""Nothing may fill the memory of the machine while the limit above is only looked at."""
SLOW = "Very slow compile?"
"""What XLA says on a machine that does too much at a time."""
LONGEST_LINE = 1500
REMARK = re.compile(r"hepjax: (note|warning|this SLURM job has).*")


@dataclass
class Ended:
    """How a case ended."""

    read: str
    """What came of it: read, refused, or a word of the kind."""
    wrong: str
    """Why that is wrong; empty if it is right."""
    seconds: float
    """Of processor time."""
    bytes: int
    """Most memory."""
    said: str = ""
    """The error line, for the list of what was refused."""


@dataclass
class Said:
    """What a command of hepjax gave."""

    code: int
    out: str
    err: str

    def wrong(self, names: tuple[str, ...] = ()) -> str:
        """Why the exit code and standard error are not as they should be; empty if they are.

        Args:
          names: of which the error line must have one.
        """
        lines = self.err.splitlines()
        errors = [line for line in lines if not REMARK.fullmatch(line)]
        if "Traceback" in self.err:
            return f"traceback: {lines[-1][:300]}"
        if self.code not in (0, 2):
            return f"exit code {self.code}: {' | '.join(errors)[:400]}"
        if self.code == 0:
            odd = [line for line in errors if "rror" in line or "arning" in line]
            return f"exit code 0, but said: {odd[0][:300]}" if odd else ""
        if len(errors) != 1 or lines[-1] != errors[0]:
            return f"{len(errors)} lines in place of one: {' | '.join(errors)[:400]}"
        (line,) = errors
        if not line.startswith("hepjax: error: "):
            return f"no error of hepjax: {line[:300]}"
        if len(line) > LONGEST_LINE:
            return f"a line of {len(line)} characters: {line[:300]}"
        is_option = line.startswith("hepjax: error: --")
        if names and not is_option and not any(name in line for name in names):
            return f"names neither of {', '.join(names)}: {line[:300]}"
        return ""


def command(argv: list[str]) -> Said:
    """``hepjax ARGV`` in this process, as a shell would see it."""
    from hepjax import cli

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(argv)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
    return Said(code, out.getvalue(), err.getvalue())


def in_child(
    play: Callable[[], tuple[str, str, str]], folder: Path, seconds: float = SECONDS
) -> Ended:
    """Run ``play() -> (read, wrong, said)`` in a fork whose working directory is ``folder``."""
    verdict, noise = folder.with_suffix(".verdict"), folder.with_suffix(".noise")
    pid = os.fork()
    if pid == 0:
        _play(play, folder, verdict, noise)
    read, said = "killed", ""
    code, wrong, usage = finished(pid, seconds)
    memory = usage.ru_maxrss * 1024
    if not wrong and code != 0:
        wrong = f"the process ended with {code}: {_tail(noise)}"
    elif not wrong:
        read, wrong, said = json.loads(verdict.read_text())
        if not wrong and (unasked := _tail(noise)):
            wrong = f"output past Python: {unasked}"
        if not wrong and memory > MEMORY:
            wrong = f"took {memory / 2**20:.0f} MB"
    for path in (verdict, noise):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return Ended(read, wrong, usage.ru_utime + usage.ru_stime, memory, said)


def finished(pid: int, seconds: float) -> tuple[int, str, resource.struct_rusage]:
    """Wait for a child that leads a session, and end all processes of the session.

    Returns:
      its exit code, why it had to be killed (or empty), and what it used.
    """
    hang = _wait(pid, seconds)
    if hang:
        os.killpg(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what it started
    return os.waitstatus_to_exitcode(status), hang, usage


def _play(
    play: Callable[[], tuple[str, str, str]], folder: Path, verdict: Path, noise: Path
) -> None:
    """The child; it never returns."""
    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        file = os.open(noise, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        null = os.open(os.devnull, os.O_RDONLY)
        for number, source in ((0, null), (1, file), (2, file)):
            os.dup2(source, number)
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        warnings.simplefilter("ignore")  # of libraries, as the command does
        verdict.write_text(json.dumps(play()))
        code = 0
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode())
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, seconds: float) -> str:
    """Wait for the end of a child; why it has to be killed, or empty when it has ended."""
    file = os.pidfd_open(pid)
    try:
        used, since = 0.0, time.monotonic()
        while not select.select([file], [], [], 0.5)[0]:
            now, ready = _activity(pid)
            if now > used + 0.05 or ready:
                used, since = max(now, used), time.monotonic()
            if used > seconds:
                return f"still running after {seconds:g} s of processor time"
            if time.monotonic() - since > WAITING:
                return f"waits for {WAITING:g} s"
        return ""
    finally:
        os.close(file)


def _activity(session: int) -> tuple[float, bool]:
    """What the processes of a session do, such as a compiler that one started.

    Returns:
      seconds of processor time so far, and whether one of them only waits for a processor or disk.
    """
    ticks, ready = 0, False
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = file.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                ticks += sum(map(int, fields[11:15]))
                ready |= fields[0] in "RD"
    return ticks / os.sysconf("SC_CLK_TCK"), ready


def _tail(path: Path) -> str:
    text = path.read_text(errors="replace").strip() if path.exists() else ""
    if SLOW in text:
        return ""
    return " | ".join(text.splitlines()[-3:])[-500:]
