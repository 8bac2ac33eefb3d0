"""What the inspectors of all kinds of events share: progress, ranges, lines of text, the picture.

Draws nothing itself, so it needs no extra.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepjax.formats.atomic import write_bytes

if TYPE_CHECKING:
    from hepjax.report.layout import Figure

Progress = Callable[[str, int, str], AbstractContextManager[Callable[[int], object]]]
"""Called with a label, a total and a unit; its context yields ``advance(n)``."""
COLUMNS = ("min", "mean", "max")


@contextmanager
def no_progress(label: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
    """The ``Progress`` that shows nothing."""
    yield lambda n: None


def value_range(values: np.ndarray | None) -> dict[str, float] | None:
    """Minimum, mean and maximum; None without values."""
    if values is None or len(values) == 0:
        return None
    values = values.astype(np.float64)
    return {"min": float(values.min()), "mean": float(values.mean()), "max": float(values.max())}


def line(label: str, value: str) -> str:
    """A label and its value."""
    return f"{label:22}{value}"


def number(value: float | None) -> str:
    """A number with five digits, or a dash."""
    return "-" if value is None else f"{value:.5g}"


def range_header(label: str = "", width: int = 22) -> str:
    """The head of a table of ranges."""
    return f"{label:{width}}" + "".join(f"{name:>12}" for name in COLUMNS)


def range_line(
    label: str, values: dict[str, float] | None, width: int = 22,
    formats: Sequence[str] = (".5g", ".5g", ".5g"),
) -> str:  # fmt: skip
    """A row of a table of ranges; dashes where there are no values."""
    cells = ["-"] * 3 if values is None else [
        f"{values[name]:{form}}" for name, form in zip(COLUMNS, formats, strict=True)
    ]  # fmt: skip
    return f"{label:{width}}" + "".join(f"{cell:>12}" for cell in cells)


def head_lines(report: dict[str, Any], unit: str) -> Iterator[str]:
    """Layout, files and number of events (called ``unit``) of a report."""
    first, count = report["files"][0], len(report["files"])
    yield line("layout", report["layout"])
    yield line("files", first["path"] + (f" and {count - 1} more" if count > 1 else ""))
    yield line(unit, f"{report['events']:,}")


def problem_lines(report: dict[str, Any], sound: str) -> Iterator[str]:
    """The problems of a report, or ``sound`` where it has none."""
    yield from (line("note", problem) for problem in report["problems"])
    if not report["problems"]:
        yield line("checks", sound)


def passed(checks: Mapping[str, Any], sound: Mapping[str, str]) -> str:
    """What may be said of the checks of a report: only of those that found nothing.

    Args:
      checks: what each found, as the report has them.
      sound: what is said of each if that is nothing.
    """
    return ", ".join(said for key, said in sound.items() if not checks.get(key, True))


def caption(report: dict[str, Any], text: str) -> str:
    """Names of the files, and what the picture shows of them."""
    names = [Path(file["path"]).name for file in report["files"]]
    sample = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    return f"{sample}: {text}"


def save_picture(draw: Callable[[], "Figure"], path: Path) -> None:
    """Draw the figure in the style of all figures and write it as PNG.

    Raises:
      InputError: the file cannot be written.
      MissingExtraError: matplotlib is not installed.
    """
    from hepjax.report import layout

    with layout.style():
        picture = layout.png(draw())
    write_bytes(path, picture)
