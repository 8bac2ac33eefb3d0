"""The 3DGAN report end to end on small toy samples: files, numbers, words, and bad input."""

import json
import re

import numpy as np
import pytest

pytest.importorskip("mplhep")
pytest.importorskip("sklearn")

from helpers.samples import showers

from hepjax import InputError
from hepjax.physics.calorimeter import summary
from hepjax.physics.calorimeter.report import report as build
from hepjax.report.document import write_report


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "report"
    history = [{"event": "train", "step": 1}] + [
        {"event": "validation", "epoch": float(k), "sampling_fraction_mre": 1 / k, "gen_loss": 2.0}
        for k in (1, 2, 3)
    ]
    rng = np.random.default_rng(0)
    outputs = {"reference": rng.uniform(size=120), "generated": rng.uniform(size=120)}
    scores = write_report(
        build(showers(0), showers(1, scale=1.2), discriminator=outputs), out,
        run_config="workload: gan3d <small>", provenance={"seed": 7}, history=history,
    )  # fmt: skip
    return out, scores


def test_files_of_a_report(report):
    out, scores = report
    assert sorted(path.name for path in out.iterdir()) == ["figures", "index.html", "scores.json"]
    assert [path.name for path in out.parent.iterdir()] == ["report"]
    assert json.loads((out / "scores.json").read_text()) == scores
    figures = {path.stem for path in (out / "figures").iterdir()}
    wanted = {"sampling_fraction", "ecal_sum", "profile_z", "moments", "hits", "cell_spectrum"}
    wanted |= {"sparsity", "max_position", "ratios", "correlations", "projections", "real_fake"}
    assert wanted | {"single_showers", "training"} <= figures


def test_page_embeds_every_figure_and_nothing_else(report):
    out, _ = report
    html = (out / "index.html").read_text(encoding="utf-8")
    assert html.count("<figure>") == len(list((out / "figures").iterdir()))
    assert set(re.findall(r'src="([^,"]+),', html)) == {"data:image/png;base64"}
    assert "workload: gan3d &lt;small&gt;" in html
    assert (out / "index.html").stat().st_size < 4e6


def test_scores_find_the_20_per_cent(report):
    _, scores = report
    assert scores["sampling_fraction_mre"] == pytest.approx(0.2, rel=1e-3)
    assert scores["families"]["sampling_fraction"] == scores["sampling_fraction_mre"]
    assert scores["noise_floor"]["sampling_fraction"] < 1e-6
    assert scores["energy_range"] == [97, 103]
    assert "off by 20.0%" in scores["verdict"]
    assert "furthest at 100 GeV" in scores["verdict"]
    assert scores["provenance"] == {"seed": 7}
    counts = [record["events_reference"] for record in scores["bins"]]
    assert counts[0] == 120


@pytest.mark.slow
def test_few_showers_of_a_dead_generator_still_give_a_page(tmp_path):
    few = showers(2, n=3)
    dead = few | {"ecal": np.zeros_like(few["ecal"])}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    scores = write_report(build(few, dead, labels=("A", "B")), tmp_path / "out")
    assert scores["sampling_fraction_mre"] is None
    assert "too few" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ecal": np.zeros((0, 6, 6, 25)), "energy": np.zeros(0)}, "B: expected showers"),
        ({"energy": np.ones(3)}, "B: expected showers"),
        ({"ecal": np.ones((1, 6, 6, 25)), "energy": np.ones(1)}, "B: expected at least 2 showers"),
        ({"ecal": np.ones((120, 5, 6, 25))}, "B: expected the grid of A"),
        ({"ecal": np.full((120, 6, 6, 25), np.nan)}, "B: expected finite cells"),
        ({"energy": np.zeros(120)}, "B: expected finite cells"),
    ],
)
def test_bad_samples_are_named(change, message):
    with pytest.raises(InputError, match=message):
        build(showers(0), showers(0) | change, labels=("A", "B"))


@pytest.mark.parametrize(
    ("score", "floor", "error", "expected"),
    [
        (0.019, 0.01, 0.0, "agrees"),  # within twice the floor
        (0.030, 0.01, 0.002, "differs"),
        (0.030, 0.01, 0.008, "unclear"),  # 2.5 errors beyond the floor
        (0.030, 0.01, float("nan"), "differs"),  # no error is known
    ],
)
def test_a_family_differs_far_above_the_floor_and_significantly(score, floor, error, expected):
    assert summary.word(score, floor, error) == expected
    assert summary.differs(score, floor, error) is (expected == "differs")
