"""A command as the simulator of a point: how it is told the point, and where its value is read.

    python simulate.py {params} {result}      # JSON files: the point, and what was found there
    ./simulate --pileup {pileup} --seed {number}      # the value is the last line it prints

The value is a JSON number, or ``value`` of an object; ``value_error`` beside it is its standard
deviation. A simulation that ends with another code, prints no such value, or takes longer than it
may, has failed: that is no fault of the study, which goes on.
"""

import json
import math
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hepjax import InputError
from hepjax.engine.settings import flatten
from hepjax.formats import atomic

NAME = re.compile(r"\{([A-Za-z_][\w.]*)\}")
FILES = ("params", "result", "folder", "number")
"""What a command may be told beside the values of the point."""
POLL_SECONDS = 0.05
GRACE_SECONDS = 5.0
"""From the request to end to the end of a simulation that does not obey."""


class FailedError(Exception):
    """A simulation gave no value."""


class Answer(NamedTuple):
    """What a simulation says."""

    value: float
    error: float
    """Standard deviation; 0 where the simulator does not tell it."""


def words(text: str, axes: Sequence[str]) -> list[str]:
    """The words of a command, checked.

    Raises:
      InputError: no words, names that are not known, or a command that is not told the point.
    """
    try:
        found = shlex.split(text)
    except ValueError as error:
        raise InputError(f"SIMULATOR: expected a command, found {text!r} ({error})") from None
    names = {name for word in found for name in NAME.findall(word)}
    known = {*FILES, *axes}
    if unknown := sorted(names - known):
        raise InputError(
            f"SIMULATOR: expected the names {', '.join(sorted(known))} in braces, "
            f"found {{{unknown[0]}}}"
        )
    if not names & {"params", "folder", *axes}:
        raise InputError(
            "SIMULATOR: expected toy/2d, toy/4d, a run directory, or a command that is told the "
            f"point as {{params}} or {{{axes[0] if axes else 'KEY'}}}, found {text!r}"
        )
    return found


def simulate(
    command: Sequence[str], params: dict[str, Any], number: int, folder: Path, *,
    key: str = "value", timeout: float = math.inf, check: Callable[[], object] = lambda: None,
) -> Answer:  # fmt: skip
    """Run a command for a point, in its folder, and read what it found.

    Args:
      folder: new; gets ``params.json``, what the command prints, and its ``result.json``.
      key: the value's, dotted where objects nest.
      check: called while it runs; what it raises ends the command.
    Raises:
      FailedError: the command failed, or took longer than ``timeout`` seconds.
    """
    folder = atomic.make_folder(folder).absolute()
    files = {"params": folder / "params.json", "result": folder / "result.json", "folder": folder}
    atomic.write_json(files["params"], params)
    said = {name: str(value) for name, value in {**params, **files, "number": number}.items()}
    argv = [NAME.sub(lambda match: said[match[1]], word) for word in command]
    printed = _run(argv, folder, timeout, check)
    if any("{result}" in word for word in command):
        try:
            printed = files["result"].read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise FailedError(f"expected its {files['result'].name}, found: {error}") from None
    else:
        printed = next((line for line in reversed(printed.splitlines()) if line.strip()), "")
    return read(printed, key)


def _run(
    argv: Sequence[str], folder: Path, timeout: float, check: Callable[[], object]
) -> str:  # fmt: skip
    """Run to the end; what it printed."""
    output, errors = folder / "stdout", folder / "stderr"
    began = time.monotonic()
    with output.open("wb") as out, errors.open("wb") as err:
        try:
            # A session of its own, so that what the command started ends with it.
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )
        except OSError as error:
            raise FailedError(f"{argv[0]}: {error.strerror}") from None
        try:
            while process.poll() is None:
                time.sleep(POLL_SECONDS)
                check()
                if time.monotonic() - began > timeout:
                    raise FailedError(f"no end after {timeout:g} seconds (--timeout)")
        finally:
            _end(process)
    if process.returncode != 0:
        last = errors.read_text(errors="replace").strip().splitlines()[-1:]
        raise FailedError(f"ended with code {process.returncode}" + "".join(f": {x}" for x in last))
    return output.read_text(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and all that it started, first asked, then not."""
    for number, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            break  # nobody is left
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def read(text: str, key: str = "value") -> Answer:
    """The value and its standard deviation in what a simulator says.

    Raises:
      FailedError: no JSON, no such number, or one that is not finite.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise FailedError(f"expected JSON with {key!r}, found {text[:80]!r}") from None
    if isinstance(content, dict):
        if content.get("status") == "failed":
            raise FailedError(str(content.get("reason", "it says so itself")))
        flat = flatten(content)
        value, error = flat.get(key), flat.get(f"{key}_error", 0.0)
    else:
        value, error = content, 0.0
    answer = Answer(_number(key, value), _number(f"{key}_error", error))
    if answer.error < 0:
        raise FailedError(f"expected {key}_error of at least 0, found {error}")
    return answer


def _number(name: str, found: Any) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise FailedError(f"expected a number {name!r}, found {found!r}")
    if not math.isfinite(found):
        raise FailedError(f"expected a finite {name!r}, found {found!r}")
    return float(found)
