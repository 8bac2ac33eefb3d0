"""The tagger report end to end on toy scores: files, numbers, words, and bad input."""

import json
import re

import numpy as np
import pytest

pytest.importorskip("mplhep")
pytest.importorskip("sklearn")

from helpers.samples import tagged

from hepjax import InputError
from hepjax.physics.jets.report import report as build
from hepjax.report.document import write_report


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "report"
    history = [{"event": "train", "epoch": k / 10, "loss": 1 / k} for k in range(1, 31)] + [
        {"event": "validation", "epoch": float(k), "loss": 1 / k, "auc": 0.9} for k in (1, 2, 3)
    ]
    scores = write_report(
        build(tagged()), out, run_config="workload: tagger <small>", provenance={"seed": 7},
        history=history,
    )  # fmt: skip
    return out, scores


def test_files_of_a_report(report):
    out, scores = report
    assert sorted(path.name for path in out.iterdir()) == ["figures", "index.html", "scores.json"]
    assert [path.name for path in out.parent.iterdir()] == ["report"]
    assert json.loads((out / "scores.json").read_text()) == scores
    figures = {path.stem for path in (out / "figures").iterdir()}
    assert figures == {"roc", "scores", "pt", "images", "saliency", "training"}


def test_page_embeds_every_figure_and_nothing_else(report):
    out, _ = report
    html = (out / "index.html").read_text(encoding="utf-8")
    assert html.count("<figure>") == 6
    assert set(re.findall(r'src="([^,"]+),', html)) == {"data:image/png;base64"}
    assert "workload: tagger &lt;small&gt;" in html
    assert "3 values not finite" in html


def test_the_scores_rank_the_baselines_and_say_what_the_network_gains(report):
    _, scores = report
    assert scores["auc"] == pytest.approx(0.92, abs=0.03)
    assert list(scores["baselines"]) == ["jet mass", "tau3 / tau2", "broken"]
    assert [scores["baselines"][name].get("sign") for name in scores["baselines"]] == [1, -1, None]
    mass = scores["baselines"]["jet mass"]
    assert mass["gain"] == pytest.approx(scores["auc"] - mass["auc"])
    assert "above the best baseline (jet mass" in scores["verdict"]
    assert sum(b["signal"] + b["background"] for b in scores["bins"]) == 400
    assert scores["provenance"] == {"seed": 7}


def test_scores_alone_give_a_page(tmp_path):
    few = tagged(60, baselines={}, pt=None, grid=None, images=None, saliency=None)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    scores = write_report(build(few), tmp_path / "out")
    assert "bins" not in scores
    assert {p.stem for p in (tmp_path / "out" / "figures").iterdir()} == {"roc", "scores"}
    assert (tmp_path / "out" / "mine.txt").read_text() == "kept"


def test_a_perfect_network_in_bins_with_too_few_events(tmp_path):
    label = np.repeat([0, 1], 30)
    sample = tagged(60, score=label * 1.0, label=label, images=None, saliency=None)
    scores = write_report(build(sample), tmp_path / "out")
    assert scores["auc"] == 1
    assert scores["rejection"]["0.3"]["limit"]
    assert not any(row["used"] for row in scores["bins"])
    assert "too few" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": np.full(60, np.nan)}, "score: expected finite numbers, found 60 of 60"),
        ({"label": np.ones(60, int)}, "expected events of both classes, found 60 signal"),
        ({"score": np.linspace(-3, 3, 60)}, "score: expected 0 to 1"),
        ({"pt": np.full(60, np.inf)}, "pt: expected finite numbers"),
    ],
)
def test_unusable_samples_are_named(changes, message):
    with pytest.raises(InputError) as caught:
        build(tagged(60, **changes))
    assert message in str(caught.value)
