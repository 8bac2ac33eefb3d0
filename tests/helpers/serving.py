"""Runs to serve, with weights that nobody trained, and a server in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import jax

from helpers.mlpf import CONCAT
from helpers.mlpf import config as mlpf_config
from helpers.tagger import TINY as TAGGER
from hepjax.engine import rundir
from hepjax.engine.checkpoint import Checkpoints
from hepjax.engine.config import MeshConfig
from hepjax.engine.step import init_state
from hepjax.workloads import table

MLPF = mlpf_config(CONCAT)
MLPF = replace(MLPF, data=replace(MLPF.data, buckets=(8, 16, 32)))


def save(folder: Path, name: str, cfg, step: int = 3, seed: int = 0, score: float = 1.0) -> Path:
    """A run directory with a checkpoint of fresh weights; or one more checkpoint in it."""
    workload = table.get(name)
    cfg = replace(cfg, mesh=MeshConfig(devices=1), train=replace(cfg.train, seed=seed))
    if not (folder / "config.yaml").exists():
        folder.mkdir(parents=True, exist_ok=True)
        rundir.save_settings(folder, rundir.stored_settings(name, cfg))
    state = jax.jit(lambda: init_state(workload, cfg))()
    with Checkpoints(folder / "checkpoints", keep=5) as checkpoints:
        checkpoints.save(step, state, {"epoch": 1.0, "score": score})
    return folder


class Server:
    """``hepjax serve`` in a process of its own; its log as a list of objects."""

    def __init__(self, *arguments: object, wait: str = "ready") -> None:
        command = [sys.executable, "-m", "hepjax", "serve", "--http", "0", "--grpc", "0"]
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)], stderr=subprocess.PIPE, text=True,
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )  # fmt: skip
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        about = self.wait_for(wait)
        self.http, self.grpc = (f"127.0.0.1:{about[p]}" for p in ("http", "grpc"))

    def _read(self) -> None:
        for text in self.process.stderr:
            with self._news:
                self.lines.append(text)
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def events(self, name: str) -> list[dict]:
        """Lines of the log of this kind."""
        found = [json.loads(text) for text in self.lines if text.startswith("{")]
        return [line for line in found if line["event"] == name]

    def wait_for(self, name: str, timeout: float = 300) -> dict:
        """The first line of this kind, once it is there."""
        with self._news:
            self._news.wait_for(
                lambda: self.events(name) or self.process.poll() is not None, timeout
            )
        assert self.events(name), "".join(self.lines)
        return self.events(name)[0]

    def stop(self, number: int = signal.SIGTERM, timeout: float = 60) -> int:
        """Its exit code after a signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        self.process.stderr.close()
        return code

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stderr.close()


__all__ = ["MLPF", "TAGGER", "Server", "save"]
