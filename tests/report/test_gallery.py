"""The index of many plots: thumbnails worst first, numbers, a script of its own and no network."""

import re
from functools import partial

import numpy as np
import pytest

pytest.importorskip("mplhep")

from PIL import Image

from hepjax.report import gallery, plots, single
from hepjax.report.document import Report, write_report
from hepjax.report.gallery import Plot

EDGES = np.linspace(0, 1, 5)


def panel(shift=0.0):
    drawn = [plots.distribution(np.linspace(0, 1, 40) ** p, EDGES) for p in (1, 1 + shift)]
    return plots.Panel("", "x", drawn[0], drawn[1], "p = 0.5")


def made(name, score, **changes):
    draw = partial(single.histograms, panel(score), ("A", "B"), "share", name, "linear")
    return Plot(name, f"{name} <x>", "first", "100 GeV", draw, score, 0.01, 0.02, **changes)


PLOTS = [
    made("good", 0.02, p_values=(("KS", 0.5),), adjusted=1.0),
    made("bad", 0.5, p_values=(("KS", 1e-9),), adjusted=2e-9),
    Plot("picture", "mean shower", "second", "all energies", partial(
        single.pictures, np.eye(3), np.eye(3), ("A", "B"), ("x", "y"), "GeV", "mean shower")),
    Plot("matrix", "difference", "second", "all energies", partial(
        single.matrix, np.eye(2), ["a", "b"], "B - A", "difference"), 0.1, np.nan, 0.05),
]  # fmt: skip


def test_an_index_with_thumbnails_worst_first(tmp_path):
    told = []
    gallery.write(PLOTS, tmp_path, "T", "s", 1, told.append)
    assert sum(told) == 4
    html = (tmp_path / "plots.html").read_text(encoding="utf-8")
    order = re.findall(r'href="figures/all/(\w+)\.png"', html)
    assert order == ["bad", "matrix", "good", "picture"]
    assert html.count("data:image/png;base64,") == 4
    assert "score 0.5 ± 0.01, halves 0.02" in html
    assert "p(KS) 1e-09" in html
    assert "bad &lt;x&gt;" in html
    assert re.findall(r'<option value="(\w+)">', html)[:2] == ["first", "second"]
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)
    for name in order:
        with Image.open(tmp_path / "figures" / "all" / f"{name}.png") as picture:
            assert picture.size == (700, 520)


def test_processes_draw_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "BATCH", 2)
    for workers in (1, 2):
        (tmp_path / str(workers)).mkdir()
        gallery.write(PLOTS, tmp_path / str(workers), "T", "s", workers)
    pages = [(tmp_path / w / "plots.html").read_bytes() for w in "12"]
    assert pages[0] == pages[1]


def test_a_report_holds_its_gallery(tmp_path):
    report = Report("T", "s", "It agrees.", {}, [("Summary", ["<p>"])], gallery=PLOTS[:2])
    write_report(report, tmp_path / "out")
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*"))
    assert found == [
        "figures/all/bad.png", "figures/all/good.png", "index.html", "plots.html", "scores.json",
    ]  # fmt: skip
