"""Many loops as one program: what is shared, what is counted, and what the page says."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax.cli import main
from hepjax.studies.active import gaussian, race, race_page, toys
from hepjax.studies.active.race import Race
from hepjax.studies.active.sequence import sobol


@pytest.fixture
def small(monkeypatch):
    """Fewer candidates and places to judge on."""
    monkeypatch.setattr(race, "CANDIDATES", 256)
    monkeypatch.setattr(race, "TESTS", 512)


@pytest.mark.slow
def test_loops_begin_as_the_scan_and_are_judged_by_the_truth(small, tmp_path, capsys):
    found = race.run(toys.TOYS["toy/2d"], "entropy", seeds=2, points=20)
    assert list(found.points) == [12, 20]
    assert found.wrong.shape == (2, 2, 2)
    np.testing.assert_array_equal(found.wrong[0, :, 0], found.wrong[1, :, 0])
    scan = sobol(28, 2, (0, 1, 0))
    np.testing.assert_allclose(found.asked[0, 1], scan[:20])
    ours = found.asked[1, 1]
    np.testing.assert_allclose(ours[:12], scan[:12])
    # Half of each batch goes on with the sequence; the other half is near the contour.
    both = {tuple(x) for x in ours} & {tuple(x) for x in scan}
    assert len(both) == 12 + 4
    with gaussian.double():
        asked = np.array([x for x in ours if tuple(x) not in both])
        off = np.abs(np.asarray(toys.truth(jnp.asarray(asked))))
        assert np.median(off) < 0.4
        truth = np.asarray(toys.truth(jnp.asarray(found.tests)))
        np.testing.assert_allclose(truth, found.truth)
    # The share again, from a fit of the first points outside of the program.
    with gaussian.double():
        x = jnp.asarray(scan[:12])
        key = jax.random.split(jax.random.fold_in(jax.random.key(0), 1))[1]
        y, error = toys.simulate(key, x)
        data = gaussian.Data(x, y, error, jnp.ones(12, bool))
        mean = gaussian.mean_at(data, jax.jit(gaussian.fit)(data), jnp.asarray(found.tests))
        wrong = ((np.asarray(mean) > 0) != (truth > 0)).mean()
    assert found.wrong[0, 1, 0] == pytest.approx(wrong, abs=2 / 512)
    assert (found.wrong[:, :, -1].mean(1) < found.wrong[:, :, 0].mean(1)).all()
    scores = race_page.write(found, tmp_path / "report")
    capsys.readouterr()
    assert scores["seeds"] == 2
    assert json.loads((tmp_path / "report" / "scores.json").read_text())["fewer"] >= 0
    assert "Sobol" in (tmp_path / "report" / "index.html").read_text()


def made(sobol_shares, loop_shares):
    wrong = np.array([[sobol_shares], [loop_shares]])
    return Race(
        "toy/2d", "entropy", np.array([10, 20, 40]), wrong, wrong, np.zeros(1), np.zeros((1, 2)),
        np.zeros((2, 1, 1, 2)),
    )  # fmt: skip


def test_how_many_times_fewer_by_hand():
    assert race_page.fewer(made([0.04, 0.02, 0.01], [0.04, 0.01, 0.005])) == pytest.approx(2.0)
    # Half way in the logarithm between 20 and 40.
    way = race_page.fewer(made([0.04, 0.02, 0.01], [0.04, 0.02, 0.005]))
    assert way == pytest.approx(40 / 30)
    assert race_page.fewer(made([0.04, 0.02, 0.01], [0.04, 0.03, 0.02])) == 0.0
    assert "does not pay" in race_page.summary(made([0.04, 0.02, 0.01], [0.04, 0.03, 0.02]))[
        "verdict"
    ]  # fmt: skip


def test_every_other_point_of_a_batch_is_asked_for():
    assert list(race.filled(4)) == [True, False] * 4
    assert race.filled(0).sum() == 0
    assert race.filled(8).all()


@pytest.mark.slow
def test_a_fit_that_is_not_finite_is_told_in_one_line(small, monkeypatch, tmp_path, capsys):
    nothing = jnp.array(jnp.nan)

    def broken(data):
        return gaussian.Kernel(jnp.full(data.x.shape[1], nothing), nothing, nothing, nothing)

    monkeypatch.setattr(gaussian, "fit", broken)
    argv = ["active", "toy/2d", "--seeds=1", "--points=13", f"--out={tmp_path / 'race'}"]
    assert main([*argv, "--quiet"]) == 3
    error = capsys.readouterr().err
    assert "expected finite Gaussian processes, found others in 2 of 2 loops" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "race").exists()


def test_seeds_go_without_a_space(tmp_path, capsys):
    argv = ["active", "toy/2d", "--seeds=1", f"--out={tmp_path / 'race'}", "--threshold=0.5"]
    assert main(argv) == 2
    assert "--threshold: expected none with --seeds" in capsys.readouterr().err
