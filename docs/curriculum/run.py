"""Run pages of the curriculum as programs, each in a process of its own, and collect their results.

    python -m docs.curriculum.run [PAGE ...] [--out build/curriculum.json]

A page is a notebook in Markdown. Its program is its code cells one after another, solutions
included. The last cell checks its numbers and leaves them in ``results``.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CELL = re.compile(r"^```\{code-cell\} python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def pages() -> list[str]:
    """Names of the pages that run, in their order in the list of the curriculum."""
    listed = re.findall(r"\]\(([\w-]+)\.md\)", (HERE / "README.md").read_text())
    return [name for name in listed if CELL.search((HERE / f"{name}.md").read_text())]


def program(name: str) -> str:
    """The code of a page; each cell stands on the line that it has there."""
    text = (HERE / f"{name}.md").read_text()
    lines = [""] * text.count("\n")
    for cell in CELL.finditer(text):
        first = text.count("\n", 0, cell.start(1))
        for at, line in enumerate(cell[1].splitlines()):
            lines[first + at] = line
    return "\n".join(lines) + "\n"


def run(name: str) -> tuple[dict[str, Any], float]:
    """The results of a page and the seconds that it took.

    Raises:
      RuntimeError: the page ends with an error, which is in the text.
    """
    with tempfile.TemporaryDirectory() as folder:
        script, results = Path(folder) / f"{name}.py", Path(folder) / "results.json"
        write = f"pathlib.Path({str(results)!r}).write_text(json.dumps(results))\n"
        script.write_text(program(name) + "import json, pathlib\n" + write)
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return json.loads(results.read_text()), time.monotonic() - start


def main() -> int:
    """Run the pages of the command line; 1 if one of them fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pages", nargs="*", choices=[[], *pages()], metavar="PAGE")
    parser.add_argument("--out", type=Path, default=Path("build/curriculum.json"))
    args = parser.parse_args()
    found: dict[str, Any] = {}
    failed = 0
    for name in args.pages or pages():
        try:
            results, seconds = run(name)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            failed = 1
            continue
        found[name] = {"seconds": round(seconds, 1), "results": results}
        print(f"{name}: {seconds:.0f} s, {results}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1))
    return failed


if __name__ == "__main__":
    sys.exit(main())
