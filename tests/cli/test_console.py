"""Streams that are closed, full, ASCII, or whose reader has gone."""

import io
import json
import os
import subprocess
import sys

import pytest
from helpers.gan3d import raw_showers

from hepjax.cli import main
from hepjax.engine.checkpoint import complete_steps
from hepjax.engine.progress import progress
from hepjax.formats.showers.writer import write_showers


@pytest.fixture
def data(tmp_path):
    write_showers(tmp_path / "data", [raw_showers(20)], layout="fixed", events_per_file=20)
    return str(tmp_path / "data")


@pytest.fixture
def stream(request):
    """One of ``STREAMS``, closed in the end."""
    made = STREAMS[request.param]()
    yield made
    if made is not None:
        made.close()


def without_reader():
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = {
    "full": lambda: open("/dev/full", "w"),  # noqa: SIM115
    "without a reader": without_reader,
    "closed": closed,
    "closed before": lambda: None,
}


@pytest.mark.parametrize("stream", STREAMS, indirect=True)
def test_progress_that_cannot_be_written_is_lost(stream, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("count", 2, "events") as advance:  # also of the library, without the command
        advance(2)
    assert main(["pack", data, "--out", str(tmp_path / "packed"), "--workers", "1"]) == 0
    assert "verified" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "stream"), [(k, k) for k in STREAMS], indirect=["stream"])
@pytest.mark.parametrize("argv", [["inspect"], ["pack", "--json"], ["pack"]])
def test_results_that_cannot_be_written(kind, stream, argv, data, tmp_path, monkeypatch, capsys):
    out = [] if argv == ["inspect"] else ["--out", str(tmp_path / "packed"), "--workers", "1"]
    monkeypatch.setattr(sys, "stdout", stream)
    code = main([*argv, data, *out, "--quiet"])
    err = capsys.readouterr().err
    # The last line of pack is a remark; nobody reads it. A reader of inspect has seen enough.
    silent = kind != "full" and argv == ["pack"]
    if silent or (kind == "without a reader" and argv == ["inspect"]):
        assert (code, err) == (0, "")
    else:
        assert code == 2
        assert err.startswith("hepjax: error: standard output: expected to write the result, found")


@pytest.mark.parametrize(("stream", "code"), [("full", 2), ("without a reader", 0)])
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"]])
def test_help_that_cannot_be_written(stream, code, words, monkeypatch, capsys):
    made = STREAMS[stream]()
    monkeypatch.setattr(sys, "stdout", made)
    assert main(words) == code
    assert ("No space left" in capsys.readouterr().err) == (code == 2)
    made.close()


def test_ascii(data, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["inspect", data, "--quiet"]) == 0
    assert b" +- " in out.buffer.getvalue()
    out.write("\u0394\u03b7 = 1\u00d72 \u00e9\u4e2d")
    out.flush()
    assert out.buffer.getvalue().endswith(b"Deltaeta = 1x2 e?")


def test_a_training_whose_reader_goes_is_trained_to_the_end(tiny_config, tmp_path):
    run = tmp_path / "run"
    child = subprocess.Popen(
        [sys.executable, "-m", "hepjax", "train", str(tiny_config), "--run", str(run)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    assert child.wait(timeout=120) == 0
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert records[-1]["epoch"] == 2.0
    assert complete_steps(run / "checkpoints")


def test_no_file_takes_the_number_of_a_closed_stream(tmp_path):
    """C++ libraries write to number 2, whatever is there."""
    script = (
        "import os, sys; from hepjax.cli.console import attached\n"
        "with attached(): file = open(sys.argv[1], 'w'); os.write(2, b'noise'); file.write('mine')"
    )
    path = tmp_path / "file"
    command = f'exec "{sys.executable}" -c "$0" "{path}" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", command, script]).returncode == 0
    assert path.read_text() == "mine"
