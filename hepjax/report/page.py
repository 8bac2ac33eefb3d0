"""One self-contained HTML page: text, tables and embedded figures; no scripts, nothing external.

Each helper returns a piece of HTML; the text that it is given is escaped.
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

STYLE = """
:root { --ink: #1c2733; --soft: #5a6877; --line: #dde3ea; --blue: #0072b2; --paper: #f5f7fa; }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
body { margin: 0; color: var(--ink); background: var(--paper);
  font: 17px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header { background: #16324a; color: #fff; padding: 1.5rem 2rem; }
header h1 { margin: 0; font-size: 1.9rem; font-weight: 650; }
header p { margin: .3rem 0 0; color: #c9d8e6; }
.layout { display: grid; grid-template-columns: 15rem minmax(0, 1fr); max-width: 1640px;
  margin: 0 auto; }
nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow-y: auto;
  padding: 1.6rem 1rem 1rem 1.6rem; font-size: .95rem; }
nav a { display: block; padding: .28rem .6rem; color: var(--soft); text-decoration: none;
  border-left: 3px solid var(--line); }
nav a:hover { color: var(--blue); border-color: var(--blue); }
main { padding: 1.6rem 2rem 4rem 1rem; min-width: 0; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px;
  padding: 1.2rem 1.6rem 1.4rem; margin-bottom: 1.4rem; }
h2 { margin: 0 0 .6rem; font-size: 1.4rem; }
p { max-width: 62rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 1rem; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; }
.card .value { font-size: 1.9rem; font-weight: 650; color: var(--blue); line-height: 1.25;
  white-space: nowrap; }
.card .name { font-weight: 600; }
.card .note { color: var(--soft); font-size: .9rem; line-height: 1.35; }
.verdict { border-left: 5px solid var(--blue); background: #eef5fa; padding: .7rem 1.1rem;
  margin: 1rem 0 0; max-width: none; }
figure { margin: 1rem 0 0; }
figure + figure { margin-top: 2rem; }
figure img { display: block; width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: .95rem; margin-top: .35rem; max-width: 62rem; }
figcaption b { color: var(--ink); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .95rem; margin: .4rem 0; }
th, td { padding: .34rem .8rem; text-align: right; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal;
  min-width: 9rem; }
pre { background: var(--paper); padding: .9rem 1.1rem; border-radius: 8px; overflow-x: auto;
  font-size: .88rem; line-height: 1.45; }
@media (max-width: 1000px) { .layout { display: block; } main { padding: 0 1rem 3rem; }
  nav { position: static; } nav a { display: inline-block; }
  section { padding: 1rem 1rem 1.2rem; } }
@media print { nav { display: none; } .layout { display: block; } section { border: 0; } }
"""


@dataclass(frozen=True)
class Section:
    """One entry of the table of contents: a title and its HTML."""

    title: str
    body: str


def number(value: float, digits: int = 3) -> str:
    """A number, or a dash where it is not finite."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def pair(scores: dict[str, Any], name: str, digits: int = 3, sign: str = "") -> str:
    """The score ``name`` with its error ``name_error``, or a dash where it is not finite."""
    value, error = scores[name], scores[f"{name}_error"]
    return f"{value:{sign}.{digits}f} ± {error:.{digits}f}" if math.isfinite(value) else "-"


def paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>"


def link(address: str, text: str) -> str:
    """A paragraph that is a link to a file beside the page."""
    return f'<p><a href="{escape(address)}">{escape(text)}</a></p>'


def verdict(text: str) -> str:
    """A highlighted conclusion."""
    return f'<p class="verdict">{escape(text)}</p>'


def code(text: str) -> str:
    """Text as it is, in a box, for example a configuration."""
    return f"<pre>{escape(text)}</pre>"


def cards(items: Sequence[tuple[str, str, str]]) -> str:
    """Headline numbers: (name, value, note) each."""
    boxes = "".join(
        f'<div class="card"><div class="name">{escape(name)}</div>'
        f'<div class="value">{escape(value)}</div><div class="note">{escape(note)}</div></div>'
        for name, value, note in items
    )
    return f'<div class="cards">{boxes}</div>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text, the others are numbers."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def figure(png: bytes, title: str, how_to_read: str) -> str:
    """An embedded picture with its title and a sentence on how to read it."""
    data = base64.b64encode(png).decode()
    return (
        f'<figure><img alt="{escape(title)}" src="data:image/png;base64,{data}">'
        f"<figcaption><b>{escape(title)}.</b> {escape(how_to_read)}</figcaption></figure>"
    )


def page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The whole page: header, table of contents that stays in view, sections."""
    links = "".join(f'<a href="#s{i}">{escape(s.title)}</a>' for i, s in enumerate(sections))
    bodies = "".join(
        f'<section id="s{i}"><h2>{escape(s.title)}</h2>{s.body}</section>'
        for i, s in enumerate(sections)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>"
        f'<div class="layout"><nav>{links}</nav><main>{bodies}</main></div></body></html>\n'
    )
