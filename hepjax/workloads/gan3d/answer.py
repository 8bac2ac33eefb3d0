"""What a trained 3DGAN gives: showers at incident energies and angles; and the report on them.

Shower ``i`` depends on the seed, on ``i`` and on its own energy and angle alone.
"""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hepjax import InputError
from hepjax.engine.inference import HostBatch
from hepjax.engine.mesh import split_events
from hepjax.engine.progress import progress
from hepjax.engine.workload import (
    About,
    Answer,
    Batch,
    Detail,
    Field,
    Model,
    Range,
    Ranges,
    Scores,
    Spec,
)
from hepjax.formats.showers.angle import measured_angle
from hepjax.formats.showers.sample import first_showers, require_energies
from hepjax.formats.source import Source
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.geometry import to_image
from hepjax.workloads.gan3d.objective import (
    ENERGY_UNIT,
    State,
    frozen,
    generated_cells,
    networks,
    noise_size,
    with_noise,
)

MOST_EVENTS = 10_000  # of the published validation; keeps the samples within 2 GB of memory
BATCH = 256
USUAL = Detail()


def inputs(cfg: Gan3DConfig) -> Spec:
    """Incident energy, and the polar angle where it is an input."""
    theta = (Field("theta", (), "float32", "rad"),) if cfg.with_angle else ()
    return Spec((Field("energy", (), "float32", "GeV"), *theta))


def outputs(cfg: Gan3DConfig) -> Answer:
    """Cell energies as the calorimeter has them; of a box the axes are x, y, z (depth)."""
    return Answer("showers", Spec((Field("ecal", cfg.calorimeter.shape, "float32", "GeV"),)))


def infer(cfg: Gan3DConfig, state: State, inputs: Batch, keys: jax.Array) -> Batch:
    """Showers ``ecal`` (n, *calorimeter.shape) in GeV for energies ``energy`` (n,) in GeV, and
    polar angles ``theta`` (n,) in rad where they are an input."""
    noise = jax.vmap(lambda key: jax.random.normal(key, (noise_size(cfg),)))(keys)
    latent = with_noise(cfg, inputs | {"energy": inputs["energy"] / ENERGY_UNIT}, noise)
    shower = networks(cfg)[0].apply(frozen(cfg, state.generator), latent, train=False)
    return {"ecal": generated_cells(cfg, split_events(cfg.mesh, shower))}


def ranges(cfg: Gan3DConfig) -> Ranges:
    """Incident energies and polar angles that the model was trained on."""
    known = {"energy": Range(*cfg.energies, "GeV")}
    return known | ({"theta": Range(*cfg.angles, "rad")} if cfg.with_angle else {})


def conditions(cfg: Gan3DConfig, asked: dict[str, np.ndarray]) -> HostBatch:
    """Incident energies (n,) GeV, and polar angles (n,) rad, as the model takes them.

    Raises:
      InputError: other conditions, energies that are not positive, angles that are not in rad.
    """
    names = inputs(cfg).names
    if set(asked) != set(names):
        angle = " (polar angle in rad; pi/2 is normal)" if cfg.with_angle else ""
        raise InputError(
            f"conditions: expected {' and '.join(names)}{angle}, found {', '.join(asked) or 'none'}"
        )
    given = {name: np.asarray(asked[name], np.float32) for name in names}
    energy = given["energy"]
    require_energies(energy)
    if not cfg.with_angle:
        return given
    theta = given["theta"]
    if theta.shape not in (energy.shape, (1,)):
        raise InputError(
            f"theta: expected one polar angle, or {len(energy)} as of energy, found {theta.shape}"
        )
    if not np.all((theta > 0) & (theta < np.pi)):
        wrong = theta[~((theta > 0) & (theta < np.pi))][0]
        raise InputError(
            f"theta: expected polar angles in rad, between 0 and pi, found {wrong:g}; "
            "np.radians converts degrees"
        )
    return given | {"theta": np.broadcast_to(theta, energy.shape)}


@functools.lru_cache(maxsize=4)
def judgement(cfg: Gan3DConfig) -> Any:
    """A function of state and showers ``ecal``: how ``real`` the discriminator holds each, 0 to 1,
    and the incident ``energy`` in GeV that it sees, if it has that head."""

    def judge(state: State, batch: Batch, keys: jax.Array) -> Batch:
        cells = to_image(cfg.calorimeter, batch["ecal"])
        shower = ((cells * cfg.data.scale) ** cfg.data.power)[..., None]
        variables = frozen(cfg, state.discriminator)
        outputs = networks(cfg)[1].apply(variables, split_events(cfg.mesh, shower), train=False)
        energy = {"energy": ENERGY_UNIT * outputs["energy"]} if "energy" in outputs else {}
        return {"real": jax.nn.sigmoid(outputs["real"])} | energy

    return judge


def evaluate(
    cfg: Gan3DConfig, model: Model[Gan3DConfig, State], source: Source, out: Path, about: About,
    detail: Detail = USUAL,
) -> Scores:  # fmt: skip
    """Report on showers generated at energies and angles of ``source``; return the scores."""
    from hepjax.physics.calorimeter.field import SETTINGS
    from hepjax.physics.calorimeter.report import report
    from hepjax.report.document import check_folder, write_report

    check_folder(out)
    reference = read_showers(source, cfg.calorimeter.shape, "read", model.quiet)
    reference["ecal"] = np.where(reference["ecal"] < cfg.threshold, 0.0, reference["ecal"])
    asked, made = asked_of(cfg, reference), []
    with progress("generate", len(asked["energy"]), "showers", quiet=model.quiet) as advance:
        for answer in model.given(asked, BATCH):
            made.append(answer["ecal"])
            advance(len(made[-1]))
    reference, generated = reference | asked, {"ecal": np.concatenate(made)} | asked
    judged = {}
    for name, sample in (("reference", reference), ("generated", generated)):
        cells = {"ecal": sample["ecal"].astype(np.float32)}
        with progress(f"judge {name}", 0, "", quiet=model.quiet):
            parts = list(model.placed.given(judgement(cfg), cells, BATCH))
        for said, suffix in (("real", ""), ("energy", "_energy")):
            if said in parts[0]:
                judged[name + suffix] = np.concatenate([part[said] for part in parts])
    bar = functools.partial(progress, quiet=model.quiet)
    found = report(
        reference, generated, discriminator=judged, calorimeter=cfg.calorimeter,
        more=SETTINGS.get(detail.metrics), gallery_workers=detail.gallery_workers, progress=bar,
    )  # fmt: skip
    return write_report(found, out, **about._asdict())


def asked_of(cfg: Gan3DConfig, showers: dict[str, np.ndarray]) -> HostBatch:
    """The inputs of the model that make showers like these: ``energy`` GeV, ``theta`` rad.

    Args:
      showers: as of ``read_showers``.
    """
    asked = {"energy": showers["energy"]}
    if cfg.with_angle:
        true = cfg.data.angle == "theta"
        asked["theta"] = showers["theta"] if true else measured_angle(showers["ecal"])
    return asked


def read_showers(
    source: Source, shape: tuple[int, ...], label: str, quiet: bool
) -> dict[str, np.ndarray]:
    """The first ``MOST_EVENTS`` showers: ``ecal`` (n, ...) GeV, ``energy`` (n,) GeV and, if the
    source has true polar angles, ``theta`` (n,) rad."""
    total = min(len(source), MOST_EVENTS)
    with progress(label, total, "showers", quiet=quiet) as advance:
        return first_showers(source, shape, total, advance)
