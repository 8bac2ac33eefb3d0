"""The MLPF report on toy candidates, and what an untrained network says, as report and table."""

import json
import re
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.figures import undrawn
from helpers.mlpf import ADDITIVE, config, event
from helpers.models import initial, model_of

pytest.importorskip("mplhep")
pytest.importorskip("sklearn")

from helpers.samples import candidates

from hepjax import InputError, MissingExtraError
from hepjax.formats.particleflow.writer import write_events
from hepjax.formats.table_writer import write_table
from hepjax.physics.particleflow import jets
from hepjax.physics.particleflow.report import report as build
from hepjax.report.document import write_report
from hepjax.run import Run
from hepjax.workloads.mlpf import objective
from hepjax.workloads.mlpf.config import DataConfig
from hepjax.workloads.mlpf.workload import WORKLOAD

LENGTHS = [30, 70, 45, 64, 20, 33, 50, 41, 60, 38]
"""Elements of the events of the tiny run."""
FIGURES = {
    "confusion", "efficiency", "resolution", "response", "spectra", "multiplicity", "missing",
}  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("toy") / "report"
    history = [
        {"event": "validation", "epoch": float(k), "loss": 1 / k, "accuracy": 0.9,
         "neutral_hadron_efficiency": 0.8, "neutral_hadron_fake_rate": 0.1} for k in (1, 2)
    ]  # fmt: skip
    scores = write_report(
        build(candidates()), out, run_config="workload: mlpf <small>", provenance={"seed": 7},
        history=history,
    )  # fmt: skip
    return out, scores


def test_files_of_a_report(report):
    out, scores = report
    assert sorted(path.name for path in out.iterdir()) == ["figures", "index.html", "scores.json"]
    assert [path.name for path in out.parent.iterdir()] == ["report"]
    assert json.loads((out / "scores.json").read_text()) == scores
    drawn = {path.stem for path in (out / "figures").iterdir()}
    assert drawn - {"jets"} == FIGURES | {"training"}


def test_page_states_its_conventions_and_embeds_its_figures(report):
    out, _ = report
    html = (out / "index.html").read_text(encoding="utf-8")
    assert html.count("<figure>") == len(list((out / "figures").iterdir()))
    assert set(re.findall(r'src="([^,]+),', html)) == {"data:image/png;base64"}
    assert "workload: mlpf &lt;small&gt;" in html
    assert "elements with no particle included (the published table)" in html
    assert "argmax" in html
    assert "a charged hadron above 0.8" in html


def test_scores_have_the_rule_based_beside_mlpf(report):
    _, scores = report
    assert scores["same_fakes"]["neutral_hadron"]["efficiency"] == 1
    neutral = scores["classes"]["neutral_hadron"]
    assert neutral["MLPF"]["efficiency"] == 1
    assert neutral["rule-based"]["efficiency"] == pytest.approx(0.9, abs=0.005)
    assert neutral["rule-based"]["fake_rate"] == 0
    assert scores["accuracy"]["MLPF"] == 1
    energy = scores["resolution"]["neutral_hadron"]["energy"]
    assert energy["MLPF"]["std"] == 0
    assert energy["rule-based"]["iqr"] == pytest.approx(0.2, rel=0.15)
    assert energy["rule-based"]["count"] == energy["MLPF"]["count"]
    numbers = scores["multiplicity"]["neutral_hadron"]["rule-based"]
    assert numbers["mean"] == pytest.approx(-0.1, abs=0.01)
    assert scores["missing_pt"]["MLPF"]["std"] == 0
    assert scores["classes"]["muon"]["MLPF"]["efficiency"] is None
    assert scores["provenance"] == {"seed": 7}
    assert "rule-based 0.898, better" in scores["verdict"]


def test_jets_of_perfect_candidates(report):
    pytest.importorskip("fastjet")
    out, scores = report
    assert scores["jets"]["MLPF"]["matched_share"] == 1
    assert scores["jets"]["MLPF"]["median"] == pytest.approx(1)
    assert scores["jets"]["rule-based"]["iqr"] > 0.02
    assert (out / "figures" / "jets.png").is_file()


def test_without_fastjet_the_jets_are_left_out(tmp_path, monkeypatch):
    def missing(*args):
        raise MissingExtraError("jets", "hep")

    monkeypatch.setattr(jets, "anti_kt", missing)
    with undrawn():
        scores = write_report(build(candidates(2, 30)), tmp_path / "out")
    assert scores["jets"] is None
    assert "hepjax[hep]" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert {path.stem for path in (tmp_path / "out" / "figures").iterdir()} == FIGURES


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An untrained run: an update of the network takes long to compile, its answers do not."""
    folder = tmp_path_factory.mktemp("mlpf")
    events = (event(n, seed) for seed, n in enumerate(LENGTHS))
    write_events(folder / "data", events, stem="toy_0", dataset=None, provenance={})
    data = DataConfig(
        files=(str(folder / "data"),), buckets=(48, 96), validation_fraction=0.3
    )  # fmt: skip
    cfg = config(replace(ADDITIVE, layers=1, inputs="log"), data=data)
    (folder / "metrics.jsonl").write_text("")
    return Run(folder, WORKLOAD, cfg, 0, 0.0, model_of(WORKLOAD, cfg, initial(objective, cfg)))


def test_the_report_of_a_run_is_on_its_validation_events(run):
    out = run.directory / "report"
    with undrawn():
        scores = run.evaluate([], out)
    assert scores == json.loads((out / "scores.json").read_text())
    assert (scores["events"], scores["elements"]) == (3, sum(LENGTHS[-3:]))
    # The rule-based candidates of the toys are their truth.
    assert scores["accuracy"]["rule-based"] == 1
    assert np.sum(scores["confusion"]["MLPF"]) == sum(LENGTHS[-3:])
    assert scores["provenance"]["data"] == "validation events of the run"


def test_a_table_with_one_row_per_element(run, tmp_path):
    out = tmp_path / "candidates.parquet"
    pieces = run.predict([run.directory / "data"])
    assert write_table(out, pieces, {"workload": "mlpf"}) == sum(LENGTHS)
    table = pq.read_table(out).to_pydict()
    assert list(table)[:8] == ["event", "element", "class", "charge", "pt", "eta", "phi", "energy"]
    assert np.bincount(table["event"]).tolist() == LENGTHS
    assert table["element"][: LENGTHS[0]] == list(range(LENGTHS[0]))
    probability = np.stack([v for k, v in table.items() if k.startswith("probability_")], axis=1)
    np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probability.argmax(1), table["class"])
    none = np.array(table["class"]) == 0
    assert not np.array(table["pt"])[none].any()


def test_candidates_that_are_not_finite_are_not_written(run):
    def infer(cfg, state, inputs, keys):
        made = WORKLOAD.infer(cfg, state, inputs, keys)
        return made | {"candidates": jnp.full_like(made["candidates"], jnp.nan)}

    broken = replace(WORKLOAD, infer=infer)
    run = replace(run, workload=broken, model=replace(run.model, workload=broken))
    with pytest.raises(InputError, match="candidates: expected finite numbers, found 30 of 30"):
        list(run.predict([run.directory / "data"], batch_size=1))
