"""``hepjax serve`` as a process: what it refuses, how it ends, and Triton's own client."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.serving import MLPF, TAGGER, Server, save

from benchmarks.faults.serve_requests import ask, event
from hepjax import InputError
from hepjax.cli import main

CLIENT = Path(__file__).with_name("triton_client.py")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return save(tmp_path_factory.mktemp("serve") / "mlpf", "mlpf", MLPF)


def test_wrong_commands_are_one_line(run, tmp_path, capsys):
    token, empty = tmp_path / "token", tmp_path / "empty"
    token.write_text("two words\n")
    empty.touch()
    for words, said in (
        (["nowhere"], "expected a run directory"),
        ([run, f"mlpf={run}"], "expected another name"),
        ([f"a/b={run}"], "expected"),
        ([run, "--http", "70000"], "--http: expected 0 to 65535, found 70000"),
        ([run, "--http", "8000", "--grpc", "8000"], "--grpc: expected another port"),
        ([run, "--batch-size", "0"], "--batch-size: expected 1"),
        ([run, "--lengths", "16,8"], "--lengths: expected rising"),
        ([run, "--lengths", "a"], "--lengths: expected numbers"),
        ([run, "--token-file", token], "expected one token, found 2 words"),
        ([run, "--token-file", tmp_path / "none"], "expected a file with a token"),
        ([run, "--tls-cert", empty], "--tls-cert: expected --tls-key"),
        ([run, "--tls-cert", empty, "--tls-key", empty], "expected a certificate"),
        ([run, "--host", "203.0.113.7"], "--host: expected an address of this machine"),
    ):
        assert main(["serve", *map(str, words)]) == 2
        err = capsys.readouterr().err.splitlines()
        assert err[-1].startswith("hepjax: error: ")
        assert said in err[-1]
        assert len([line for line in err if not line.startswith("{")]) == 1


def test_graphs_are_not_served(tmp_path):
    from hepjax.run import configured
    from hepjax.serve.served import opened

    run = save(tmp_path / "graphs", "tracking", configured("tracking/demo", [])[1])
    with pytest.raises(InputError, match="expected a model whose events can be padded"):
        opened("graphs", run, 1, (8,))


def test_a_missing_package_is_one_line(run, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("hepjax.serve")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", str(run)]) == 2
    assert "pip install 'hepjax[serve]'" in capsys.readouterr().err


def test_sigterm_answers_what_is_there_and_ends_with_143(run):
    """Eight clients ask without a pause; each of them gets answers, or no connection any more."""
    wrong = []

    def client(seed):
        while True:
            try:
                status, _, body = ask(server.http, "/v2/models/mlpf/infer", event(5, seed))
            except ConnectionRefusedError:
                return
            except (ConnectionError, OSError):
                continue
            if status != 200:
                wrong.append((status, body))

    with Server(run, "--lengths", "8", "--batch-size", "2") as server:
        threads = [threading.Thread(target=client, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        assert server.stop(signal.SIGTERM) == 143
        for thread in threads:
            thread.join(60)
    assert wrong == []
    assert server.events("ended")[0]["answered"]["OK"] >= 8
    assert all(text.startswith("{") for text in server.lines)


@pytest.mark.slow
def test_an_unmodified_triton_client_calls_everything(run, tmp_path):
    """``HEPJAX_TRITONCLIENT`` is the Python of an environment with tritonclient[http,grpc]."""
    python = os.environ.get("HEPJAX_TRITONCLIENT")
    if not python:
        pytest.skip("HEPJAX_TRITONCLIENT is not set")
    tagger = save(tmp_path / "tagger", "tagger", TAGGER)
    with Server(tagger, run, "--batch-size", "8", "--lengths", "8") as server:
        command = [python, CLIENT, server.http, server.grpc, "tagger"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["answers"] > 40
        assert server.stop() == 143


@pytest.mark.slow
def test_tokens_and_tls(run, tmp_path):
    """With a certificate that openssl signs here."""
    key, certificate, token = (tmp_path / name for name in ("key", "certificate", "token"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
         certificate, "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    token.write_text("secret\n")
    import grpc

    from hepjax.serve.messages import SERVICE, classes

    kinds, path = classes(), "/v2/models/mlpf"
    tls = ("--tls-cert", certificate, "--tls-key", key)
    with Server(run, "--lengths", "8", "--batch-size", "1", "--token-file", token) as server:
        assert ask(server.http, "/v2/health/ready")[0] == 200
        assert ask(server.http, path)[0] == 401
        assert ask(server.http, path, headers={"authorization": "Bearer wrong"})[0] == 401
        assert ask(server.http, path, headers={"authorization": "Bearer secret"})[0] == 200
        assert server.stop() == 143
    with Server(run, "--lengths", "8", "--batch-size", "1", "--token-file", token, *tls) as server:
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
        with grpc.secure_channel(server.grpc, credentials) as channel:
            call = channel.unary_unary(f"/{SERVICE}/ModelMetadata")
            asked = kinds["ModelMetadataRequest"](name="mlpf").SerializeToString()
            with pytest.raises(grpc.RpcError) as caught:
                call(asked)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            answer = call(asked, metadata=[("authorization", "Bearer secret")])
            assert kinds["ModelMetadataResponse"].FromString(answer).name == "mlpf"
        command = ["curl", "-s", "--cacert", certificate, "-H", "Authorization: Bearer secret"]
        shown = subprocess.run([*command, f"https://{server.http}{path}"], capture_output=True)
        assert json.loads(shown.stdout)["name"] == "mlpf"
        assert server.stop() == 143
