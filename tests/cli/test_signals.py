"""Signals end a command with 128 + their number: at any moment, once or several times."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hepjax.cli import main
from hepjax.engine import signals

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def start(code, *before):
    """A command in whose verb ``doctor`` the given code runs and prints ``began``."""
    script = (
        "import os, sys, time\n"
        "from hepjax.cli import doctor, main\nfrom hepjax.engine import signals\n"
        f"def run(args):\n    began = 'print(1, flush=True)'\n    {code}\n    return 0\n"
        "doctor.run = run\nsys.argv = ['hepjax', 'doctor']\n"
        "signals.at_start()\nsys.exit(main())\n"
    )
    child = subprocess.Popen(
        [*before, sys.executable, "-c", script],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout.readline() == "1\n"
    return child


def ended(child, *numbers, pause=0.6, timeout=20):
    for number in numbers:
        if child.poll() is None:
            child.send_signal(number)
            time.sleep(pause)
    err = child.communicate(timeout=timeout)[1]
    assert "Traceback" not in err
    return child.returncode, err


@pytest.mark.parametrize("number", NUMBERS)
def test_work_is_tidied_up(number):
    child = start(
        "\n    try: exec(began); time.sleep(60)\n    finally: print('tidy', file=sys.stderr)"
    )
    assert ended(child, number) == (128 + number, "tidy\nhepjax: interrupted\n")


@pytest.mark.parametrize("number", NUMBERS)
def test_the_second_one_ends_the_process_that_tidies_up_for_too_long(number):
    child = start("\n    try: exec(began); time.sleep(60)\n    finally: time.sleep(60)")
    assert ended(child, number, number, timeout=1) == (128 + number, "hepjax: interrupted\n")


def test_a_process_that_cannot_answer_is_ended():
    """Python's handlers wait for the end of a call into C, such as a compilation."""
    busy = (
        "import ctypes; libc = ctypes.CDLL(None); exec(began); [libc.sleep(60) for _ in range(9)]"
    )
    child = start(busy)
    began = time.monotonic()
    assert ended(child, signal.SIGTERM, pause=0)[0] == 143
    assert time.monotonic() - began < signals.TIDY_SECONDS + 5


def test_a_signal_that_a_library_swallows_is_no_success():
    child = start("\n    try: exec(began); time.sleep(60)\n    except BaseException: pass")
    assert ended(child, signal.SIGINT)[0] == 130
    failing = "raise ImportError('start')"
    child = start(f"\n    try: exec(began); time.sleep(60)\n    except BaseException: {failing}")
    assert ended(child, signal.SIGINT)[0] == 130


@pytest.mark.parametrize(
    "place",
    [
        "\n    class Slow:\n        def __del__(self): slow()\n    Slow()",
        "\n    class Slow: pass\n    one = Slow()\n"
        "    known = weakref.ref(one, lambda _: slow())\n    del one",
        "\n    gc.callbacks.append(lambda *_: slow())\n    gc.collect(0)",
    ],
    ids=["finaliser", "weak reference", "collector"],
)
def test_a_signal_where_python_forgets_exceptions_is_neither_lost_nor_a_traceback(place):
    code = (
        "\n    import gc, weakref\n"
        "    def slow():\n        gc.callbacks.clear(); exec(began)\n"
        f"        for _ in range(80): time.sleep(0.01){place}\n    time.sleep(60)"
    )
    assert ended(start(code), signal.SIGTERM, pause=0) == (143, "hepjax: interrupted\n")


def test_what_a_training_has_is_saved_after_a_double_one():
    """A terminal that closes sends SIGHUP twice."""
    code = (
        "\n    signals.enter(signals.State.SAVING); exec(began)\n"
        "    while not signals.received: time.sleep(0.1)\n"
        "    time.sleep(0.5); print('saved', file=sys.stderr); return 128 + signals.received[0]"
    )
    code_, err = ended(start(code), signal.SIGHUP, signal.SIGHUP, pause=0.1)
    assert code_ == 129
    assert err.endswith("saved\n")


@pytest.mark.parametrize("state", ["WORKING", "SAVING"])
@pytest.mark.parametrize("number", NUMBERS)
def test_after_the_work_it_is_no_success_either(number, state):
    """Between the end of the command and that of Python."""
    late = "signals.default = lambda: (exec(began), time.sleep(60))"
    child = start(f"signals.enter(signals.State.{state}); {late}")
    assert ended(child, number, pause=0) == (128 + number, "hepjax: interrupted\n")


def test_while_an_error_is_told():
    late = "cli._told = lambda *_: (exec(began), time.sleep(60))"
    child = start(f"from hepjax import cli; {late}; raise ValueError")
    assert ended(child, signal.SIGINT, pause=0) == (130, "hepjax: interrupted\n")


def test_nohup_holds():
    child = start("exec(began); time.sleep(1)", "nohup")
    assert ended(child, signal.SIGHUP)[0] == 0


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.15, 0.3])
def test_the_start(seconds):
    child = subprocess.Popen(
        [sys.executable, "-m", "hepjax", "doctor"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    # From the first line of Python on; before that the system ends it with the same code.
    while "hepjax" not in Path(f"/proc/{child.pid}/cmdline").read_text():
        time.sleep(0.001)
    time.sleep(seconds)
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=20)
    assert child.returncode in (143, -15), (out, err)
    assert "Traceback" not in err


def test_handlers_are_as_before_in_a_process_that_goes_on():
    before = [signal.getsignal(n) for n in NUMBERS]
    assert main([]) == 2
    assert [signal.getsignal(n) for n in NUMBERS] == before


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [[n] * k for n in NUMBERS for k in (1, 2)], ids=str)
@pytest.mark.parametrize("moment", ["compiling", "training"])
def test_a_training(numbers, moment, tiny_config, tmp_path):
    """A real one, in a compilation without a cache, or with updates to save."""
    run, log = tmp_path / "run", tmp_path / "log"
    with log.open("w") as err:
        child = subprocess.Popen(
            [sys.executable, "-m", "hepjax", "train", str(tiny_config), "--run", str(run),
             "train.epochs=9999", "train.record_every=1", "train.keep_compiled=false"],
            stderr=err, env=os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"},
        )  # fmt: skip
        word = "compiling" if moment == "compiling" else "train:"
        while word not in log.read_text():
            assert child.poll() is None, log.read_text()
            time.sleep(0.02)
        for number in numbers:
            time.sleep(0.7)
            if child.poll() is None:
                child.send_signal(number)
        assert child.wait(timeout=60) == 128 + numbers[0], log.read_text()
    assert "Traceback" not in log.read_text()
    if moment == "training" and len(numbers) == 1:
        assert "saved at step" in log.read_text()
