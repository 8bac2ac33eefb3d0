"""A report is there whole or not at all, with the training curve of the records it is given."""

import json
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("mplhep")

from hepjax import InputError
from hepjax.report import page
from hepjax.report.curves import LOSS, training_curve, validation
from hepjax.report.document import Report, write_report

HISTORY = [{"event": "train", "epoch": k / 10, "loss": float(k)} for k in range(1, 21)] + [
    {"event": "validation", "epoch": 1.0, "loss": 8.0, "auc": 0.8},
    {"event": "validation", "epoch": 2.0, "loss": 9.0, "auc": None},
]


def report(**changes) -> Report:
    parts = [("Summary", [page.verdict("It agrees.")])]
    return Report(**{"title": "T", "subtitle": "s", "verdict": "It agrees.",
                     "scores": {"auc": np.float32(0.5)}, "sections": parts} | changes)  # fmt: skip


def test_the_scores_get_verdict_and_provenance_and_the_page_the_configuration(tmp_path):
    scores = write_report(report(), tmp_path / "out", run_config="a: <b>", provenance={"seed": 7})
    assert scores == {"auc": 0.5, "verdict": "It agrees.", "provenance": {"seed": 7}}
    assert json.loads((tmp_path / "out" / "scores.json").read_text()) == scores
    html = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "a: &lt;b&gt;" in html
    assert ">Training<" not in html


def test_sections_are_counted_and_then_drawn_one_by_one(tmp_path):
    told = []

    @contextmanager
    def progress(*what):
        told.append(what)
        yield told.append

    def drawn():
        told.append("drawn")
        return ["<p>one", "<p>two"]

    write_report(report(sections=[("A", drawn), ("B", iter(["<p>"]))]), tmp_path, progress=progress)
    assert told == [("draw", 3, "sections"), "drawn", 0, 0, 1, 0, 1, 0, 1]
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert html.index("<p>one") < html.index("<p>two") < html.index("<h2>B")


def test_a_failure_while_drawing_leaves_nothing_behind(tmp_path):
    def sections():
        yield "Summary", ["<p>"]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_report(report(sections=sections()), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="expected a folder for the report"):
        write_report(report(), tmp_path / "out")


def test_the_training_curve_averages_over_epochs_and_leaves_out_what_is_missing():
    panels = (LOSS, validation("scores", ("auc", "accuracy")), validation("none", ("r",)))
    figure = training_curve(panels, HISTORY, best=lambda records: len(records) - 1)
    loss, scores = figure.axes
    train, judged, marked = loss.lines
    np.testing.assert_allclose(train.get_xydata(), [[1, 5.5], [2, 15.5]])
    np.testing.assert_allclose(judged.get_xydata(), [[1, 8], [2, 9]])
    assert marked.get_xdata()[0] == 2
    assert [line.get_label() for line in scores.lines[:-1]] == ["auc"]
    assert figure.texts[-1].get_text() == "2 epochs, best 2"
    assert training_curve(panels, []) is None
