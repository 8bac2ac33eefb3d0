"""What an unfolding gives: weights of simulated events, the file of them, and the report."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.engine.inference import HostBatch
from hepjax.engine.population import averaged
from hepjax.engine.workload import About, Answer, Batch, Field, Model, Scores, Spec
from hepjax.formats.source import Source
from hepjax.formats.unfolding import weights as product
from hepjax.formats.unfolding.npz import list_files, names_in
from hepjax.formats.unfolding.samples import Chosen, Pairs
from hepjax.physics.unfolding.observables import OF_JETS, needed
from hepjax.physics.unfolding.scores import area_under_curve
from hepjax.workloads.unfold.config import UnfoldConfig
from hepjax.workloads.unfold.data import read_sample
from hepjax.workloads.unfold.model import PARTICLE
from hepjax.workloads.unfold.objective import (
    log_push,
    measured_weights,
    prepare,
    ratio_of_members,
)
from hepjax.workloads.unfold.state import State

BATCH = 8192
MOST_HELD = 20_000
"""Held-out events of each kind from which the area under the curve is computed."""


def inputs(cfg: UnfoldConfig) -> Spec:
    """Simulated events at particle level."""
    form = (cfg.data.particles, PARTICLE) if cfg.data.particles else (len(cfg.data.observables),)
    return Spec((
        Field("simulation_gen", form, "float32"), Field("simulation_pass_gen", (), "float32"),
    ))  # fmt: skip


def outputs(cfg: UnfoldConfig) -> Answer:
    """The weight of each event, of all members."""
    return Answer("table", Spec((Field("weights", (cfg.train.members,), "float32"),)), BATCH)


def infer(cfg: UnfoldConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """``weights`` (n, members) after the last iteration, relative to the simulation."""
    state = _with_members(state)
    return {"weights": jnp.exp(log_push(cfg, state, cfg.unfold.iterations, inputs)).T}


def _with_members(state: State) -> State:
    """A state with the axis members, which one lacks that a user asked for alone."""
    return state if state.number.ndim else jax.tree.map(lambda x: x[None], state)


def rows(
    cfg: UnfoldConfig, events: HostBatch, answers: HostBatch, first: int
) -> dict[str, np.ndarray]:
    """One row an event: ``index``, ``weight``, the mean over the members that differ in their seed
    alone, and of several members ``weight_0``, ``weight_1``, ..."""
    each = answers["weights"]
    nominal = each[:, : max(each.shape[1] - cfg.unfold.bootstraps, 1)]
    table = {"index": first + np.arange(len(each)), "weight": nominal.mean(axis=1)}
    several = each.shape[1] > 1
    return table | ({f"weight_{m}": w for m, w in enumerate(each.T)} if several else {})


@functools.lru_cache(maxsize=8)
def pushes(cfg: UnfoldConfig, spec: Spec) -> Callable[[State, Batch, jax.Array], Batch]:
    """From raw events to ``push`` (n, members, iterations)."""

    def of_events(state: State, raw: Batch, keys: jax.Array) -> Batch:
        state, batch = _with_members(state), prepare(cfg, spec, raw)
        found = [log_push(cfg, state, k + 1, batch) for k in range(cfg.unfold.iterations)]
        return {"push": jnp.exp(jnp.moveaxis(jnp.stack(found), (0, 1), (2, 1)))}

    return of_events


@functools.lru_cache(maxsize=16)
def _separations(
    cfg: UnfoldConfig, spec: Spec, sample: str
) -> Callable[[State, Batch, jax.Array], Batch]:
    """From raw events to log ratios (n, members, iterations + 1) of the classifiers of step 1, and
    to the weights (n, members, iterations + 1) of the events that these saw."""

    def separations(state: State, raw: Batch, keys: jax.Array) -> Batch:
        state, batch = _with_members(state), prepare(cfg, spec, raw)
        found, weights = [], []
        for k in range(cfg.unfold.iterations + 1):
            found.append(ratio_of_members(cfg, state, "reco", k, batch[f"{sample}_reco"]))
            weights.append(
                jnp.exp(log_push(cfg, state, k, batch)) * batch["simulation_weight"]
                if sample == "simulation"
                else jnp.broadcast_to(measured_weights(cfg, state, batch), found[-1].shape)
            )
        made = {"log_ratio": found, "weight": weights}
        return {k: jnp.moveaxis(jnp.stack(v), (0, 1), (2, 1)) for k, v in made.items()}

    return separations


def evaluate(
    cfg: UnfoldConfig, model: Model[UnfoldConfig, State], source: Source, out: Path, about: About
) -> Scores:
    """Unfold all simulated events; write their weights and the report; return the scores.

    Raises:
      InputError: other events than those of the run.
    """
    from hepjax.physics.unfolding.report import Weighed, report
    from hepjax.report.document import check_folder, write_report

    if not isinstance(source, Pairs) or "measured" not in source.samples:
        raise InputError(
            "--data: expected none, as an unfolding is judged on the events it was made for, found "
            "some; hepjax predict gives the weights of other simulated events"
        )
    check_folder(out)
    members = model.placed.state.number.size
    found = Weighed.start(_shown(cfg), members, cfg.unfold.iterations)
    simulation, spec = source.samples["simulation"], model.workload.spec(cfg, source)
    own = simulation.arrays["weight"] * source.unit
    words = _words(cfg, source, about)
    out.mkdir(parents=True, exist_ok=True)
    with product.writing(out, len(simulation), members, words) as writer:
        done, stop = 0, len(simulation)
        function = pushes(cfg, spec)
        with about.progress("unfold", stop, "events") as advance:
            for _, answers in model.placed.over(
                function, source, BATCH, stop=stop, advance=advance
            ):
                part = slice(done, done + len(answers["push"]))
                weights = own[part, None, None] * answers["push"]
                inside = simulation.arrays["pass_gen"][part]
                found.add(part, own[part], weights, inside)
                writer.add(weights[..., -1] * inside[:, None])
                done = part.stop
        with about.progress("judge the classifiers", 0, ""):
            found.areas = _areas(cfg, model, source, spec)
        for name, edges, nominal, covariance in found.histograms(cfg.unfold.bootstraps):
            writer.histogram(name, edges, nominal, covariance)
        words |= found.words()
    return write_report(report(found, cfg.unfold.bootstraps), out, **averaged(about)._asdict())


def _shown(cfg: UnfoldConfig) -> Any:
    """The observables of the report, of measured and simulated events, and truth if it is known."""
    from hepjax.physics.unfolding.report import Shown

    first = list_files(list(cfg.data.simulation))[0]
    there = names_in(first)
    names = cfg.data.observables or tuple(
        name for name in OF_JETS
        if set(needed((name,), there, "sim") + needed((name,), there, "gen")) <= set(there)
    )  # fmt: skip
    if not names:
        return None
    plain = replace(cfg, data=replace(cfg.data, observables=names, particles=0))
    measured_files = list_files(list(cfg.data.measured))
    known = set(needed(names, there, "gen")) <= set(names_in(measured_files[0]))
    simulation = read_sample(plain, "simulation", cfg.data.simulation, ("gen", "sim"))
    levels = ("gen", "sim") if known else ("sim",)
    measured = read_sample(plain, "measured", cfg.data.measured, levels)
    background = None
    if cfg.data.background:
        background = read_sample(plain, "background", cfg.data.background, ("sim",)).arrays
    return Shown(names, measured.arrays, simulation.arrays, background)


def _areas(
    cfg: UnfoldConfig, model: Model[UnfoldConfig, State], source: Pairs, spec: Spec
) -> np.ndarray:
    """(members, iterations + 1, 2) area under the curve of measured against simulated events with
    the weights of 0, 1, ... iterations, on held-out events, and its error."""
    scores, weights = {}, {}
    for name in ("measured", "simulation"):
        arrays = source.samples[name].arrays
        held = np.flatnonzero(arrays["held"] & arrays.get("pass_reco", arrays["held"]))[:MOST_HELD]
        over = model.placed.over(_separations(cfg, spec, name), Chosen(source, held), BATCH)
        answers = [answer for _, answer in over]
        scores[name], weights[name] = (
            np.concatenate([a[key] for a in answers]) for key in ("log_ratio", "weight")
        )
    _, members, trainings = scores["measured"].shape
    return np.array([
        [
            area_under_curve(
                scores["measured"][:, m, k], weights["measured"][:, m, k],
                scores["simulation"][:, m, k], weights["simulation"][:, m, k],
            )
            for k in range(trainings)
        ]
        for m in range(members)
    ])  # fmt: skip


def _words(cfg: UnfoldConfig, source: Pairs, about: About) -> dict[str, Any]:
    """What ``weights.json`` says before the weights are known."""
    first = cfg.train.members - cfg.unfold.bootstraps
    return {
        "iteration": cfg.unfold.iterations, "step": "gen", "seed": cfg.train.seed,
        "members": [
            {"number": m, "bootstrap": m >= first} for m in range(cfg.train.members)
        ],
        "normalisation": source.normalisation,
        "configuration_sha256": hashlib.sha256(about.run_config.encode()).hexdigest(),
        "simulation": [p.name for p in list_files(list(cfg.data.simulation))],
        "measured_events": len(source.samples["measured"]),
        "hepjax": about.provenance.get("hepjax"), "update": about.provenance.get("step"),
    }  # fmt: skip
