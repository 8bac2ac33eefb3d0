"""Time and memory of a model inside a host program: one event at a time on one thread.

The model is exported for the host, so that its conversion of units, axes and meshes counts. It runs
in ONNX Runtime, as in the host, and through hepjax.
"""

import os
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hepjax.engine.settings import find_config, read_settings
from hepjax.engine.step import init_state
from hepjax.engine.workload import Workload
from hepjax.export import parity, targets
from hepjax.export.onnx_file import model
from hepjax.export.program import write
from hepjax.export.replay import answers, drawn
from hepjax.workloads import table

NEEDS = {
    "ddml": ("model.latent=100",),
    "fastcalosim": ("data.calorimeter=atlas-photons",),
}
"""Settings without which a host cannot run the model."""
CONFIGS = {"fastcalosim": "gan3d/any", "cmssw": "mlpf/dense"}
"""Configurations in place of the published one of the benchmark."""
EVENTS, LIMIT = 200, 10.0
"""Events that are timed, unless they take more seconds."""
ELEMENTS = 5000
"""Elements of an event in CMSSW."""


def timed(workload: Workload[Any, Any], config: str, target: str) -> dict[str, Any]:
    """Milliseconds an event and megabytes a thread.

    Args:
      config: packaged configuration; its networks are as they begin, which costs the same.
    Returns:
      ``ms_onnxruntime`` with and ``ms_plain`` without graph optimisation (Par04's default), median
      of so many ``events``; ``mb_a_thread``; ``ms_hepjax``.
    Raises:
      InputError: the target does not fit the workload.
    """
    name = CONFIGS.get(target, config)
    settings = read_settings(find_config(name), list(NEEDS.get(target, ())))
    workload, cfg = table.configure(settings)
    state = jax.jit(lambda: init_state(workload, cfg).model)()
    normals = drawn(workload, cfg, state)
    host = targets.host(target, workload, cfg, normals, batch=1)
    content = model(write(workload, cfg, state, host, 16), 16).SerializeToString()
    rng = np.random.default_rng(0)
    given = parity.sample(host, workload, cfg, 1, ELEMENTS, rng)
    noise = [rng.normal(size=(1, *shape)).astype(np.float32) for shape in normals]
    found: dict[str, Any] = {"config": name, "target": target}
    for key, optimised in (("ms_onnxruntime", True), ("ms_plain", False)):
        before = _resident()
        runtime = parity.session(content, threads=1, optimised=optimised)
        asked = {i.name for i in runtime.get_inputs()}
        named = given | {f"noise_{k}" if k else "noise": a for k, a in enumerate(noise)}
        feeds = {k: a for k, a in named.items() if k in asked}
        found[key], found["events"] = _median(lambda r=runtime, f=feeds: r.run(None, f))
        if optimised:
            found["mb_a_thread"] = (_resident() - before) / 1e6
        del runtime
    answer = answers(workload, cfg, host)
    given_in_graph = noise if host.noise == "inside" or host.name == "generic" else []
    found["ms_hepjax"], _ = _median(
        lambda: jax.block_until_ready(answer(state, given, given_in_graph))
    )
    return found | {"hepjax_threads": os.cpu_count()}


def _median(call: Any) -> tuple[float, int]:
    """Median milliseconds of a call, after a first one, and how many were timed."""
    call()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < EVENTS and (not times or time.perf_counter() - began < LIMIT):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times)), len(times)


def _resident() -> float:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * float(os.sysconf("SC_PAGE_SIZE"))


def text(found: dict[str, Any]) -> str:
    """The result for people."""
    return (
        f"{found['config']} for {found['target']}, one event at a time: "
        f"{found['ms_onnxruntime']:.3g} ms in ONNX Runtime on one thread "
        f"({found['ms_plain']:.3g} ms without its optimisations), "
        f"{found['mb_a_thread']:.0f} MB a thread; {found['ms_hepjax']:.3g} ms in hepjax on "
        f"{found['hepjax_threads']} cores"
    )
