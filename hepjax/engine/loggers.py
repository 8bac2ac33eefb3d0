"""Records of a run for TensorBoard, MLflow and Weights & Biases, as they are written.

``metrics.jsonl`` stays what counts: a logger that fails is told of once and left out, and the
training goes on. Nothing leaves the machine unless the variables of MLflow and W&B ask for it.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from hepjax import MissingExtraError
from hepjax.engine import records, rundir
from hepjax.engine.progress import say
from hepjax.engine.settings import flatten
from hepjax.formats.tfevents import event_file

Log = Callable[[int, float, dict[str, float]], object]
"""(step, time in seconds since 1970, numbers by name)."""
Follow = Callable[[dict[str, Any]], None]
NOT_NUMBERS = ("event", "step", "time")
PROJECT = "hepjax"
LONGEST_PARAM = 500
"""Characters of a setting that MLflow is told."""


@contextmanager
def following(names: Sequence[str], run: Path, start: int) -> Iterator[Follow]:
    """Yield what hands a record to the loggers ``names``.

    Args:
      start: update after which this session begins.
    Raises:
      MissingExtraError: the package of a logger is not installed.
    """
    with contextlib.ExitStack() as stack:
        logs = {name: stack.enter_context(OPEN[name](run, start)) for name in names}

        def follow(record: dict[str, Any]) -> None:
            numbers = numbers_of(record)
            for name in list(logs) if numbers else ():
                try:
                    logs[name](int(record["step"]), float(record.get("time", time.time())), numbers)
                except Exception as error:  # of a package or a server, whatever it is
                    del logs[name]
                    said = " ".join(str(error).split())[:200]
                    say(f"hepjax: warning: train.log: {name} failed and is left out: {said}")

        yield follow


def numbers_of(record: dict[str, Any]) -> dict[str, float]:
    """The numbers of a record by name: ``train/loss``; of a population ``train/loss/0``, ..."""
    event, found = record.get("event"), dict[str, float]()
    if event not in ("train", "validation"):
        return found
    for name, value in record.items():
        if name in NOT_NUMBERS or isinstance(value, bool):
            continue
        values = value if isinstance(value, list) else [value]
        for member, number in enumerate(values):
            if isinstance(number, int | float):
                end = f"/{member}" if isinstance(value, list) else ""
                found[f"{event}/{name}{end}"] = float(number)
    return found


def _tensorboard(run: Path, start: int) -> AbstractContextManager[Log]:
    return event_file(run / "tensorboard", start + 1)


@contextmanager
def _mlflow(run: Path, start: int) -> Iterator[Log]:
    """One MLflow run for a run directory, resumed by its number in ``mlflow.json``."""
    try:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param
    except ImportError:
        raise MissingExtraError("train.log=[mlflow]", "mlflow") from None
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.resolve() / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
    experiment = client.get_experiment_by_name(name)
    number = experiment.experiment_id if experiment else client.create_experiment(name)
    known = _known(run / "mlflow.json").get(uri) if start else None
    if known is None:
        known = client.create_run(number, run_name=run.name).info.run_id
        records.write_json(run / "mlflow.json", {uri: known})
        params = [Param(k, str(v)[:LONGEST_PARAM]) for k, v in _settings(run).items()]
        for first in range(0, len(params), 100):  # as many as a server takes at a time
            client.log_batch(known, params=params[first : first + 100])

    def log(step: int, at: float, numbers: dict[str, float]) -> None:
        metrics = [Metric(key, value, int(1000 * at), step) for key, value in numbers.items()]
        client.log_batch(known, metrics=metrics)

    ended = "FAILED"
    try:
        yield log
        ended = "FINISHED"
    finally:
        with contextlib.suppress(Exception):  # a server that is gone
            client.set_terminated(known, ended)


@contextmanager
def _wandb(run: Path, start: int) -> Iterator[Log]:
    """One W&B run for a run directory, offline unless WANDB_MODE says otherwise."""
    try:
        import wandb
    except ImportError:
        raise MissingExtraError("train.log=[wandb]", "wandb") from None
    known = _known(run / "wandb.json").get("id") if start else None
    opened = wandb.init(
        project=os.environ.get("WANDB_PROJECT") or PROJECT, name=run.name, dir=str(run.resolve()),
        mode=os.environ.get("WANDB_MODE") or "offline", id=known, config=_settings(run),
        resume="allow" if known else None, settings=wandb.Settings(silent=True),
    )  # fmt: skip
    records.write_json(run / "wandb.json", {"id": opened.id})
    ended = 1
    try:
        yield lambda step, at, numbers: opened.log(numbers, step=step)
        ended = 0
    finally:
        opened.finish(exit_code=ended)


OPEN: dict[str, Callable[[Path, int], AbstractContextManager[Log]]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
}


def _settings(run: Path) -> dict[str, Any]:
    return flatten(rundir.read_settings(run)) if (run / "config.yaml").exists() else {}


def _known(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
