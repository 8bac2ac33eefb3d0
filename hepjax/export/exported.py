"""``hepjax export``: a run directory as a file for other programs, written only if it agrees."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import hepjax
from hepjax import InputError
from hepjax.engine import weights
from hepjax.engine.checkpoint import read_manifest
from hepjax.export import parity, targets
from hepjax.export.hosts import Host, Noise
from hepjax.export.integers import integer_products, trained_in_int8
from hepjax.export.onnx_file import halved, model, onnx, require_opset, with_metadata
from hepjax.export.program import write
from hepjax.export.quantised import TOLERANCE, quantised
from hepjax.export.replay import drawn
from hepjax.formats.atomic import write_bytes, write_json
from hepjax.run import Run

OPSET = 16
"""Read by ONNX Runtime 1.11 and later, which the oldest host has."""


def export_onnx(
    run: Run, path: Path, *, target: str = "generic", opset: int = OPSET,
    noise: Noise | None = None, batch: int | None = None, precision: str | None = None,
    data: Sequence[Path] = (), tolerance: float = TOLERANCE, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Write a trained model as an ONNX file, and what it is beside it, ``<name>.json``.

    Args:
      path: ends in ``.onnx``.
      target: one of ``targets.NAMES``.
      noise: who draws the normal numbers of a generator; by default what the target prefers.
      batch: events at a time of the target ``generic``; by default any number.
      precision: "float32"; "float16", weights stored in 16 bits; or "int8", see ``quantised``.
        None: int8 of a run that was trained in it, which has no other; else float32.
      data: events that calibrate and judge int8.
      tolerance: largest change of a score in int8.
      seed: of the numbers that both are compared on.
    Returns:
      what the JSON file holds.
    Raises:
      InputError: a target, opset or operation that does not fit the model.
      ParityError: ONNX Runtime does not say what the run says.
    """
    onnx()
    require_opset(opset)
    own = "int8" if trained_in_int8(run.cfg) else None
    if own and precision not in (None, own):
        raise InputError(
            f"--precision: expected {own}, in which the run was trained (model.quantise), found "
            f"{precision}"
        )
    if path.suffix != ".onnx":
        raise InputError(f"--out: expected a file name that ends in .onnx, found {path}")
    workload, cfg = run.workload, run.cfg
    normals = drawn(workload, cfg, run.state)
    host = targets.host(target, workload, cfg, normals, noise, batch)
    content, found = checked(run, host, opset, seed)
    precision = precision or own or "float32"
    about = description(run, host, opset, found) | {"precision": precision}
    final = write(workload, cfg, run.state, host, opset)
    if precision == "int8" and not own:
        made = quantised(run, content, list(data), tolerance=tolerance, seed=seed)
        content = made.content
        about["int8"] = {"scores": made.scores, "tolerance": tolerance, "layers": made.layers,
                         "in_float": made.in_float}  # fmt: skip
    else:
        content = model(final, opset).SerializeToString()
        content = halved(content) if precision == "float16" else content
    if own:
        about["int8"] = {"trained": True, "layers": integer_products(final.graph)}
    content = with_metadata(content, {key: text(value) for key, value in about.items()})
    _runs(content, host, workload, cfg)
    write_bytes(path, content)
    about["sha256"] = hashlib.sha256(content).hexdigest()
    units = {f.name: f.unit for f in host.inputs}
    about["inputs"] = [
        _port(t.name, t.shape, t.dtype.name, units.get(t.name)) for t in final.graph.inputs
    ]
    about["outputs"] = [
        _port(name, t.shape, t.dtype.name, host.units[name]) for name, t in final.outputs.items()
    ]
    write_json(path.with_suffix(".json"), about)
    return about


def checked(run: Run, host: Host, opset: int, seed: int = 0) -> tuple[bytes, parity.Parity]:
    """The model with its noise outside, and how far ONNX Runtime agrees with the run on it."""
    outside = replace(host, noise="outside")
    written = write(run.workload, run.cfg, run.state, outside, opset)
    content: bytes = model(written, opset).SerializeToString()
    inputs = {f.name for f in host.inputs}
    shapes = tuple(tuple(t.shape[1:]) for t in written.graph.inputs if t.name not in inputs)
    return content, parity.check(content, run.workload, run.cfg, run.state, outside, shapes, seed)


def _runs(content: bytes, host: Host, workload: Any, cfg: Any) -> None:
    """The file as the host will have it runs and gives finite numbers.

    Raises:
      ParityError: it does not.
    """
    runtime, rng = parity.session(content), np.random.default_rng(1)
    count = host.batch or 2
    given = parity.sample(host, workload, cfg, count, parity.ELEMENTS[0], rng)
    for asked in runtime.get_inputs():
        if asked.name not in given:
            given[asked.name] = rng.normal(size=(count, *asked.shape[1:])).astype(np.float32)
    for name, found in zip(host.units, runtime.run(list(host.units), given), strict=True):
        if not np.isfinite(found).all():
            raise parity.ParityError(f"{name}: expected finite numbers, found others")


def description(run: Run, host: Host, opset: int, found: parity.Parity | None) -> dict[str, Any]:
    """What the file is: for people, and for hosts that cannot read it out of the model."""
    cfg, workload = run.cfg, run.workload
    answer = workload.outputs(cfg)
    digest, data = _origin(run)
    about: dict[str, Any] = {
        "hepjax": hepjax.__version__, "workload": workload.name, "target": host.name,
        "opset": opset, "noise": host.noise, "batch": host.batch or "any",
        "run": str(run.directory), "step": run.step, "epoch": run.epoch,
        "run_sha256": digest, "data_sha256": data,
        "units": host.units, "settings": host.settings,
        "ranges": {k: list(r) for k, r in workload.ranges(cfg).items()},
        "kind": answer.kind,
    }  # fmt: skip
    if found is not None:
        about["parity"] = found._asdict() | {"tolerance": parity.tolerance(cfg)}
    calorimeter = getattr(cfg, "calorimeter", None)
    if calorimeter is not None:
        axes = "x, y, z (depth)" if calorimeter.box else "layer, azimuth, radius (fastest)"
        about |= {
            "calorimeter": calorimeter.name, "particle": calorimeter.particle, "axes": axes,
            "threshold_gev": calorimeter.threshold,
        }  # fmt: skip
    return about


def _origin(run: Run) -> tuple[str, dict[str, str]]:
    """Checksum of the trained state, and those of the data where they are known."""
    if (package := weights.packaged(run.directory)) is not None:
        return hashlib.sha256((package / weights.FILE).read_bytes()).hexdigest(), {}
    manifest = read_manifest(run.directory / "checkpoints", run.step)
    return _digest(manifest), _data(manifest)


def _digest(manifest: dict[str, Any]) -> str:
    """Of the checksums of the files of a checkpoint."""
    files = json.dumps(manifest.get("sha256", {}), sort_keys=True)
    return hashlib.sha256(files.encode()).hexdigest()


def _data(manifest: dict[str, Any]) -> dict[str, str]:
    """Checksum of the events that the run was trained with, by part."""
    known = manifest.get("data") or {}
    return {part: str(found.get("sha256", "unknown")) for part, found in known.items()}


def text(value: Any) -> str:
    """A value of the metadata of ONNX, which are texts."""
    return value if isinstance(value, str) else json.dumps(value)


def _port(name: str, shape: Any, dtype: str, unit: str | None = None) -> dict[str, Any]:
    sizes = [n if isinstance(n, int) else str(n) for n in shape]
    return {"name": name, "shape": sizes, "dtype": dtype} | ({"unit": unit} if unit else {})
