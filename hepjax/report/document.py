"""A report on disk: ``index.html`` with its figures inside, ``figures/*.png`` and ``scores.json``.

Reports with hundreds of plots also have ``plots.html``, their index, and ``figures/all/*.png``.
A workload builds a ``Report``; this module adds what all reports have and writes it. Everything is
written beside the folder first, so a report is there whole or not at all.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepjax import InputError
from hepjax.formats.atomic import plain, scratch, write_json
from hepjax.report import gallery, layout, page
from hepjax.report.curves import Curves, Record, training_curve
from hepjax.report.gallery import Plot
from hepjax.report.inspection import Progress, no_progress


@dataclass(frozen=True)
class Drawing:
    """A figure, its file name, and the words under it."""

    name: str
    title: str
    how_to_read: str
    figure: layout.Figure


Parts = Iterable[Drawing | str] | Callable[[], Iterable[Drawing | str]]
"""What a section is made of: figures, and pieces of HTML (``page.py``). A function or a generator
makes its figures when they are drawn, so that there is one at a time, in the style of the page."""


@dataclass(frozen=True)
class Report:
    """What a report says. The training curve and the configuration are added on writing."""

    title: str
    subtitle: str
    verdict: str
    """What the scores say, in a few sentences."""
    scores: dict[str, Any]
    sections: Iterable[tuple[str, Parts]]
    """Title and parts of each section."""
    curves: tuple[Curves, ...] = ()
    """Panels of the training curve."""
    best: Callable[[list[Record]], int] | None = None
    """Index of the validation record that a dashed line marks."""
    training: str = ""
    """What else to say under the training curve."""
    gallery: Sequence[Plot] = ()
    """Plots that are too many for the page; they get an index of their own (gallery.py)."""
    workers: int = 1
    """Processes that draw them."""


def check_folder(out: Path) -> None:
    """Check that a report can go into ``out``, before the work begins.

    Raises:
      InputError: it is a file.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: expected a folder for the report, found a file; choose another")


def write_report(
    report: Report, out: Path, *, run_config: str | None = None,
    provenance: dict[str, Any] | None = None, history: list[Record] | None = None,
    figures: bool = True, progress: Progress = no_progress,
) -> dict[str, Any]:  # fmt: skip
    """Write ``index.html``, ``scores.json`` and ``figures/*.png``; return the scores.

    Other files in ``out`` stay.

    Args:
      run_config: configuration of the run as text, shown on the page.
      provenance: what made the scores, shown and kept with them.
      history: records of the run, for the training curve.
      progress: shows how many sections are drawn, and plots of the gallery.
      figures: false: return the scores, and draw and write nothing.
    Raises:
      InputError: ``out`` is a file.
    """
    check_folder(out)
    scores = report.scores | {"verdict": report.verdict, "provenance": provenance or {}}
    if not figures:
        return plain(scores)
    with scratch(out.absolute()) as building:
        (building / "figures").mkdir()
        with layout.style():
            todo = list(_all_sections(report, run_config, provenance, history))
            with progress("draw", len(todo), "sections") as advance:
                finished = [
                    page.Section(name, _drawn(parts, building / "figures", advance))
                    for name, parts in todo
                ]
        html = page.page(report.title, report.subtitle, finished)
        (building / "index.html").write_text(html, encoding="utf-8")
        write_json(building / "scores.json", scores)
        if report.gallery:
            with progress("draw", len(report.gallery), "plots") as advance:
                gallery.write(
                    report.gallery, building, report.title, report.subtitle, report.workers,
                    advance,
                )  # fmt: skip
        for path in sorted(building.rglob("*.*"), reverse=True):
            place = out / path.relative_to(building)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)
    return plain(scores)


def _all_sections(
    report: Report, run_config: str | None, provenance: dict[str, Any] | None,
    history: list[Record] | None,
) -> Iterator[tuple[str, Parts]]:  # fmt: skip
    yield from report.sections
    figure = training_curve(report.curves, history or [], report.best)
    if figure is not None:
        how_to_read = f"Means over each epoch, against the end of the epoch. {report.training}"
        yield "Training", [Drawing("training", "The course of training", how_to_read, figure)]
    yield "Configuration", [_configuration(run_config, provenance)]


def _configuration(run_config: str | None, provenance: dict[str, Any] | None) -> str:
    """The last section: what made the report, and where its numbers are."""
    rows = [(key, str(value)) for key, value in (provenance or {}).items()]
    body = page.table(("provenance", ""), rows) if rows else ""
    if run_config:
        body += page.paragraph("Configuration of the run:") + page.code(run_config)
    return body + page.paragraph("The scores as numbers: scores.json; the figures: figures/*.png.")


def _drawn(parts: Parts, folder: Path, advance: Callable[[int], object]) -> str:
    html = ""
    for part in parts() if callable(parts) else parts:
        html += _html(part, folder)
        advance(0)
    advance(1)
    return html


def _html(part: Drawing | str, folder: Path) -> str:
    if isinstance(part, str):
        return part
    picture = layout.png(part.figure)
    (folder / f"{part.name}.png").write_bytes(picture)
    return page.figure(picture, part.title, part.how_to_read.strip())
