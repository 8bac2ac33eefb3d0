"""A run from the command line: what it leaves, how it resumes, what damage it survives."""

import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import toy

import hepjax
from hepjax import InputError
from hepjax.cli import main
from hepjax.engine import records
from hepjax.engine.checkpoint import MANIFEST, complete_steps
from hepjax.formats.showers.reader import open_showers


def test_a_run_directory_has_its_parts(tiny_run):
    assert {p.name for p in tiny_run.iterdir()} >= {
        "config.yaml", "hepjax.json", "metrics.jsonl", "checkpoints",
    }  # fmt: skip
    about = json.loads((tiny_run / "hepjax.json").read_text())
    assert 0 < about["goodput"]["fraction"] <= 1
    assert about["conv3d"]
    rows = records.read(tiny_run / "metrics.jsonl")
    assert [r["epoch"] for r in rows if r["event"] == "validation"] == [1.0, 2.0]


def test_generation_depends_on_the_seed_alone(tiny_run):
    run = hepjax.load(tiny_run)
    energy = np.linspace(20, 480, 10)
    showers = run.generate(energy=energy, seed=1)
    assert showers.shape == (10, 25, 25, 25)
    assert showers.dtype == np.float32
    for batch_size in (1, 3, 16):
        other = run.generate(energy=energy, seed=1, batch_size=batch_size)
        np.testing.assert_allclose(other, showers, rtol=1e-5, atol=1e-8)
    assert not np.array_equal(run.generate(energy=energy, seed=2), showers)


@pytest.mark.parametrize("energy", [[], [-1.0], [np.nan], [[1.0, 2.0]]])
def test_generation_refuses_bad_energies(tiny_run, energy):
    with pytest.raises(InputError, match="energy"):
        hepjax.load(tiny_run).generate(energy=energy)


def test_generate_writes_the_published_layout(tiny_run, tmp_path, capsys):
    out = tmp_path / "g.h5"
    argv = ["generate", str(tiny_run), "--events=12", "--energy=50:60", f"--out={out}", "--json"]
    assert main([*argv, "--batch-size=5", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["showers"] == 12
    assert report["ms_per_shower"] > 0
    with h5py.File(out) as file:
        assert file["ECAL"].shape == (12, 25, 25, 25)
        energy = file["target"][:, 1]
    assert np.all((energy >= 50) & (energy <= 60))
    first = out.read_bytes()
    assert main([*argv, "--batch-size=5", "--quiet"]) == 0
    assert out.read_bytes() == first
    again = tmp_path / "like.h5"
    assert main(["generate", str(tiny_run), f"--like={out}", f"--out={again}", "--quiet"]) == 0
    with h5py.File(again) as file:
        np.testing.assert_array_equal(file["target"][:, 1], energy)


def test_generate_writes_the_same_showers_as_root_and_parquet(tiny_run, tmp_path):
    uproot = pytest.importorskip("uproot", reason="the extra root is not installed")
    argv = ["generate", str(tiny_run), "--events=7", "--energy=50:60", "--batch-size=5", "--quiet"]
    for name in ("a.h5", "a.root", "a.PARQUET"):
        assert main([*argv, f"--out={tmp_path / name}"]) == 0
    showers = open_showers(tmp_path / "a.h5")[np.arange(7)]
    with uproot.open(tmp_path / "a.root") as file:
        tree = file["events"].arrays(library="np")
        assert file["hepjax_run"] == str(tiny_run)
    table = pq.read_table(tmp_path / "a.PARQUET")
    assert table.schema.metadata[b"hepjax.unit"] == b"GeV"
    nested = {name: np.array(table[name].to_pylist()) for name in table.column_names}
    for found in (tree, nested):
        np.testing.assert_allclose(found["ecal"], showers["ecal"], rtol=1e-6)
        np.testing.assert_allclose(found["energy"], showers["energy"], rtol=1e-6)


@pytest.mark.parametrize("name", ["g.txt", "g"])
@pytest.mark.parametrize("verb", ["generate", "predict"])
def test_an_unknown_ending_names_the_known(verb, name, tiny_run, tmp_path, capsys):
    more = ["--events=2"] if verb == "generate" else [f"--data={tmp_path}"]
    assert main([verb, str(tiny_run), *more, f"--out={tmp_path / name}"]) == 2
    said = capsys.readouterr().err
    assert f"{name}: expected a name that ends in ." in said
    assert all(f"{known}" in said for known in (".parquet", ".root", ".h5"))
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_best_checkpoint_falls_back_and_says_so(tiny_run, capsys):
    run = hepjax.load(tiny_run)
    folder = tiny_run / "checkpoints" / f"step_{run.step}"
    path = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    good = path.read_bytes()
    try:
        path.write_bytes(good[:99] + bytes([good[99] ^ 1]) + good[100:])
        assert hepjax.load(tiny_run).step != run.step
        assert f"{path}: expected the file of the manifest" in capsys.readouterr().err
        with pytest.raises(InputError, match=path.name):
            hepjax.load(tiny_run, step=run.step)
    finally:
        path.write_bytes(good)


@pytest.mark.slow
def test_evaluate_two_files(tiny_run, tmp_path, capsys):
    files = []
    for seed in "12":
        files.append(tmp_path / f"{seed}.h5")
        main(["generate", str(tiny_run), "--events=60", f"--seed={seed}", f"--out={files[-1]}"])
    out = tmp_path / "report"
    argv = ["evaluate", "--reference", str(files[0]), "--generated", str(files[1])]
    capsys.readouterr()
    assert main([*argv, f"--out={out}", "--json", "--quiet"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores == json.loads((out / "scores.json").read_text())
    assert scores["sampling_fraction_mre"] < 0.5
    assert (out / "index.html").stat().st_size > 10_000


@pytest.mark.slow
def test_evaluate_a_run_with_all_plots(tiny_run, tmp_path, capsys):
    data, out = tmp_path / "test.h5", tmp_path / "report"
    main(["generate", str(tiny_run), "--events=60", "--seed=3", f"--out={data}"])
    argv = ["evaluate", str(tiny_run), "--data", str(data), f"--out={out}", "--quiet"]
    assert main([*argv, "--workers=0", "--plots=all"]) == 2
    assert "--workers: expected at least 1" in capsys.readouterr().err
    assert main([*argv, "--plots=all", "--workers=1"]) == 0
    scores = json.loads((out / "scores.json").read_text())
    drawn = {path.stem for path in (out / "figures" / "all").iterdir()}
    assert drawn == {plot["name"] for plot in scores["plots"]}
    assert len(drawn) > 60
    assert (out / "plots.html").exists()


@pytest.mark.slow
def test_evaluate_a_run_with_the_metrics_of_the_field(tiny_run, tmp_path):
    data, out = tmp_path / "test.h5", tmp_path / "report"
    main(["generate", str(tiny_run), "--events=60", "--seed=3", f"--out={data}"])
    argv = ["evaluate", str(tiny_run), "--data", str(data), f"--out={out}", "--quiet"]
    assert main([*argv, "--metrics=small"]) == 0
    found = json.loads((out / "scores.json").read_text())["field"]
    assert found["settings"] == "small"
    assert {"low", "high", "fpd", "recall"} <= set(found)


def command(*argv):
    return [sys.executable, "-m", "hepjax", *argv]


@pytest.fixture
def long_run(tiny_config, tmp_path):
    argv = ["train", str(tiny_config), "--run", str(tmp_path / "run"), "train.epochs=2000"]
    child = subprocess.Popen(command(*argv, "--devices=1"), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not complete_steps(tmp_path / "run" / "checkpoints"):
        assert child.poll() is None, child.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with child:
        yield child, tmp_path / "run"
        child.kill()


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)],
)
def test_interruption_saves_and_resumes(long_run, tiny_config, number, code):
    child, run = long_run
    child.send_signal(number)
    err = child.communicate(timeout=60)[1]
    assert child.returncode == code
    assert "Traceback" not in err
    saved = complete_steps(run / "checkpoints")[-1]
    assert f"saved at step {saved}" in err
    argv = ["train", str(tiny_config), "--run", str(run), f"train.steps={saved + 1}"]
    assert main([*argv, "train.epochs=2000", "--quiet"]) == 0
    assert complete_steps(run / "checkpoints")[-1] == saved + 1


def test_two_processes_do_not_train_in_one_directory(long_run, tiny_config, capsys):
    _, run = long_run
    argv = ["train", str(tiny_config), "--run", str(run), "train.epochs=2000", "--quiet"]
    assert main(argv) == 2
    assert "another process" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path):
    """The toy run needs some 60 kB a checkpoint; the disk has room for a few."""
    script = toy.__file__
    run = tmp_path / "run"
    inner = (
        f"mkdir -p {run} && mount -t tmpfs -o size=200k tmpfs {run} && {sys.executable} {script} "
        f"{run} 0; code=$?; cat {run}/checkpoints/*/{MANIFEST} | grep -c sha256; "
        f"ls {run}/checkpoints; exit $code"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", inner], capture_output=True, text=True, timeout=120
    )
    if "mount" in done.stderr and "permission denied" in done.stderr:
        pytest.skip("mounting is not allowed here")
    assert done.returncode == 1  # the script does not catch; the command line makes it 2
    assert "InputError" in done.stderr
    assert "no space left" in done.stderr
    assert "last good checkpoint is step" in done.stderr
    assert int(done.stdout.split()[0]) >= 1
    assert "tmp" not in done.stdout
