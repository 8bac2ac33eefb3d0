"""What is not allowed, not here or out of range: one rule for all verbs, one line, code 2."""

import errno
import os
import shutil
import subprocess
import sys

import pytest
from helpers.gan3d import raw_showers

import hepjax
from hepjax import InputError
from hepjax.cli import main
from hepjax.cli.jet_meaning import worded
from hepjax.formats import access
from hepjax.formats.showers.layout import GEOMETRY_HINT, UNIT_HINT
from hepjax.formats.showers.writer import write_showers

SEEDED = [
    ["simulate", "showers", "--events=1", "--out=o"],
    ["simulate", "jets", "--task=top", "--events=1", "--out=o"],
    ["simulate", "events", "--events=1", "--out=o"],
    ["simulate", "photons", "--events=1", "--out=o"],
    ["generate", "RUN", "--events=1", "--out=o.h5"],
    ["evaluate", "RUN", "--out=o"],
    ["bench", "gan3d", "--out=o"],
]


@pytest.mark.parametrize("seed", [-1, 2**31, 2**32, 2**63, 2**64])
@pytest.mark.parametrize("argv", SEEDED, ids=lambda argv: " ".join(argv[:2]))
def test_one_range_for_seeds(argv, seed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*argv, f"--seed={seed}"]) == 2
    said = f"hepjax: error: --seed: expected 0 to 2147483647, found {seed}\n"
    assert capsys.readouterr().err == said
    assert not list(tmp_path.iterdir())


def test_seeds_of_the_library(tiny_run, tmp_path):
    run = hepjax.load(tiny_run)
    for seed in (-1, 2**31):
        with pytest.raises(InputError, match="seed: expected 0 to 2147483647"):
            run.generate(energy=[100.0], seed=seed)
        with pytest.raises(InputError, match="seed: expected 0 to 2147483647"):
            run.evaluate([], tmp_path / "report", seed=seed)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.EIO, "Input/output error", "a/b"), "a/b: expected a file or folder that "),
        (OSError(errno.EMFILE, "Too many open files"), "found: Too many open files"),
        (OSError("no number"), "found: no number"),
        (OSError(errno.ESTALE, "Stale file handle", b"a"), "a: expected"),
    ],
)
def test_every_refusal_of_the_system_is_one_line(error, line, monkeypatch, capsys):
    def refused(args):
        raise error

    monkeypatch.setattr("hepjax.cli.doctor.run", refused)
    assert main(["doctor"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("hepjax: error: ")
    assert line in said


WITHOUT_RIGHTS = [
    "setpriv", "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
]  # fmt: skip
"""A root that modes bind."""


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A folder of showers, and one of somebody else with mode 700 that holds anything."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("giving files away needs root and setpriv")
    folder = tmp_path_factory.mktemp("others")
    write_showers(folder / "open", [raw_showers(20)], layout="fixed", events_per_file=20)
    private = folder / "private"
    shutil.copytree(folder / "open", private)
    (private / "own.yaml").write_text("workload: gan3d")
    shutil.copytree(folder / "open", folder / "files")
    private.chmod(0o700)
    os.chown(private, 1234, 1234)
    for file in (folder / "files").iterdir():
        file.chmod(0o600)
        os.chown(file, 1234, 1234)
    return folder


VERBS = [
    "inspect private", "inspect private/a.h5", "inspect files",
    "train gan3d/small data.files=[private] --run r1", "train private/own.yaml --run r3",
    "train mlpf/demo data.files=[private/e.pkl.bz2] --run r2",
    "train gan3d/small data.files=[open] --run private/r", "pack private --out p",
    "simulate showers --events 1 --out private/new", "evaluate private",
    "evaluate --reference open --generated private", "generate private --events 1 --out g.h5",
    "predict private --data open --out x.parquet", "bench gan3d --data private --out b",
]  # fmt: skip


def without_rights(folder, words):
    done = subprocess.run(
        [*WITHOUT_RIGHTS, sys.executable, "-m", "hepjax", *words.split(), "--quiet"],
        cwd=folder, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )  # fmt: skip
    kind, name = ("file", "files/") if words == "inspect files" else ("folder", "private:")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"hepjax: error: {name}")
    assert done.stderr.endswith(f"expected a readable {kind}, found: Permission denied\n")
    assert done.stderr.count("\n") == 1


def test_a_folder_of_somebody_else(others):
    without_rights(others, "inspect private/a.h5")


@pytest.mark.slow
@pytest.mark.parametrize("words", VERBS)
def test_a_folder_of_somebody_else_for_every_verb(words, others):
    without_rights(others, words)


def test_what_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "closed" / "deep" / "file.h5"
    path.parent.mkdir(parents=True)
    path.touch()
    assert access.denied(path) is None
    assert access.denied(tmp_path / "none" / "file.h5") is None
    shut = tmp_path / "closed"
    monkeypatch.setattr(os, "access", lambda p, mode: p != shut)
    monkeypatch.chdir(tmp_path)
    said = "closed: expected a readable folder, found: Permission denied"
    assert access.denied(path) == said
    assert access.refusal(PermissionError(errno.EACCES, "Permission denied", str(path))) == said


@pytest.mark.parametrize(
    ("variable", "value", "way_out"),
    [
        ("JAX_PLATFORMS", "nonsense", "unset it"),
        ("JAX_PLATFORMS", "tpu", "pip install 'hepjax[tpu]', or unset it"),
        ("JAX_PLATFORM_NAME", "gpu", "pip install 'hepjax[cuda]', or unset it"),
    ],
)
def test_a_platform_that_is_not_here(variable, value, way_out, tiny_config, tmp_path):
    verbs = {
        "train": (["train", str(tiny_config), "--run", "run"], 2),
        "inspect": (["inspect", str(tiny_config.parent / "data"), "--quiet"], 0),
    }
    env = {k: v for k, v in os.environ.items() if k not in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")}
    for argv, code in verbs.values():
        done = subprocess.run(
            [sys.executable, "-m", "hepjax", *argv], cwd=tmp_path, capture_output=True, text=True,
            env=env | {variable: value, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        if code:
            expected = f"{variable}: expected a platform that is here (cpu), found {value!r}; "
            assert done.stderr == f"hepjax: error: {expected}{way_out}\n"
            assert not list(tmp_path.iterdir())
        else:
            assert done.stderr == ""


def test_a_hint_names_what_the_verb_has():
    text = "a.npz: say which: --channels ECAL,HCAL (x) | --channels pT; --labels 0=qcd,1=top"
    assert worded("inspect", text) == worded("pack", text) == text
    assert worded("train", text) == (
        "a.npz: say which: 'data.stored_channels=[ECAL,HCAL]' (x) | 'data.stored_channels=[pT]'; "
        "'data.labels=[qcd,top]'"
    )
    assert worded("profile", text) == worded("train", text)
    assert worded("train", "leave --shape out") == "leave data.shape out"
    assert worded("predict", text).endswith(
        "; hepjax pack has --channels, --labels and writes files that say it"
    )
    assert "--shape ROWS" not in worded("evaluate", "say which: --shape ROWS,COLUMNS")


@pytest.mark.parametrize(
    ("verb", "unit", "geometry"),
    [
        ("inspect", "say it: --unit UNIT", "say it: --geometry NAME|FILE"),
        ("train", "say it: data.unit=UNIT", "say it: data.calorimeter=NAME|FILE"),
        ("profile", "say it: data.unit=UNIT", "say it: data.calorimeter=NAME|FILE"),
        (
            "generate",
            "hepjax pack has --unit and writes files that say it",
            "hepjax pack has --geometry and writes files that say it",
        ),
    ],
)
def test_a_hint_about_showers_names_what_the_verb_has(verb, unit, geometry):
    assert worded(verb, f"a.h5: expected b, found c; {UNIT_HINT}").endswith(f"c; {unit}")
    assert worded(verb, f"a.h5: expected b, found c; {GEOMETRY_HINT}").endswith(f"c; {geometry}")


def test_generate_says_what_was_perhaps_not_meant(tiny_run, tmp_path, capsys):
    argv = ["generate", str(tiny_run), "--events=2", f"--out={tmp_path / 'g.h5'}", "--quiet"]
    assert main(argv) == 0
    assert capsys.readouterr().err == ""
    assert main([*argv, "--energy=900:950"]) == 2
    (beyond,) = capsys.readouterr().err.splitlines()
    assert beyond.startswith("hepjax: error: energy: expected 10 to 500 GeV as ")
    assert "(2 of 2 outside)" in beyond
    assert main([*argv, "--energy=900:950", "--extrapolate"]) == 0
    (replaced,) = capsys.readouterr().err.splitlines()
    assert (
        replaced == f"hepjax: warning: {tmp_path / 'g.h5'}: the file of this name will be replaced"
    )
