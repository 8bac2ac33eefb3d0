"""Hundreds of plots behind one index: drawn by several processes, found by search and by score.

``plots.html`` lists them with thumbnails, worst first; the plots are ``figures/all/*.png``. Its
script is in the page; nothing comes from elsewhere.
"""

import base64
import io
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path

from hepjax.formats.packed.parallel import in_processes
from hepjax.report import layout, page

FOLDER = Path("figures") / "all"
INDEX = "plots.html"
BATCH = 12
"""Plots that a process draws at a time."""
THUMBNAIL = 260
"""Pixels; width of the small pictures."""
DPI = 100


@dataclass(frozen=True)
class Plot:
    """A plot, what it is of, and how far its two samples are apart."""

    name: str
    """Of its file."""
    title: str
    family: str
    """What the plots are grouped by."""
    where: str
    """The bins that it shows."""
    draw: Callable[[], layout.Figure]
    """Has to pickle."""
    score: float = math.nan
    error: float = math.nan
    floor: float = math.nan
    """The score between two halves of the reference."""
    p_values: tuple[tuple[str, float], ...] = ()
    adjusted: float = math.nan
    """Smallest of the p-values, adjusted for the number of tests in the gallery."""

    @property
    def excess(self) -> float:
        """The score above its floor in units of the noise of both; what the index is sorted by."""
        noise = math.hypot(
            self.error if math.isfinite(self.error) else 0.0,
            self.floor if math.isfinite(self.floor) else 0.0,
        )
        if not math.isfinite(self.score):
            return -math.inf
        floor = self.floor if math.isfinite(self.floor) else 0.0
        return (self.score - floor) / noise if noise > 0 else 0.0


def write(
    plots: Sequence[Plot], folder: Path, title: str, subtitle: str, workers: int,
    advance: Callable[[int], object] = lambda n: None,
) -> None:  # fmt: skip
    """Draw the plots and write the index into ``folder``.

    Args:
      workers: processes that draw; 1 draws in this one.
      advance: is told of plots that are drawn.
    """
    (folder / FOLDER).mkdir(parents=True)
    batches = [plots[i : i + BATCH] for i in range(0, len(plots), BATCH)]
    draw = partial(_draw, folder / FOLDER)
    if min(workers, len(batches)) > 1:
        drawn = in_processes(draw, batches, min(workers, len(batches)), advance, "plots")
    else:
        drawn = [draw(batch, advance) for batch in batches]
    thumbnails = [thumbnail for batch in drawn for thumbnail in batch]
    order = sorted(range(len(plots)), key=lambda i: -plots[i].excess)
    cards = "".join(_card(plots[i], thumbnails[i], rank) for rank, i in enumerate(order))
    (folder / INDEX).write_text(_page(plots, cards, title, subtitle), encoding="utf-8")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _draw(folder: Path, plots: Sequence[Plot], advance: Callable[[int], object]) -> list[bytes]:
    """Write the plots; return their thumbnails."""
    thumbnails = []
    with layout.style():
        for plot in plots:
            picture = layout.png(plot.draw(), dpi=DPI)
            (folder / f"{plot.name}.png").write_bytes(picture)
            thumbnails.append(_small(picture))
            advance(1)
    return thumbnails


def _small(picture: bytes) -> bytes:
    image = layout.Image.open(io.BytesIO(picture)).convert("RGB")
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.quantize(48, dither=layout.Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _card(plot: Plot, thumbnail: bytes, rank: int) -> str:
    data = base64.b64encode(thumbnail).decode()
    words = escape(f"{plot.title} {plot.family} {plot.where} {plot.name}".lower(), quote=True)
    adjusted = plot.adjusted if math.isfinite(plot.adjusted) else 2.0
    numbers = ""
    if math.isfinite(plot.score):
        error = f" ± {plot.error:.1g}" if math.isfinite(plot.error) else ""
        numbers = f"score {plot.score:.3g}{error}, halves {plot.floor:.2g}"
    tests = ", ".join(f"p({name}) {p_value(p)}" for name, p in plot.p_values)
    return (
        f'<a class="plot" href="{FOLDER.as_posix()}/{escape(plot.name)}.png" target="_blank" '
        f'data-words="{words}" data-family="{escape(plot.family, quote=True)}" '
        f'data-rank="{rank}" data-p="{adjusted:.3g}" '
        f'data-score="{plot.score if math.isfinite(plot.score) else -1:.4g}">'
        f'<img loading="lazy" alt="{escape(plot.title, quote=True)}" width="{THUMBNAIL}" '
        f'src="data:image/png;base64,{data}">'
        f"<b>{escape(plot.title)}</b><span>{escape(plot.where)}</span>"
        f"<span>{escape(numbers)}</span><span>{escape(tests)}</span></a>"
    )


def p_value(p: float) -> str:
    """A probability as text."""
    return f"{p:.2f}" if p >= 0.01 else f"{p:.0e}"


STYLE = """
.tools { display: flex; flex-wrap: wrap; gap: .8rem; align-items: center; position: sticky; top: 0;
  background: var(--paper); padding: .8rem 0; z-index: 1; }
.tools input, .tools select { font: inherit; padding: .35rem .6rem; border: 1px solid var(--line);
  border-radius: 6px; background: #fff; color: var(--ink); }
.tools input { width: 22rem; max-width: 100%; }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); }
.plot { background: #fff; border: 1px solid var(--line); border-radius: 8px; padding: .6rem;
  color: var(--ink); text-decoration: none; font-size: .86rem; display: flex; gap: .1rem;
  flex-direction: column; }
.plot:hover { border-color: var(--blue); }
.plot img { width: 100%; height: auto; margin-bottom: .3rem; }
.plot span { color: var(--soft); }
.all { max-width: 1800px; margin: 0 auto; padding: 0 2rem 4rem; }
@media (max-width: 1000px) { .all { padding: 0 1rem 3rem; } .tools { position: static; } }
"""
SCRIPT = """
const box = document.getElementById('plots'), all = [...box.children];
const search = document.getElementById('search'), family = document.getElementById('family');
const order = document.getElementById('order'), count = document.getElementById('count');
const number = (card, key) => parseFloat(card.dataset[key]);
const orders = {
  worst: (a, b) => number(a, 'rank') - number(b, 'rank'),
  p: (a, b) => number(a, 'p') - number(b, 'p') || number(a, 'rank') - number(b, 'rank'),
  score: (a, b) => number(b, 'score') - number(a, 'score'),
  name: (a, b) => a.dataset.words < b.dataset.words ? -1 : 1,
};
function show() {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  for (const card of all) {
    const fits = words.every(w => card.dataset.words.includes(w))
      && (!family.value || card.dataset.family === family.value);
    card.style.display = fits ? '' : 'none';
    shown += fits;
  }
  count.textContent = shown + ' of ' + all.length + ' plots';
}
function sort() { all.sort(orders[order.value]); box.append(...all); }
search.addEventListener('input', show);
family.addEventListener('change', show);
order.addEventListener('change', sort);
show();
"""


def _page(plots: Sequence[Plot], cards: str, title: str, subtitle: str) -> str:
    families = "".join(
        f'<option value="{escape(name, quote=True)}">{escape(name)}</option>'
        for name in dict.fromkeys(plot.family for plot in plots)
    )
    tools = (
        '<div class="tools"><input id="search" type="search" '
        'placeholder="search: words such as profile 100 GeV" aria-label="search">'
        f'<select id="family" aria-label="family"><option value="">all families</option>'
        f"{families}</select>"
        '<select id="order" aria-label="order"><option value="worst">worst first</option>'
        '<option value="p">smallest p-value first</option>'
        '<option value="score">largest score first</option>'
        '<option value="name">by name</option></select>'
        f'<span id="count">{len(plots)} plots</span><a href="index.html">to the report</a></div>'
    )
    words = page.paragraph(
        "A score is the separation power of the two curves, 0 to 1; “halves” is the same between "
        "two halves of the reference. The worst plots have the largest difference of these over "
        "their noise. Click on a plot for its full size."
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{page.STYLE}{STYLE}</style></head><body>"
        f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>"
        f'<div class="all">{tools}{words}<div class="plots" id="plots">{cards}</div></div>'
        f"<script>{SCRIPT}</script></body></html>\n"
    )
