"""A workload from another package: installed, and used by every verb without a change in hepjax.

The package beside this file is the worked example of CONTRIBUTING, "Add a workload in a day".
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hepjax.workloads import table

PACKAGE = Path(__file__).with_name("hepjax_pulses")
DIST_INFO = "hepjax_pulses-0.1.dist-info"
ENTRY_POINTS = "[hepjax.workloads]\npulses = hepjax_pulses.workload:WORKLOAD\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with the package and its metadata, as an installer would lay them."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(PACKAGE / "hepjax_pulses", folder / "hepjax_pulses")
    (folder / DIST_INFO).mkdir()
    (folder / DIST_INFO / "METADATA").write_text("Name: hepjax-pulses\nVersion: 0.1\n")
    (folder / DIST_INFO / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


@pytest.fixture(scope="module")
def hepjax(site, tmp_path_factory):
    """Runs one command in a working folder; returns what it printed."""
    here = tmp_path_factory.mktemp("pulses")
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), root])}

    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "hepjax", *words],
            cwd=here, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done

    run.here = here
    return run


@pytest.fixture(scope="module")
def trained(hepjax):
    """Simulated pulses, and a run on two devices that was resumed once."""
    hepjax("simulate", "pulses", "--events", "320", "--out", "data/pulses", "--seed", "1")
    config = str(PACKAGE / "hepjax_pulses" / "pulses.yaml")
    words = ["train", config, "--run", "run", "--devices", "2"]
    hepjax(*words, "train.epochs=3")
    hepjax(*words, "train.epochs=6")
    return hepjax


def test_simulated_pulses_are_found_again_and_inspected(trained):
    again = trained("simulate", "pulses", "--events", "320", "--out", "data/pulses", "--seed", "1")
    assert "there already" in again.stdout
    report = json.loads(trained("inspect", "data/pulses", "--json").stdout)
    assert (report["layout"], report["events"]) == ("pulses", 320)
    assert "events                320" in trained("inspect", "data/pulses").stdout


def test_it_learns_on_two_devices_and_resumes(trained):
    records = [json.loads(r) for r in (trained.here / "run/metrics.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if r["event"] == "resume"] == [27]
    errors = [r["rms"] for r in records if r["event"] == "validation"]
    assert len(errors) == 6
    assert errors[-1] < 0.5 * errors[0]


def test_evaluate_writes_the_validation_metrics(trained):
    trained("evaluate", "run", "--data", "data/pulses")
    scores = json.loads((trained.here / "run/report/scores.json").read_text())
    assert 0 < scores["rms"] < 3
    assert "rms" in (trained.here / "run/report/index.html").read_text()


def test_predict_writes_one_row_a_pulse(trained):
    trained("predict", "run", "--data", "data/pulses", "--out", "heights.parquet")
    table = pq.read_table(trained.here / "heights.parquet")
    assert table.column_names == ["index", "height"]
    assert table["index"].to_pylist() == list(range(320))


def test_a_table_is_not_generated(trained):
    done = trained("generate", "run", "--events", "3", "--out", "a.h5", "--energy", "1:2", code=2)
    assert "expected a run that simulates events" in done.stderr


def test_packing_is_refused_and_doctor_reads(trained):
    done = trained("pack", "data/pulses", "--out", "packed", code=2)
    assert "found pulses" in done.stderr
    report = json.loads(trained("doctor", "--data", "data/pulses", "--json").stdout)
    assert report["read_events_per_s"] > 0


def test_bench_times_it(trained):
    trained("bench", "pulses", "--events", "96", "--epochs", "2", "--out", "bench", "--quiet")
    summary = json.loads((trained.here / "bench/pulses_summary.json").read_text())
    assert summary["report"]["wl-stats"]["events_per_epoch"] == 96


def test_an_unknown_workload_names_all(trained):
    (trained.here / "no.yaml").write_text("workload: pulse\n")
    assert f"{', '.join(table.OWN)}, pulses" in trained("train", "no.yaml", code=2).stderr


def test_a_package_that_does_not_import_is_one_line(trained, site):
    broken = site / "broken-1.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Name: broken\nVersion: 1\n")
    (broken / "entry_points.txt").write_text("[hepjax.workloads]\nbroken = nowhere:WORKLOAD\n")
    try:
        (trained.here / "broken.yaml").write_text("workload: broken\n")
        done = trained("train", "broken.yaml", code=2)
        others = trained("inspect", "data/pulses")
    finally:
        shutil.rmtree(broken)
    assert "nowhere:WORKLOAD: expected the workload 'broken'" in done.stderr
    assert "warning: nowhere:WORKLOAD" in others.stderr
    assert "events                320" in others.stdout
