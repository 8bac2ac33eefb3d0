"""What an inference gives: log ratios of events, and the report on them and what they infer."""

import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.engine.inference import HostBatch
from hepjax.engine.population import averaged
from hepjax.engine.progress import progress
from hepjax.engine.workload import About, Answer, Batch, Field, Model, Scores, Spec
from hepjax.formats.source import Source
from hepjax.formats.unfolding.samples import Pairs
from hepjax.workloads.nsbi.config import NsbiConfig
from hepjax.workloads.nsbi.data import Read, read_all
from hepjax.workloads.nsbi.objective import State, log_ratios

BATCH = 8192
PROFILED = 20_000
"""Reference events of the profiled curve at most."""


def inputs(cfg: NsbiConfig) -> Spec:
    """Observables, and the parameters of parametrised classifiers if there are any."""
    fields = [Field("x", (len(cfg.data.observables),), "float32")]
    if cfg.data.parameters:
        fields.append(Field("theta", (len(cfg.data.parameters),), "float32"))
    return Spec(tuple(fields))


def outputs(cfg: NsbiConfig) -> Answer:
    """The log ratios of each event, mean over the members and their spread."""
    form = (len(cfg.tasks),)
    fields = Field("log_ratio", form, "float32"), Field("log_ratio_spread", form, "float32")
    return Answer("table", Spec(fields), BATCH)


def infer(cfg: NsbiConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """``log_ratio`` (n, tasks), the mean of the logs over the members, and their spread."""
    found = _of_members(cfg, state, inputs)
    return {"log_ratio": found.mean(axis=1), "log_ratio_spread": found.std(axis=1)}


def _of_members(cfg: NsbiConfig, state: State, inputs: Batch) -> jax.Array:
    """(n, members, tasks)."""
    if state.number.ndim == 0:  # one member, which the user asked for
        state = jax.tree.map(lambda x: x[None], state)
    x = inputs["x"]
    theta = inputs["theta"] if cfg.data.parameters else jnp.zeros((x.shape[0], 0))
    return jnp.moveaxis(log_ratios(cfg, state, x, theta), -1, 0)


@functools.lru_cache(maxsize=8)
def each(cfg: NsbiConfig) -> Callable[[State, Batch, jax.Array], Batch]:
    return lambda state, given, keys: {"log_ratio": _of_members(cfg, state, given)}


def rows(
    cfg: NsbiConfig, events: HostBatch, answers: HostBatch, first: int
) -> dict[str, np.ndarray]:
    """One row an event: ``index`` and for each ratio ``log_r_<name>`` and its spread."""
    table = {"index": first + np.arange(len(answers["log_ratio"]))}
    for k, task in enumerate(cfg.tasks):
        table[f"log_r_{task.label}"] = answers["log_ratio"][:, k]
        table[f"log_r_{task.label}_spread"] = answers["log_ratio_spread"][:, k]
    return table


def evaluate(
    cfg: NsbiConfig, model: Model[NsbiConfig, State], source: Source, out: Path, about: About
) -> Scores:
    """Judge the ratios on the held-out events of the run and infer the signal strength.

    Raises:
      InputError: other events than those of the run.
    """
    from hepjax.physics.unfolding.inference_report import Judged, report
    from hepjax.report.document import check_folder, write_report

    if not isinstance(source, Pairs):
        raise InputError(
            "--data: expected none, as an inference is judged on the samples it was made for, "
            "found some; hepjax predict gives the ratios of other events"
        )
    check_folder(out)
    everything = read_all(cfg)
    at, ratios, samples = np.array(cfg.inference.at, np.float32), {}, {}
    for name, sample in source.samples.items():
        a = sample.arrays
        theta = a["theta"] if name in cfg.data.processes else np.broadcast_to(at, a["theta"].shape)
        given = {"x": a["x"], "theta": np.ascontiguousarray(theta)}
        with progress(f"ratios of {name}", 0, "", quiet=model.quiet):
            made = model.placed.given(each(cfg), given, BATCH)
            ratios[name] = np.concatenate([answer["log_ratio"] for answer in made])
        samples[name] = a["x"], a["weight"], a["sign"]
    judged = Judged(
        cfg.data.observables, tuple(cfg.tasks), tuple(cfg.parts), ratios, samples,
        _coefficients(cfg), _yields(cfg, everything), _yield_ratios(cfg, everything),
        tuple(cfg.data.varied), cfg.inference.strengths, cfg.inference.points,
        cfg.inference.truth, cfg.inference.toys, model.seed,
    )  # fmt: skip
    with progress("expected curves, toys and Neyman construction", 0, "", quiet=model.quiet):
        found = report(judged)
    return write_report(found, out, **averaged(about)._asdict())


def _coefficients(cfg: NsbiConfig) -> np.ndarray:
    """(parts, 3)."""
    of = dict(zip(cfg.data.processes, cfg.data.coefficients, strict=True))
    return np.array([of[part.sample] for part in cfg.parts])


def _yields(cfg: NsbiConfig, found: dict[str, Read]) -> np.ndarray:
    """(parts,) expected events, negative of parts with negative weights."""
    weights = [(found[part.sample].weight.astype(float), part.sign) for part in cfg.parts]
    return np.array([w[sign * w > 0].sum() for w, sign in weights])


def _yield_ratios(cfg: NsbiConfig, found: dict[str, Read]) -> np.ndarray:
    """(variations, 2) ln ratio of the yields up and down to the nominal ones."""

    def total(name: str) -> float:
        return float(found[name].weight.astype(float).sum())

    pairs = zip(cfg.data.systematics, cfg.data.varied, strict=True)
    return np.array([
        [np.log(total(f"{name}_{way}") / total(process)) for way in ("up", "down")]
        for name, process in pairs
    ]).reshape(-1, 2)  # fmt: skip
