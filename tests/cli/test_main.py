"""Help, exit codes and the manners of all commands."""

import subprocess
import sys

import pytest

from hepjax.cli import VERBS, main


@pytest.mark.parametrize("argv", [["--help"], *([verb, "--help"] for verb in VERBS)])
def test_help_does_not_load_jax(argv):
    code = (
        "import sys\nfrom hepjax.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as e: assert e.code == 0\n"
        "assert 'jax' not in sys.modules and 'h5py' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: hepjax")


def test_no_verb_prints_help(capsys):
    assert main([]) == 2
    assert "usage" in capsys.readouterr().out


def test_module_equals_program():
    argv = [sys.executable, "-m", "hepjax", "--version"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.startswith(
        "hepjax "
    )


def test_unknown_argument_is_an_error(capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "gan3d/demo", "--runn", "x"])
    assert end.value.code == 2
    assert "--runn" in capsys.readouterr().err


def test_a_bug_is_called_one(capsys, monkeypatch):
    monkeypatch.setattr("hepjax.cli.doctor.run", lambda args: 1 / 0)
    assert main(["doctor"]) == 1
    assert "hepjax: bug: ZeroDivisionError" in capsys.readouterr().err


def test_doctor(capsys):
    import json

    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["packages"]["jax"]
    assert report["matmul_gflops"]["float32"] > 0
    assert report["energy"]["gpu"] == "NVML: jax uses no GPU"
    assert report["energy"]["cpu"]
    assert main(["doctor"]) == 0
    assert "conv3d" in capsys.readouterr().out
