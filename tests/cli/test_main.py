"""Help, exit codes and the manners of all commands."""

import subprocess
import sys

import pytest

from hepjax import InputError
from hepjax.cli import doctor, main


def test_help_does_not_load_jax():
    code = (
        "import io, sys\nfrom contextlib import redirect_stdout\n"
        "from hepjax.cli import VERBS, main\n"
        "for argv in (['--help'], *([verb, '--help'] for verb in VERBS)):\n"
        "    with redirect_stdout(io.StringIO()) as said:\n"
        "        try: main(argv)\n        except SystemExit as e: assert e.code == 0\n"
        "    assert said.getvalue().startswith('usage: hepjax'), argv\n"
        "    assert 'jax' not in sys.modules and 'h5py' not in sys.modules, argv\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_verb_prints_help(capsys):
    assert main([]) == 2
    assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize(("option", "told"), [((), False), (("--debug",), True)])
def test_warnings_of_libraries_are_for_developers(option, told, tmp_path):
    code = (
        "import sys, warnings\nfrom hepjax import cli\nfrom hepjax.cli import doctor\n"
        "def run(args): warnings.warn('of a library', stacklevel=1); print('done'); return 0\n"
        "doctor.run = run\nsys.exit(cli.main())"
    )
    argv = [sys.executable, "-c", code, "doctor", *option]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == "done\n"
    assert ("of a library" in done.stderr) is told


def test_module_equals_program():
    argv = [sys.executable, "-m", "hepjax", "--version"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.startswith(
        "hepjax "
    )


def test_a_training_needs_a_configuration(capsys):
    assert main(["train"]) == 2
    assert "CONFIG: expected one name of a configuration, found none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("train gan3d/demo --runn x", "'--runn': expected an argument of hepjax train, found "),
        ("--nope", "'--nope': expected an argument of hepjax, found another; see hepjax --help"),
        ("inspect a --json=3", "--json: expected no value, found '3'; see hepjax inspect --help"),
        ("bench gan3d --out a --e 3", "--e: expected one option, found several that begin so: "),
        ("train gan3d/demo --run", "--run: expected one argument, found none; see hepjax train"),
        ("doctor --devices two", "--devices: expected a whole number, found 'two'; see hepjax"),
        ("trian gan3d/demo", "VERB: expected one of "),
        ("simulate events --events 1 --out o --pileup many", "--pileup: expected a number, found"),
        ("bench mlpf --out o --events 3 --complete", "--complete: expected it without --events"),
        ("launch local -- doctor", "expected -n/--processes, found none; see hepjax launch local"),
        (f"train gan3d/demo --devices {'9x' * 3000}", "--devices: expected a whole number"),
    ],
)
def test_a_mistake_in_a_command_is_one_line(line, said, capsys):
    with pytest.raises(SystemExit) as end:
        main(line.split())
    assert end.value.code == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"hepjax: error: {said}")
    assert len(told) < 700


def test_a_long_error_keeps_its_way_out(monkeypatch, capsys):
    def refuse(args):
        raise InputError(f"a.h5: expected few, found {'many ' * 2000}; copy it again")

    monkeypatch.setattr("hepjax.cli.doctor.run", refuse)
    assert main(["doctor"]) == 2
    told = capsys.readouterr().err
    assert len(told) < 1300
    assert told.startswith("hepjax: error: a.h5: expected few, found many many")
    assert told.endswith("; copy it again\n")


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


def test_doctor_shows_the_form_of_each_layer_and_which_cannot(monkeypatch):
    monkeypatch.setenv("HEPJAX_CONV3D", "bands")
    found = doctor._convolutions()
    layers = found["gan3d/published float32"]
    assert layers["1 to 32 channels, 5x5x5 taps, 25x25x25 cells"] == "bands:5"
    assert len(layers) == 7
    (said,) = found["tagger/top bfloat16"].values()
    assert "more than one slice for the form 'bands:5'" in said
