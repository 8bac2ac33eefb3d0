"""The page is self-contained and safe with any text."""

import re

from hepjax.report import page


def test_page_needs_nothing_from_outside():
    body = page.figure(b"\x89PNG", "A figure", "How to read it.")
    html = page.page("Title", "subtitle", [page.Section("First", body), page.Section("Second", "")])
    assert "<script" not in html
    sources = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert sources == ["#s0", "#s1", "data:image/png;base64,iVBORw=="]
    assert "url(" not in html
    assert "@import" not in html


def test_text_is_escaped():
    pieces = [
        page.paragraph("<b>"), page.verdict("<b>"), page.code("<b>"),
        page.figure(b"", "<b>", "<b>"),
        page.cards([("<b>", "<b>", "<b>")]), page.table(["<b>"], [["<b>"]]),
        page.page("<b>", "<b>", [page.Section("<b>", "")]),
    ]  # fmt: skip
    own = "<figcaption><b>&lt;b&gt;.</b>"
    assert all("<b>" not in piece.replace(own, "") for piece in pieces)


def test_every_section_is_in_the_contents():
    sections = [page.Section(f"Part {i}", "") for i in range(3)]
    html = page.page("Title", "", sections)
    for i in range(3):
        assert f'<a href="#s{i}">Part {i}</a>' in html
        assert f'<section id="s{i}"><h2>Part {i}</h2>' in html


def test_scores_with_their_errors():
    scores = {"auc": 0.91234, "auc_error": 0.01, "iqr": float("nan"), "iqr_error": float("nan")}
    assert page.pair(scores, "auc", 2) == "0.91 ± 0.01"
    assert page.pair(scores, "auc", sign="+") == "+0.912 ± 0.010"
    assert page.pair(scores, "iqr") == page.number(scores["iqr"]) == "-"
