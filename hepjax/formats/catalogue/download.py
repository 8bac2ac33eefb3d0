"""Fetches one file over HTTP, or copies it from a folder: resumed, counted, never more than stated.

Connections end, servers answer with an error for a while, and some begin again from the first byte:
each is tried again while it brings something new. Proxies are those of the environment
(``https_proxy``, ``no_proxy``), as for other programs. What came is a file beside its place until
``shelf.py`` has checked it.
"""

import fcntl
import http.client
import json
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hepjax import InputError, __version__

CHUNK = 2**20
ATTEMPTS = 5
"""In a row that bring nothing new."""
TIMEOUT = 60.0
"""Seconds without a byte."""
LONGEST_WAIT = 60.0
AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Answers of servers that are busy."""
RESUMES = "the same command goes on from there"
Advance = Callable[[int], object]
Wait = Callable[[float], object]


class _CutError(Exception):
    """Worth another attempt: why the last one ended, and how long the server asks to wait."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


def is_web(address: str) -> bool:
    """Whether it is an address and not a folder.

    Raises:
      InputError: an address of another kind.
    """
    scheme, colon, _ = address.partition("://")
    if colon and scheme not in ("http", "https"):
        raise InputError(f"{address}: expected http://, https:// or a folder, found {scheme}://")
    return bool(colon)


def fetch(
    address: str, partial: Path, size: int | None, advance: Advance, *,
    learned: Advance = lambda total: None, checked: bool = False, wait: Wait = time.sleep,
) -> None:  # fmt: skip
    """Bring ``partial``, which may hold the beginning, to the whole content of ``address``.

    Args:
      address: http, https, or the path of a file.
      size: bytes that are stated, None if nobody does.
      advance: told how many bytes came, without those that were there; less than none if it begins
        again.
      learned: told the size of the whole file, where a server says it.
      checked: whether a checksum will show if two versions of the file were mixed.
      wait: seconds between attempts.
    Raises:
      InputError: no such file, another size than stated, a page in place of a file, no room on the
        disk, another process at the same file, or no connection; what came stays for the next time.
    """
    with _alone(partial):
        if not is_web(address):
            _copy(Path(address), partial, size, advance)
            return
        best, failures, reason = size_of(partial), 0, ""
        while failures < ATTEMPTS:
            try:
                _attempt(address, partial, size, checked, advance, learned)
                return
            except _CutError as cut:
                reason, came = str(cut), size_of(partial)
                failures = 0 if came > best else failures + 1
                best = max(best, came)
                if failures < ATTEMPTS:
                    wait(min(max(2.0**failures - 1, cut.after), LONGEST_WAIT))
    raise InputError(
        f"{address}: expected the whole file, found: {reason}, {ATTEMPTS} times, with "
        f"{size_of(partial):,} bytes; {RESUMES}"
    )


def text_of(address: str, wait: Wait = time.sleep, most: int = 2**24) -> str:
    """A short text at an address.

    Raises:
      InputError: it cannot be fetched.
    """
    reason = ""
    for failures in range(1, ATTEMPTS + 1):
        try:
            with _opened(urllib.request.Request(address, headers=_headers())) as answer:
                return str(answer.read(most).decode("utf-8", "replace"))
        except (_CutError, http.client.HTTPException, OSError) as cut:
            reason = _said(cut)
            if failures < ATTEMPTS:
                wait(min(max(2.0**failures - 1, getattr(cut, "after", 0.0)), LONGEST_WAIT))
    raise InputError(f"{address}: expected the list of the files, found: {reason}")


def remove(partial: Path) -> None:
    """What came, and what is noted of it."""
    for path in (partial, _note(partial)):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _attempt(
    address: str, partial: Path, size: int | None, checked: bool, advance: Advance,
    learned: Advance,
) -> None:  # fmt: skip
    """One connection.

    Raises:
      _CutError: it ended early.
      InputError: see ``fetch``.
    """
    have = size_of(partial)
    if have and have == size:
        return
    version = _version(partial, address) if have else ""
    if (size is not None and have > size) or not (version or checked):
        have = 0  # of which version nobody knows, and nothing would show a mixture
    headers = _headers()
    if have:
        headers["Range"] = f"bytes={have}-"
        if version:
            headers["If-Range"] = version
    with _opened(urllib.request.Request(address, headers=headers), have) as answer:
        start = _start(answer, have)
        total = _total(answer, start)
        if size is not None and total is not None and total != size:
            raise InputError(
                f"{address}: expected {size:,} bytes as the catalogue states, found {total:,}; the "
                "file is another one, or a page in its place; give another --mirror"
            )
        _require_file(address, answer, size)
        advance(start - size_of(partial))
        _keep_version(partial, address, answer)
        known = size if total is None else total
        if known is not None:
            learned(known)
        _require_room(partial, (known or 0) - start)
        _receive(address, answer, partial, start, known, advance)


def _receive(
    address: str, answer: Any, partial: Path, start: int, known: int | None, advance: Advance
) -> None:
    with _refusals_named(partial), partial.open("r+b") as file:
        file.truncate(start)
        file.seek(start)
        have = start
        while chunk := _chunk(answer):
            if known is not None and have + len(chunk) > known:
                raise InputError(
                    f"{address}: expected {known:,} bytes, found more; give another --mirror"
                )
            file.write(chunk)
            have += len(chunk)
            advance(len(chunk))
        os.fsync(file.fileno())
    if known is not None and have < known:
        raise _CutError(f"the connection ended after {have:,} of {known:,} bytes")


def _chunk(answer: Any) -> bytes:
    try:
        return bytes(answer.read1(CHUNK))
    except (http.client.HTTPException, OSError) as error:
        raise _CutError(f"the connection ended ({_said(error)})") from None


@contextmanager
def _opened(request: urllib.request.Request, have: int = 0) -> Iterator[Any]:
    """The answer to a request; redirections are followed.

    Raises:
      _CutError: no connection, or a busy server.
      InputError: an answer that another attempt does not change.
    """
    address = request.full_url
    try:
        answer = _open(request)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # nothing after what is there
            answer = _again_from_the_start(request)
        elif error.code in AGAIN:
            asked = error.headers.get("Retry-After", "")
            raise _CutError(
                f"HTTP {error.code} {error.reason}", float(asked) if asked.isdecimal() else 0.0
            ) from None
        else:
            raise InputError(
                f"{address}: expected a file, found HTTP {error.code} {error.reason}; look at the "
                "record of the set, or give a folder or address that has it with --mirror"
            ) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise InputError(
                f"{address}: expected a certificate that this machine trusts, found: "
                f"{error.reason.verify_message}"
            ) from None
        raise _CutError(_said(error.reason)) from None
    except (http.client.HTTPException, OSError) as error:
        raise _CutError(_said(error)) from None
    except ValueError as error:
        raise InputError(f"{address}: expected an address, found: {error}") from None
    with answer:
        yield answer


def _again_from_the_start(request: urllib.request.Request) -> Any:
    try:
        return _open(urllib.request.Request(request.full_url, headers=_headers()))
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise _CutError(_said(error)) from None


def _open(request: urllib.request.Request) -> Any:
    """With the proxies that the environment has now; ``urlopen`` keeps those of its first call."""
    return urllib.request.build_opener().open(request, timeout=TIMEOUT)


def _headers() -> dict[str, str]:
    return {"User-Agent": f"hepjax/{__version__}", "Accept-Encoding": "identity"}


def _start(answer: Any, have: int) -> int:
    """The first byte of an answer: of a server that does not resume it is 0."""
    if answer.status != 206:
        return 0
    span = str(answer.headers.get("Content-Range", "")).removeprefix("bytes ").partition("-")[0]
    if span.isdecimal() and int(span) <= have:
        return int(span)
    raise _CutError("a part of the file that was not asked for")


def _total(answer: Any, start: int) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return start + int(length) if length.isdecimal() else None


def _require_file(address: str, answer: Any, size: int | None) -> None:
    """Refuse the page of a login where nothing else would show it."""
    kind = answer.headers.get_content_type()
    if size is None and kind in ("text/html", "application/xhtml+xml"):
        raise InputError(
            f"{address}: expected a file, found a page ({kind}), as of a login; download it in a "
            "browser and give its folder with --mirror"
        )


def size_of(path: Path) -> int:
    """Bytes of a file, 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _copy(source: Path, partial: Path, size: int | None, advance: Advance) -> None:
    with _refusals_named(source):
        found = source.stat().st_size
    if size is not None and found != size:
        raise InputError(
            f"{source}: expected {size:,} bytes as the catalogue states, found {found:,}; copy it "
            "again"
        )
    _require_room(partial, found - size_of(partial))
    advance(-size_of(partial))
    with _refusals_named(partial), source.open("rb") as old, partial.open("wb") as new:
        while chunk := old.read(CHUNK):
            new.write(chunk)
            advance(len(chunk))
        os.fsync(new.fileno())


@contextmanager
def _alone(partial: Path) -> Iterator[None]:
    """Make the file, and refuse another process that has it open for the same."""
    with _refusals_named(partial), partial.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{partial}: expected to be alone, found another process that fetches the same "
                "file; wait for it"
            ) from None
        except OSError:
            pass  # a file system without locks
        yield


def _require_room(partial: Path, needed: int) -> None:
    free = shutil.disk_usage(partial.parent).free
    if needed > free:
        raise InputError(
            f"{partial.parent}: expected {needed / 1e9:.1f} GB of free disk, found {free / 1e9:.1f}"
        )


@contextmanager
def _refusals_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        named = error.filename or path
        raise InputError(
            f"{named}: expected a file that can be read and written, found: {_said(error)}; "
            f"{RESUMES}"
        ) from None


def _note(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _version(partial: Path, address: str) -> str:
    """What the server called the version of which the beginning is there."""
    try:
        noted = json.loads(_note(partial).read_text())
        return str(noted["version"]) if noted["address"] == address else ""
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _keep_version(partial: Path, address: str, answer: Any) -> None:
    version = answer.headers.get("ETag", "")
    if not version or version.startswith("W/"):  # weak: other bytes of the same meaning
        version = answer.headers.get("Last-Modified", "")
    with suppress(OSError):  # without it the next attempt begins again
        _note(partial).write_text(json.dumps({"address": address, "version": version}))


def _said(error: Any) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
