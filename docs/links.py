"""Ask every outside address that pages, docstrings and the catalogue name whether it is there.

    python -m docs.links            or: make links

Needs a network, so no test and no continuous integration runs it. A server that refuses programs
(401, 403, 429) is told and passes.
"""

import http.client
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = ("*.md", "docs/**/*.md", "launch/**/*", "benchmarks/*.md", "hepjax/**/*.py",
         "hepjax/**/*.yaml", "pyproject.toml", "CITATION.cff")  # fmt: skip
ADDRESS = re.compile(r"https?://[\w.-]+\.[a-z]{2,}(?::\d+)?[^\s\"'<>`)\]|\\]*")
OWN = re.compile(r"https?://(localhost|[\w.-]*\bexample\b)")
"""Of examples, which lead nowhere."""
REFUSALS = (401, 403, 405, 429)
SECONDS = 20.0


def addresses(root: Path) -> dict[str, str]:
    """Each outside address, and a file that names it; templates with braces are left out."""
    found: dict[str, str] = {}
    for pattern in FILES:
        for path in sorted(root.glob(pattern)):
            if not path.is_file():
                continue
            for text in ADDRESS.findall(path.read_text(errors="ignore")):
                address = text.rstrip(".,;:*")
                if not (OWN.match(address) or "{" in address or "..." in address):
                    found.setdefault(address, str(path.relative_to(root)))
    return found


def asked(address: str) -> str:
    """Empty if it is there, else what the server or the network says."""
    request = urllib.request.Request(address, headers={"User-Agent": "hepjax-links"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"{error.code} {error.reason}"
    except (OSError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__


def told(found: dict[str, str], answers: Iterable[str]) -> tuple[list[str], int]:
    """A line for each address that did not answer, and how many of them are not there."""
    lines, lost = [], 0
    for (address, file), answer in zip(found.items(), answers, strict=True):
        if not answer:
            continue
        refused = answer.split()[0] in map(str, REFUSALS)
        lost += not refused
        lines.append(f"{'refused' if refused else 'lost'}: {file}: {address}: {answer}")
    return lines, lost


def main() -> int:
    """Ask all; 1 if one is not there."""
    found = addresses(ROOT)
    with ThreadPoolExecutor(8) as pool:
        lines, lost = told(found, pool.map(asked, found))
    print("\n".join([*lines, f"{len(found)} addresses, {lost} lost"]))
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
