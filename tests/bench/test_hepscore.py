"""The report, the YAML file and the driver keep the rules of hep-score, replayed here.

Those of hep-score 2.0: which keys a report needs, which arguments a benchmark may have and how they
become a command, and how scores are combined.
"""

import json
import math
import os
import re
import statistics
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

LAUNCH = Path(__file__).parents[2] / "launch" / "hepscore"
DRIVER = LAUNCH / "hepjax-bmk.sh"
CONFIG = yaml.safe_load((LAUNCH / "hepscore.yaml").read_text())["hepscore_benchmark"]
FORBIDDEN = {"m", "w", "W", "mop", "resultsdir"}


def command_words(args: dict) -> list[str]:
    """How hep-score turns ``args`` into words."""
    words = []
    for key, value in args.items():
        if value is None or value is False:
            continue
        given = [str(key)] if value is True else [str(key), str(value)]
        if key in FORBIDDEN or not all(re.fullmatch(r"[A-Za-z0-9_-]+", word) for word in given):
            raise ValueError(f"hep-score refuses {key}: {value}")
        words += [f"--{given[0]}", *given[1:]]
    return words


def score_of_run(summary: dict, ref_scores: dict) -> float:
    """Geometric mean of the subscores over their references, as of one repetition."""
    if not {"app", "run_info", "report"} <= summary.keys():
        raise ValueError("hep-score refuses a report without app, run_info or report")
    scores = summary["report"]["wl-scores"]
    ratios = [round(float(scores[name]) / ref, 4) for name, ref in ref_scores.items()]
    return round(math.prod(ratios) ** (1 / len(ratios)), 4)


def combined(scores: dict[str, list[float]], weights: dict[str, float], scaling: float) -> float:
    """Weighted geometric mean of the medians over repetitions."""
    logs = sum(weights[n] * math.log(statistics.median(runs)) for n, runs in scores.items())
    return round(math.exp(logs / sum(weights.values())) * scaling, 4)


def test_the_report_fits_its_schema(tagger_bench):
    schema = json.loads((files("hepjax.bench") / "hepscore_schema.json").read_text())
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tagger_bench[2], schema)
    for section, key in (("report", "wl-scores"), ("run_info", "copies"), ("app", "version")):
        broken = json.loads(json.dumps(tagger_bench[2]))
        del broken[section][key]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)


def test_hep_score_reads_the_report(tagger_bench):
    summary = tagger_bench[2]
    rate = summary["report"]["wl-scores"]["mean_throughput"]
    assert score_of_run(summary, {"mean_throughput": 2.0}) == pytest.approx(rate / 2, abs=1e-4)
    with pytest.raises(ValueError, match="refuses"):
        score_of_run({"report": summary["report"]}, {"mean_throughput": 1.0})


def test_scores_of_the_suite_combine_as_a_geometric_mean():
    scores = {"a": [1.0, 9.0, 2.0], "b": [8.0, 8.0, 8.0]}
    assert combined(scores, {"a": 1.0, "b": 1.0}, 10) == pytest.approx(40.0)
    assert combined(scores, {"a": 3.0, "b": 1.0}, 1) == pytest.approx(8**0.5, abs=1e-4)


def test_the_file_names_the_three_benchmarks():
    named = {"hepjax-gan3d-bmk", "hepjax-mlpf-bmk", "hepjax-tagger-bmk"}
    assert set(CONFIG["benchmarks"]) == named
    assert CONFIG["settings"]["method"] == "geometric_mean"
    required = {"name", "reference_machine", "registry", "repetitions", "scaling"}
    assert required <= CONFIG["settings"].keys()
    for name, benchmark in CONFIG["benchmarks"].items():
        workload = name.split("-")[1]
        assert benchmark["results_file"] == f"{workload}_summary.json"
        # Higher has to be better, so the time of an epoch can be no score.
        assert set(benchmark["ref_scores"]) == {"mean_throughput"}


@pytest.fixture
def stand_in(tmp_path) -> dict[str, str]:
    """An environment with nothing but a PATH, in which ``hepjax`` writes its words as a report."""
    program = tmp_path / "bin" / "hepjax"
    program.parent.mkdir()
    program.write_text(f"""#!{sys.executable}
import json, os, sys
words = sys.argv[1:]
if "--precision" in words and "bf15" in words:
    sys.exit("hepjax: error: --precision: expected f32 or bf16, found bf15")
out = words[words.index("--out") + 1]
report = {{"wl-scores": {{"mean_throughput": 2.5, "mean_epoch_time": 4.0}},
          "wl-stats": {{"words": words, "cores": sorted(os.sched_getaffinity(0))}}, "log": "ok"}}
run_info = {{"copies": 1, "threads_per_copy": 1, "events_per_thread": 8}}
with open(f"{{out}}/{{words[1]}}_summary.json", "w") as file:
    json.dump({{"run_info": run_info, "report": report, "app": {{}}}}, file)
""")
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{Path(sys.executable).parent}:/usr/bin:/bin"}


def drive(env: dict[str, str], *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([DRIVER, *words], env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", sorted(CONFIG["benchmarks"]))
def test_the_driver_takes_the_words_of_hep_score(name, stand_in, tmp_path):
    args = CONFIG["benchmarks"][name]["args"]
    workload = name.split("-")[1]  # in an image a file says it
    words = ["-W", *command_words(args), "--mop", "all"]
    done = drive(stand_in, *words, "-w", str(tmp_path), "--workload", workload)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bin", f"{workload}_summary.json"]
    summary = json.loads((tmp_path / f"{workload}_summary.json").read_text())
    assert score_of_run(summary, {"mean_throughput": 1.0}) == 2.5
    called = summary["report"]["wl-stats"]["per_copy"][0]["words"]
    assert called[:4] == ["bench", workload, "--events", str(args["events"])]
    assert called[called.index("--batch-size") + 1] == str(args["batch-size"])


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_copies_run_on_cores_of_their_own_and_their_rates_add(stand_in, tmp_path):
    words = ("-c", "2", "-t", "1", "-e", "8", "--workload", "tagger", "-w", str(tmp_path))
    done = drive(stand_in, *words)
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path.parent.name.startswith("tagger-c2-t1-")
    summary = json.loads(path.read_text())
    assert summary["run_info"]["copies"] == 2
    report = summary["report"]
    assert report["wl-scores"] == {"mean_throughput": 5.0, "mean_epoch_time": 4.0}
    assert (report["wl-stats"]["count"], report["wl-stats"]["max"]) == (2, 2.5)
    cores = [copy["cores"] for copy in report["wl-stats"]["per_copy"]]
    assert all(len(c) == 1 for c in cores)
    assert cores[0] != cores[1]
    assert sorted(p.name for p in path.parent.glob("proc_*")) == ["proc_1", "proc_2"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--events", "many"], "--events: expected a number of at least 2, found 'many'"),
        (["--copies", "0"], "--copies: expected a number of at least 1, found '0'"),
        (["--copies", "9999"], "--copies x --threads: expected at most"),
        (["--workload", "lhcb"], "--workload: expected gan3d, mlpf or tagger, found 'lhcb'"),
        (["--surprise", "1"], "--surprise: unknown"),
        (["-e"], "-e: unknown, or without a value"),
        (["-w", "/no/such/place"], "/no/such/place: expected a folder that can be written"),
    ],
)
def test_the_driver_refuses_in_one_line(words, message, stand_in, tmp_path):
    done = drive(stand_in, "-w", str(tmp_path), *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["bin"]


def test_the_driver_passes_a_failure_on(stand_in, tmp_path):
    done = drive(stand_in, "-W", "-w", str(tmp_path), "--precision", "bf15")
    assert done.returncode == 1
    assert "found bf15" in done.stderr
    assert not list(tmp_path.glob("*.json"))


def test_recipes_make_what_the_driver_expects():
    docker, apptainer = ((LAUNCH / n).read_text() for n in ("Dockerfile", "apptainer.def"))
    for recipe in (docker, apptainer):
        assert "/bmk/hepjax-bmk.sh" in recipe
        assert "> /bmk/workload" in recipe
        assert re.search(r"python -m hepjax.bench.data .* /bmk/data", recipe)
    subprocess.run(["bash", "-n", LAUNCH / "measure-image.sh"], check=True)
