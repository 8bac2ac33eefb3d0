"""Examples of every verb, completion in real shells, and the nearest names of what is mistyped."""

import argparse
import shlex
import shutil
import subprocess

import pytest

from hepjax.cli import VERBS, _parser, main
from hepjax.cli.completion import words
from hepjax.cli.examples import EXAMPLES


def test_every_verb_has_an_example():
    assert set(VERBS) == set(EXAMPLES)


@pytest.mark.parametrize("verb", VERBS)
def test_examples_can_be_typed(verb, capsys):
    """They go through the parser of the verb, and stand in its help."""
    for typed, _ in EXAMPLES[verb]:
        argv = shlex.split(typed.partition(" > ")[0])
        assert argv[0] == verb
        if "--help" not in argv:
            _, rest = _parser(argv).parse_known_args(argv)
            assert not [word for word in rest if word.startswith("-")]
    assert main([verb, "--help"] if verb else []) == 0
    said = capsys.readouterr().out
    assert f"hepjax {EXAMPLES[verb][0][0]}" in said


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The scripts of the shells, by name."""
    folder = tmp_path_factory.mktemp("completion")
    made = {}
    for shell in ("bash", "zsh", "fish"):
        made[shell] = folder / shell
        with made[shell].open("w") as file, pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdout", file)
            assert main(["completion", shell]) == 0
    return made


def completed(script, *typed):
    """What bash offers after these words, the last one begun."""
    line = " ".join(map(shlex.quote, ("hepjax", *typed)))
    text = (
        f"source {shlex.quote(str(script))}; COMP_WORDS=({line}); COMP_CWORD={len(typed)}; "
        '_hepjax; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", text], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_bash(script):
    assert completed(script["bash"], "tr") == ["train"]
    assert {"train", "data"} <= set(completed(script["bash"], ""))
    assert completed(script["bash"], "data", "sh") == ["show"]
    assert completed(script["bash"], "data", "get", "calochallenge-1-ph") == [
        "calochallenge-1-photons"
    ]
    assert completed(script["bash"], "train", "gan3d/pub") == ["gan3d/published"]
    assert completed(script["bash"], "train", "gan3d/demo", "--ru") == ["--run"]
    assert completed(script["bash"], "simulate", "showers", "--events-p") == ["--events-per-file"]
    assert completed(script["bash"], "inspect", "file") == []  # left to the files


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_parse_theirs(script, shell):
    if shutil.which(shell) is None:
        assert "complete" in script[shell].read_text()
        return
    subprocess.run([shell, "-n", str(script[shell])], check=True)


def test_words_hold_no_hidden_options():
    found = words()
    assert "--debug" in found["train"]
    assert argparse.SUPPRESS not in found["train"]
    assert "gan3d/demo" in found["train"]
    assert not [word for word in found["train"] if word.startswith("calorimeters/")]


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("trian gan3d/demo", "did you mean train?"),
        ("data lst", "did you mean list?"),
        ("data show mlpf-delfes", "did you mean mlpf-delphes?"),
        ("train gan3d/dmo", "did you mean gan3d/demo?"),
        ("train gan3d/demo train.epoch=3", "did you mean train.epochs?"),
        ("doctor --jsn", "did you mean --json?"),
        ("train tracking/demo --out runs/tracks", "did you mean --run?"),
        ("inspect showrs.h5", "did you mean showers.h5?"),
        ("pack dta/showers --out x", "did you mean data?"),
        ("evaluate rums/a", "did you mean runs?"),
        ("runs runz", "did you mean runs?"),
    ],
)
def test_nearest_names(tmp_path, monkeypatch, capsys, typed, near):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "showers.h5").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "runs").mkdir()
    try:
        code = main(shlex.split(typed))
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    said = capsys.readouterr().err
    assert near in said
    assert said.count("\n") == 1
