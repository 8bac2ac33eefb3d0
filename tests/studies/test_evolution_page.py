"""``hepjax evolve``: what it says of one seed and of several."""

import json

import jax
import numpy as np
import pytest

from hepjax.cli import main
from hepjax.studies import evolution_page, regressor
from hepjax.studies.evolution import Asked, Trained, estimated
from hepjax.studies.regressor import ENERGY_UNIT, Images

NAMES = ("genetic", "RMSprop")


@pytest.fixture(scope="module")
def judged():
    """Test images, and two ways of training with two seeds each, as they begin."""
    rng = np.random.default_rng(0)
    images = Images(
        np.float32(rng.exponential(size=(30, 25, 25))), np.float32(rng.uniform(0.1, 1, 30))
    )
    ways = [
        [
            Trained(name, regressor.uniform(jax.random.key(10 * seed + k)), np.ones(5), 9, 1.0)
            for k, name in enumerate(NAMES)
        ]
        for seed in range(2)
    ]
    return images, ways


def test_several_seeds_have_a_mean_and_a_spread(judged):
    images, ways = judged
    scores = evolution_page._scores(Asked(seeds=2), images, images, ways)
    energy = np.asarray(images.energy) * ENERGY_UNIT
    wanted = [np.mean(np.abs(estimated(w[0], images) / energy - 1)) for w in ways]
    row = scores["seeds"]["genetic"]
    np.testing.assert_allclose(row["values"], wanted, rtol=1e-5)
    assert row["mean"] == pytest.approx(np.mean(wanted), rel=1e-5)
    assert row["spread"] == pytest.approx(abs(wanted[0] - wanted[1]) / 2**0.5, rel=1e-4)
    assert scores["genetic"]["test_error"] == row["values"][0]
    assert evolution_page._reached(scores, "genetic") == f"{row['mean']:.4g} ± {row['spread']:.2g}"
    assert "Seeds" in dict(evolution_page._sections(ways[0], images, scores))


def test_the_page_is_written(judged, tmp_path, monkeypatch):
    images, ways = judged
    monkeypatch.setattr(evolution_page, "trained", lambda asked, _: iter(ways[asked.seed]))
    scores = evolution_page.write(Asked(seeds=2), images, images, tmp_path / "page")
    assert scores["seeds"]["RMSprop"]["values"] == pytest.approx(
        [evolution_page.test_error(w[1], images) for w in ways]
    )
    known = json.loads((tmp_path / "page" / "scores.json").read_text())
    assert known["seeds"] == scores["seeds"]
    assert "over 2 seeds: genetic " in known["verdict"]


def test_one_seed_has_its_error_alone(judged):
    images, ways = judged
    scores = evolution_page._scores(Asked(), images, images, ways[:1])
    assert "seeds" not in scores
    assert " ± " not in evolution_page._reached(scores, "RMSprop")


@pytest.mark.slow
def test_the_command_repeats_all_trainings(tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    assert main(["simulate", "showers", "--events", "160", "--out", str(data), "--quiet"]) == 0
    words = ["evolve", "--data", str(data), "--events", "128", "--generations", "4", "--quiet"]
    assert main([*words, "--out", str(out), "--seeds", "2", "--architecture", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert set(scores["seeds"]) == {*NAMES, "genetic, architecture too"}
    assert len({*scores["seeds"]["genetic"]["values"]}) == 2
    assert len(scores["architecture"]) == 2
    assert main([*words, "--out", str(tmp_path / "no"), "--seeds", "0"]) == 2
    assert "--seeds: expected at least 1, found 0" in capsys.readouterr().err
