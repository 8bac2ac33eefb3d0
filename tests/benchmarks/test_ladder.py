"""The ladder of shower generators and the ablation: rows of any generator, tables, the plot."""

import pytest

import hepjax
from benchmarks.physics import ablation, ladder
from benchmarks.physics.ladder_plot import PUBLISHED, plot
from hepjax.cli import main
from hepjax.engine.settings import find_config, read_settings
from hepjax.workloads import table


def metric(value, halves=0.5):
    return {"value": value, "error": 0.01, "halves": {"value": halves, "error": 0.01}}


def row(name, value, **more):
    about = {"calorimeter": "clic-25", "parameters": 1200, "ms": {"1": 4.0, "100": 0.5}}
    return {"name": name} | about | {
        key: metric(value) for key in ladder.COLUMNS
    } | more  # fmt: skip


@pytest.mark.parametrize("name", list(ablation.VARIANTS))
def test_variants_are_settings_of_a_3dgan(name):
    added = ablation.added(name, 0.5, 2000)
    cfg = table.configure(read_settings(find_config("gan3d/small"), added))[1]
    plain = table.configure(read_settings(find_config("gan3d/small"), []))[1]
    assert (cfg == plain) == (name == "published")
    assert cfg.objective.penalty_fake in (0.0, 0.5)
    assert cfg.optimizer.average in (0.0, 0.995)


def test_the_table_of_variants_has_means_over_seeds():
    cost = {"updates": 1000, "ms_an_update": 50.0}
    rows = [
        row("published", 0.9, seed=0, **cost), row("published", 1.0, seed=1, **cost),
        row("R1", 0.8, seed=0, **cost),
    ]  # fmt: skip
    lines = ablation.table(rows).splitlines()
    assert lines[2].startswith("| published | 2 | 1,000 | 50 | 0.95 (0.9 to 1) |")
    assert lines[3].startswith("| R1 | 1 | 1,000 | 50 | 0.8 |")
    assert "| 500 |" in lines[4]  # FPD x 1000


def test_the_plot_has_all_rows_and_published_entries(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kwargs: drawn.append(self))
    plot([row("one", 0.7), row("two", 0.6), row("untimed", 0.5, ms={})], tmp_path / "plot.png")
    for axes in drawn[0].axes:
        labels = axes.get_legend_handles_labels()[1]
        assert [text for text in labels if "clic-25" in text] == ["one (clic-25)", "two (clic-25)"]
        names = [text.get_text() for text in axes.texts]
        assert sorted(names) == sorted(name for data in PUBLISHED.values() for name in data)


@pytest.mark.slow
def test_a_3dgan_is_a_row_of_the_ladder(tmp_path):
    """Trained for two updates, all classifiers tell it apart."""
    for name, count in (("train", 40), ("test", 96)):
        words = ["--events", str(count), "--energy", "10:100", "--quiet"]
        assert main(["simulate", "showers", *words, "--out", str(tmp_path / name)]) == 0
    hepjax.train("gan3d/any", tmp_path / "run", **{
        "data.calorimeter": "clic-25", "data.files": [str(tmp_path / "train")],
        "data.energy_range": [10.0, 100.0],
        "train.steps": 2, "train.batch_size": 8,
    })  # fmt: skip
    run = hepjax.load(tmp_path / "run")
    found = ladder.measured(run, [tmp_path / "test"], 96, 1, times=(4,), name="any")
    assert (found["calorimeter"], found["showers"]) == ("clic-25", 96)
    assert found["high"]["value"] > 0.9 > found["high"]["halves"]["value"]
    assert found["ms"]["4"] > 0
    assert ladder.table([found]).splitlines()[2].startswith("| any | clic-25 |")
