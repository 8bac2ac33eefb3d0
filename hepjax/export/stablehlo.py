"""``jax.export``: the model as StableHLO for CPUs, NVIDIA GPUs and TPUs, of any batch size.

Ten lines without hepjax run it: ``jax.export.deserialize(bytes).call(inputs..., seed)``.
"""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hepjax import MissingExtraError
from hepjax.engine.workload import Workload
from hepjax.export.exported import description
from hepjax.export.hosts import generic
from hepjax.export.parity import ELEMENTS, Parity, difference, examples, require
from hepjax.export.program import servable
from hepjax.export.sizes import some, step_of, symbols
from hepjax.formats.atomic import write_bytes, write_json
from hepjax.ops.native import library_only
from hepjax.run import Run

PLATFORMS = ("cpu", "cuda", "tpu")


def export_stablehlo(run: Run, path: Path, *, seed: int = 0) -> dict[str, Any]:
    """Write a trained model as one file for all platforms, and what it is beside it.

    The function in it takes the inputs of ``Workload.inputs`` in order and a seed, int32, and gives
    a dictionary of outputs. Event i draws with ``fold_in(key(seed), i)``, as ``hepjax generate``.

    Raises:
      MissingExtraError: flatbuffers is not installed.
      ParityError: the file does not say what the run says.
    """
    try:
        import flatbuffers  # noqa: F401  (jax.export writes with it)
    except ImportError:
        raise MissingExtraError("jax.export", "onnx") from None
    workload, cfg = run.workload, servable(run.cfg)
    model = workload.inputs(cfg)
    sizes = symbols(model, workload.name)
    shapes = [jax.ShapeDtypeStruct(sizes.shape(f), f.dtype) for f in model.fields]
    state = jax.tree.map(np.asarray, run.state)
    with library_only():
        answer = jax.jit(functools.partial(answers, workload, cfg, state))
        made = jax.export.export(answer, platforms=PLATFORMS)(
            *shapes, jax.ShapeDtypeStruct((), "int32")
        )
    content = bytes(made.serialize())
    found = _compare(run, cfg, content, seed)
    host = generic(model, workload.outputs(cfg).spec, "inside", None)
    about = description(run, host, 0, found)
    del about["opset"]
    about |= {
        "platforms": list(PLATFORMS), "elements_multiple_of": sizes.step,
        "inputs": [
            {"name": f.name, "shape": [str(n) for n in s.shape], "dtype": f.dtype, "unit": f.unit}
            for f, s in zip(model.fields, shapes, strict=True)
        ],
        "further_input": {"name": "seed", "shape": [], "dtype": "int32"},
    }  # fmt: skip
    write_bytes(path, content)
    write_json(path.with_suffix(".json"), about)
    return about


def answers(workload: Workload[Any, Any], cfg: Any, state: Any, *arguments: Any) -> Any:
    """What the program gives for its inputs in their order and a seed, () int32."""
    *arrays, seed = arguments
    keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(seed)))(
        jax.numpy.arange(arrays[0].shape[0])
    )
    inputs = {f.name: a for f, a in zip(workload.inputs(cfg).fields, arrays, strict=True)}
    # Constants of JAX: an array of numpy cannot be indexed by what the program computes.
    return workload.infer(cfg, jax.tree.map(jax.numpy.asarray, state), inputs, keys)


def _compare(run: Run, cfg: Any, content: bytes, seed: int) -> Parity:
    """Answers of the file against those of the run.

    Raises:
      ParityError: they differ.
    """
    workload, rng = run.workload, np.random.default_rng(seed)
    model, count = workload.inputs(cfg), 3
    step, _ = step_of(model, workload.name)
    known = some(model, workload.name, ELEMENTS[0])
    lengths = {name: -(-length // step) * step for name, length in known.items()}
    given = examples(model.fields, count, lengths, workload.ranges(cfg), rng)
    loaded = jax.export.deserialize(bytearray(content))
    said = loaded.call(*(given[f.name] for f in model.fields), np.int32(seed))
    keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(seed)))(np.arange(count))
    right = jax.jit(functools.partial(workload.infer, cfg))(run.state, given, keys)
    found, values = [], 0
    for name, wanted in jax.device_get(right).items():
        found.append(difference(cfg, np.asarray(said[name]), wanted, np.zeros(wanted.shape)))
        values += wanted.size
    return require(cfg, found, values)
