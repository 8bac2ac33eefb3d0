"""Standard output and error of a command, whatever they are: closed, full, ASCII, without a reader.

Progress, warnings and remarks that cannot be written are lost, and the command goes on. Results
that cannot be written are an error, told at the end by ``Console.verdict``.
"""

import codecs
import contextlib
import errno
import os
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any, TextIO

from hepjax import InputError

NOBODY_READS = (errno.EPIPE, errno.EIO, errno.EBADF)
"""The reader has ended, the terminal is closed, the stream was closed before we began."""
PLAIN = {
    "PLUS-MINUS SIGN": "+-", "MULTIPLICATION SIGN": "x", "MIDDLE DOT": "*", "SUPERSCRIPT TWO": "^2",
    "SUPERSCRIPT THREE": "^3", "DEGREE SIGN": " deg", "MICRO SIGN": "u", "EN DASH": "-",
    "EM DASH": "-", "MINUS SIGN": "-", "HORIZONTAL ELLIPSIS": "...", "RIGHTWARDS ARROW": "->",
    "LESS-THAN OR EQUAL TO": "<=", "GREATER-THAN OR EQUAL TO": ">=",
    "LEFT SINGLE QUOTATION MARK": "'", "RIGHT SINGLE QUOTATION MARK": "'",
    "LEFT DOUBLE QUOTATION MARK": '"', "RIGHT DOUBLE QUOTATION MARK": '"',
}  # fmt: skip
"""What stands for characters, by their Unicode names, that an encoding does not have."""
ANSWERS = (
    "help",
    "data",
    "inspect",
    "runs",
    "rates",
    "clean",
    "completion",
    "doctor",
    "launch",
    "profile",
)
"""Verbs whose standard output is the result; of the others it is with ``--json``."""
LOOKS = ("help", "data", "inspect")
"""Verbs whose reader may stop before the end."""


class Stream:
    """A text stream that never raises; ``lost`` is the first thing that could not be written."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.lost: OSError | None = None
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="hepjax.plain")  # type: ignore[union-attr]

    def write(self, text: str) -> int:
        """Write, or lose it."""
        if self._stream is None:
            self._lose(OSError(errno.EBADF, os.strerror(errno.EBADF)))
        elif self.lost is None:
            try:
                self._stream.write(text)
            except (OSError, ValueError) as error:
                self._lose(error)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, or lose what was there."""
        if self._stream is not None and self.lost is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def isatty(self) -> bool:
        """Whether it is a terminal still."""
        try:
            return self._stream is not None and self.lost is None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def _lose(self, error: Exception) -> None:
        if self.lost is None:
            closed = OSError(errno.EBADF, os.strerror(errno.EBADF))
            self.lost = error if isinstance(error, OSError) else closed
            # What lies in the buffer would fail again at exit, which is then exit code 120.
            with contextlib.suppress(AttributeError, ValueError, OSError):
                number = self._stream.fileno()  # type: ignore[union-attr]
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, number)
                os.close(null)

    def __getattr__(self, name: str) -> Any:
        if self._stream is None and name in ("encoding", "errors"):
            return {"encoding": "utf-8", "errors": "replace"}[name]
        return getattr(self._stream, name)


class Console:
    """Both streams of a command."""

    def __init__(self) -> None:
        self.out, self.err = Stream(sys.stdout), Stream(sys.stderr)

    def verdict(self, code: int, verb: str, json: bool) -> int:
        """The exit code, given that of the command, once everything is written.

        Raises:
          InputError: a result is lost.
        """
        self.out.flush()
        self.err.flush()
        lost = self.out.lost
        if lost is None or code != 0:
            return code
        answers = json or verb in ANSWERS
        if lost.errno in NOBODY_READS and (
            not answers or (verb in LOOKS and lost.errno == errno.EPIPE)
        ):
            return code  # a remark about files that are there, or the end of a look into some
        raise InputError(
            f"standard output: expected to write the result, found: {lost.strerror or lost}"
        )


@contextlib.contextmanager
def attached() -> Iterator[Console]:
    """Replace the standard streams inside the block by ones that never raise."""
    _occupy()
    codecs.register_error("hepjax.plain", _plain)
    console, before = Console(), (sys.stdout, sys.stderr)
    sys.stdout, sys.stderr = console.out, console.err
    try:
        yield console
    finally:
        console.out.flush()
        console.err.flush()
        sys.stdout, sys.stderr = before


def _occupy() -> None:
    """Open the null device where a standard stream is closed.

    The next file that is opened, such as a checkpoint, would get its number, and messages of C++
    libraries would go there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_ascii, error.object[error.start : error.end])), error.end


def _in_ascii(character: str) -> str:
    """Words for Greek letters (eta, Delta), letters without their accents, or ``?``."""
    name = unicodedata.name(character, "")
    if name.startswith("GREEK"):
        letter = name.split(" LETTER ")[-1].partition(" ")[0]
        return letter.title() if "CAPITAL" in name else letter.lower()
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return PLAIN.get(name) or base or "?"
