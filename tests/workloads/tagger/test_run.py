"""A tiny e/gamma run from training to its report and to a table of scores."""

import argparse
import json
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

pytest.importorskip("mplhep")
pytest.importorskip("sklearn")

from hepjax import InputError
from hepjax.cli import main, predict
from hepjax.engine.workload import Answer, Spec
from hepjax.formats.images import Channel, Grid, SparseImages
from hepjax.formats.packed.writer import write_packed
from hepjax.run import load
from hepjax.workloads.tagger import answer

GRID = Grid((16, 16), (Channel("ECAL", "GeV"),))
EVENTS = 240


def write_toys(folder, n: int, seed: int):
    """Photons fill one cell, electrons spread over three rows."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n).astype(np.int32)
    cells = [[7 * 16 + 8, 8 * 16 + 8, 9 * 16 + 8] if k else [8 * 16 + 8] for k in label]
    first = np.concatenate([[0], np.cumsum([len(c) for c in cells])])
    images = SparseImages(
        first, np.concatenate(cells).astype(np.uint32),
        rng.uniform(0.5, 1.5, first[-1]).astype(np.float32),
    )  # fmt: skip
    columns = {
        "label": label, "pt": rng.uniform(40, 60, n).astype(np.float32), "event": np.arange(n),
    }  # fmt: skip
    return write_packed(folder, [(images, columns)], GRID, {0: "photon", 1: "electron"})


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagger")
    settings = {
        "workload": "tagger",
        "data": {
            "files": [str(write_toys(folder / "data", EVENTS, 0))], "shape": [16, 16],
            "channels": ["ECAL"], "labels": ["photon", "electron"], "fractions": [0.5, 0.1, 0.4],
        },
        "optimizer": {"learning_rate": 1e-3},
        "train": {"batch_size": 16, "epochs": 2}, "mesh": {"devices": 1},
    }  # fmt: skip
    (folder / "tiny.yaml").write_text(yaml.safe_dump(settings))
    run = folder / "run"
    assert main(["train", str(folder / "tiny.yaml"), "--run", str(run), "--quiet"]) == 0
    return run


def test_the_report_is_on_the_test_part(run_dir, capsys):
    assert main(["evaluate", str(run_dir), "--json"]) == 0
    said = capsys.readouterr()
    scores = json.loads(said.out)
    assert "draw: " in said.err
    assert scores == json.loads((run_dir / "report" / "scores.json").read_text())
    assert scores["provenance"]["data"] == "test events of the run"
    assert 0.3 * EVENTS < scores["signal"] + scores["background"] < 0.5 * EVENTS
    assert scores["classes"] == ["photon", "electron"]
    # The width along the rows tells all of them apart.
    assert scores["baselines"]["ECAL width, rows"]["auc"] == 1
    figures = {path.stem for path in (run_dir / "report" / "figures").iterdir()}
    assert figures == {"roc", "scores", "pt", "images", "saliency", "training"}


def test_plots_of_showers_are_refused(run_dir, capsys):
    assert main(["evaluate", str(run_dir), "--plots=all", "--quiet"]) == 2
    assert "expected a workload with all plots" in capsys.readouterr().err


def test_events_without_labels_are_not_judged_on(run_dir, tmp_path):
    images = SparseImages(np.arange(5), np.arange(4, dtype=np.uint32), np.ones(4, np.float32))
    new = write_packed(tmp_path / "new", [(images, {"event": np.arange(4)})], GRID, {})
    with pytest.raises(InputError, match=r"new: expected labelled events .* found no column y"):
        load(run_dir).evaluate([new], tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_table_of_scores_in_the_order_of_the_files(run_dir, tmp_path, capsys):
    data, out = write_toys(tmp_path / "new", 37, 1), tmp_path / "scores.parquet"
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    words = [str(run_dir), "--data", str(data), "--out", str(out), "--batch-size", "16"]
    assert predict.run(parser.parse_args([*words, "--json", "--quiet"])) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 37
    table = pq.read_table(out)
    assert table.column_names[:2] == ["score", "index"]
    assert {"label", "pt", "event"} <= set(table.column_names)
    np.testing.assert_array_equal(table["event"], np.arange(37))
    assert np.all((table["score"].to_numpy() >= 0) & (table["score"].to_numpy() <= 1))
    uproot = pytest.importorskip("uproot", reason="the extra root is not installed")
    words[words.index(str(out))] = str(out.with_suffix(".root"))
    assert predict.run(parser.parse_args([*words, "--quiet"])) == 0
    with uproot.open(out.with_suffix(".root")) as file:
        assert file["events"].keys() == table.column_names
        np.testing.assert_array_equal(file["events/score"].array(), table["score"])
    # Neither the size of the batches nor what is beside an event in one changes its score.
    (whole,) = load(run_dir).predict([data], batch_size=64)
    np.testing.assert_allclose(whole["score"], table["score"], rtol=1e-5)


def test_scores_that_are_not_finite_are_not_written(run_dir, tmp_path):
    run = load(run_dir)

    def infer(cfg, state, inputs, keys):
        return {"log_odds": jnp.where(inputs["image"].max((1, 2, 3)) > 0, jnp.nan, 0.5)}

    broken = replace(run.workload, infer=infer)
    run = replace(run, workload=broken, model=replace(run.model, workload=broken))
    data = write_toys(tmp_path / "new", 2, 1)
    with pytest.raises(InputError, match=r"score: .* found 2 of 2 that are not") as error:
        list(run.predict([data]))
    assert "\n" not in str(error.value)


def test_scores_are_those_of_the_log_odds_in_double_precision():
    found = answer.score(np.float32([-120.0, 0.0, 30.0, 40.0]))
    np.testing.assert_allclose(found[:2], [np.exp(-120.0), 0.5], rtol=1e-6)
    assert found.dtype == np.float64
    assert found[2] < found[3] or found[3] == 1.0
    assert 0 < 1 - found[2] < 1e-12
    with pytest.raises(InputError, match="1 of 2 that are not"):
        answer.score(np.array([0.5, np.nan]))


def test_columns_of_the_files_keep_their_types(run_dir, tmp_path):
    (rows,) = load(run_dir).predict([write_toys(tmp_path / "new", 5, 1)])
    kinds = {name: rows[name].dtype for name in ("label", "pt", "event", "score")}
    assert kinds == {"label": np.int32, "pt": np.float32, "event": np.int64, "score": np.float64}


def test_a_simulation_run_judges_no_events(run_dir, tmp_path):
    run = load(run_dir)
    showers = replace(run.workload, name="gan3d", outputs=lambda cfg: Answer("showers", Spec()))
    run = replace(run, workload=showers)
    with pytest.raises(InputError, match="expected a run that judges events"):
        run.predict([tmp_path])
