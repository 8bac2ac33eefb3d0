"""What trained GANs give: showers at incident energies and pseudorapidities."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.engine.inference import HostBatch
from hepjax.engine.population import averaged
from hepjax.engine.progress import progress
from hepjax.engine.workload import (
    About,
    Answer,
    Batch,
    Field,
    Model,
    Range,
    Ranges,
    Scores,
    Spec,
)
from hepjax.formats.showers.sample import require_energies
from hepjax.formats.source import Source
from hepjax.workloads.wgan.config import WganConfig
from hepjax.workloads.wgan.objective import State, answering, generated, noise_of

MOST_EVENTS = 10_000
"""Of each slice in a report."""
BATCH = 256


def inputs(cfg: WganConfig) -> Spec:
    """Incident energy, and |eta| where there are several slices."""
    eta = (Field("eta", (), "float32"),) if cfg.slices > 1 else ()
    return Spec((Field("energy", (), "float32", "GeV"), *eta))


def outputs(cfg: WganConfig) -> Answer:
    """Voxels as CaloChallenge files have them."""
    return Answer("showers", Spec((Field("ecal", cfg.calorimeter.shape, "float32", "GeV"),)))


def infer(cfg: WganConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """Showers ``ecal`` (n, voxels) in GeV; each by the best member of its slice."""
    energy = inputs["energy"]
    noise = jax.vmap(lambda key: noise_of(cfg, key, 1)[0])(keys)
    if state.score.ndim == 0:  # one member, which the user asked for
        alone = generated(cfg, answering(cfg, state), energy, noise) * energy[:, None]
        return {"ecal": jnp.where(alone < cfg.calorimeter.threshold, 0.0, alone)}
    scores = state.score.reshape(cfg.slices, cfg.replicas)
    best = jnp.argmin(scores, axis=1) + jnp.arange(cfg.slices) * cfg.replicas
    chosen = jax.tree.map(lambda x: x[best], answering(cfg, state))
    made = jax.vmap(lambda one: generated(cfg, one, energy, noise))(chosen)
    index = jnp.zeros(energy.shape[0], jnp.int32)
    if cfg.slices > 1:
        inner = jnp.array(cfg.data.eta[1:-1])
        index = jnp.searchsorted(inner, jnp.abs(inputs["eta"]), side="right")
    cells = made[index, jnp.arange(energy.shape[0])] * energy[:, None]
    return {"ecal": jnp.where(cells < cfg.calorimeter.threshold, 0.0, cells)}


def ranges(cfg: WganConfig) -> Ranges:
    """Energies and pseudorapidities of the training."""
    energy = Range(cfg.data.energies[0], cfg.data.energies[-1], "GeV")
    eta = {"eta": Range(cfg.data.eta[0], cfg.data.eta[-1], "")} if cfg.slices > 1 else {}
    return {"energy": energy} | eta


def conditions(cfg: WganConfig, asked: dict[str, np.ndarray]) -> HostBatch:
    """Incident energies (n,) GeV and |eta|, one or (n,), as the model takes them.

    Raises:
      InputError: other conditions, or energies that are not positive.
    """
    names = inputs(cfg).names
    if set(asked) != set(names):
        raise InputError(
            f"conditions: expected {' and '.join(names)}, found {', '.join(asked) or 'none'}"
        )
    given = {name: np.asarray(asked[name], np.float32) for name in names}
    energy = given["energy"]
    require_energies(energy)
    if cfg.slices > 1:
        eta = np.abs(given["eta"])
        if eta.shape not in (energy.shape, (1,)) or not np.isfinite(eta).all():
            raise InputError(
                f"eta: expected one |eta|, or {len(energy)} as of energy, found {eta.shape}"
            )
        given["eta"] = np.broadcast_to(eta, energy.shape)
    return given


def evaluate(
    cfg: WganConfig, model: Model[WganConfig, State], source: Source, out: Path, about: About
) -> Scores:
    """Report on showers generated like those of all slices of ``source``; return the scores."""
    from hepjax.physics.calorimeter.report import report
    from hepjax.report.document import check_folder, write_report

    check_folder(out)
    events = source[np.arange(min(len(source), MOST_EVENTS))]
    middles = np.array([(a + b) / 2 for a, b in zip(cfg.data.eta, cfg.data.eta[1:], strict=False)])
    energy = events["energy"].reshape(-1)
    given = {"energy": energy.astype(np.float32)}
    if cfg.slices > 1:
        given["eta"] = np.tile(middles, len(events["energy"])).astype(np.float32)
    made = []
    with progress("generate", len(energy), "showers", quiet=model.quiet) as advance:
        for answer in model.given(given, BATCH):
            made.append(answer["ecal"])
            advance(len(made[-1]))
    cells = events["voxels"].reshape(len(energy), -1)
    reference = {"ecal": np.where(cells < cfg.calorimeter.threshold, 0.0, cells), "energy": energy}
    generated = {"ecal": np.concatenate(made), "energy": energy}
    labels = ("Monte Carlo", "FastCaloGAN")
    found = report(reference, generated, labels=labels, calorimeter=cfg.calorimeter)
    return write_report(found, out, **averaged(about)._asdict())
