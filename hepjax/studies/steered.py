"""``hepjax train --params in.json --result out.json``: a training steered by a workflow system.

PanDA with iDDS, HTCondor and the like hand a container a point in a file, and read its score from
another. The point is a JSON object of settings by their path; groups may nest:

    {"config": "tagger/top", "data.files": ["jets"], "optimizer": {"learning_rate": 3e-4}}
"""

import argparse
import json
from pathlib import Path
from typing import Any

from hepjax import HepjaxError, InputError, run
from hepjax.engine import records
from hepjax.engine.provenance import read_about
from hepjax.engine.settings import flatten
from hepjax.engine.workload import Workload
from hepjax.formats import atomic


def configured(args: argparse.Namespace) -> tuple[str, Workload[Any, Any], Any]:
    """Name of the configuration, workload and checked configuration of ``hepjax train``.

    Settings of the command line come after those of the file.

    Raises:
      InputError: no configuration, an unusable file, or settings that do not fit.
    """
    devices = [] if args.devices is None else [f"mesh.devices={args.devices}"]
    params = {} if args.params is None else read_params(args.params)
    config = args.config or params.pop("config", None)
    if params.pop("config", config) != config or not isinstance(config, str):
        found = "none" if config is None else "two of them, or no text"
        raise InputError(
            f"CONFIG: expected one name of a configuration, found {found}; give it as an argument"
            + ("" if args.params is None else f' or as "config" in {args.params}')
        )
    if args.params is None:
        return config, *run.configured(config, args.overrides + devices)
    from hepjax.engine.settings import (
        find_config,
        override,
        put,
        read_settings,
    )
    from hepjax.workloads import table

    settings = read_settings(find_config(config), [])
    for key, value in params.items():
        put(settings, key, value)
    override(settings, args.overrides + devices)
    return config, *table.configure(settings)


def read_params(path: Path) -> dict[str, Any]:
    """The settings of a JSON file, by their path.

    Raises:
      InputError: unreadable, or no object.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: expected a readable file, found: {error.strerror}") from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object of settings, found other content")
    return flatten(content)


def require_writable(path: Path) -> None:
    """Refuse a result file that cannot be written, before the training.

    Raises:
      InputError: its folder is not there, or it is a folder.
    """
    if path.is_dir() or not path.absolute().parent.is_dir():
        found = "a folder" if path.is_dir() else "no such folder"
        raise InputError(
            f"{path}: expected the name of a file in an existing folder, found {found}"
        )


def write_failure(path: Path, error: HepjaxError) -> None:
    """Say why there is no score."""
    reason = " ".join(str(error).split())
    atomic.write_json(path, {"status": "failed", "reason": reason, "exit_code": error.exit_code})


def write_score(path: Path, directory: Path, workload: Workload[Any, Any]) -> None:
    """Say what a finished training reached: its best score, and what it took."""
    rows = records.read(directory / "metrics.jsonl")
    judged = [r for r in rows if r.get("event") == "validation"]
    scores = [s for r in judged if isinstance(s := r.get(workload.score), int | float)]
    atomic.write_json(path, {
        "status": "complete" if scores else "failed",
        "metric": workload.score, "score": min(scores, default=None), "epochs": len(judged),
        "scores": judged[-1] if judged else {}, "run": str(directory),
        "goodput": read_about(directory).get("goodput"),
    })  # fmt: skip
