"""A report on disk: ``index.html`` with its figures inside, ``figures/*.png`` and ``scores.json``.

Everything is written beside the folder first, so a report is there whole or not at all.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepjax import InputError
from hepjax.formats.atomic import scratch
from hepjax.report import layout, page
from hepjax.report.scores import write_scores


@dataclass(frozen=True)
class Drawing:
    """A figure, its file name, and the words under it."""

    name: str
    title: str
    how_to_read: str
    figure: layout.Figure


Parts = Iterable[Drawing | str]
"""What a section is made of: figures, and pieces of HTML (``page.py``)."""


def check_folder(out: Path) -> None:
    """Before the work begins: that a report can go into ``out``.

    Raises:
      InputError: it is a file.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: expected a folder for the report, found a file; choose another")


def write_document(
    out: Path, title: str, subtitle: str, sections: Iterable[tuple[str, Parts]],
    scores: dict[str, Any],
) -> None:  # fmt: skip
    """Write the report into ``out``; whatever else is in there stays.

    Figures are drawn one by one if the parts come from generators, and then not kept.
    """
    check_folder(out)
    with scratch(out.absolute()) as building:
        (building / "figures").mkdir()
        with layout.style():
            finished = [
                page.Section(name, "".join(_html(part, building / "figures") for part in parts))
                for name, parts in sections
            ]
        html = page.page(title, subtitle, finished)
        (building / "index.html").write_text(html, encoding="utf-8")
        write_scores(building / "scores.json", scores)
        (out / "figures").mkdir(parents=True, exist_ok=True)
        for path in sorted(building.rglob("*.*"), reverse=True):
            os.replace(path, out / path.relative_to(building))


def provenance(run_config: str | None, facts: dict[str, Any]) -> str:
    """The last section of a report: what made it, and where its numbers are, as HTML."""
    rows = [(key, str(value)) for key, value in facts.items()]
    body = page.table(("provenance", ""), rows) if rows else ""
    if run_config:
        body += page.paragraph("Configuration of the run:") + page.code(run_config)
    return body + page.paragraph("The scores as numbers: scores.json; the figures: figures/*.png.")


def _html(part: Drawing | str, folder: Path) -> str:
    if isinstance(part, str):
        return part
    picture = layout.png(part.figure)
    (folder / f"{part.name}.png").write_bytes(picture)
    return page.figure(picture, part.title, part.how_to_read)
