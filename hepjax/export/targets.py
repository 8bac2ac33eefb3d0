"""Hosts that run models, and what each hands over and reads, tensor by tensor.

Sources: Geant4 11.4 example Par04; key4hep DDML 0.2; fcs-proj FastCaloSim 2026-07; Gaussino
``VAEFromGeant4``; CMSSW pull request 50316 (MLPF). Meshes of cylinders are flat in the order
radius, azimuth, depth, the depth fastest; angles theta are polar.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax import InputError
from hepjax.engine.workload import Field, Workload
from hepjax.export.hosts import Arrays, Host, Noise, generic
from hepjax.export.resample import box_to_cylinder
from hepjax.formats.particleflow.columns import ARRAYS, TOWER, TRACK
from hepjax.formats.showers.calorimeter import Calorimeter

MEV = 1000.0
PAR04_ENERGY = 1024.0
"""GeV; Par04 and Gaussino divide energies by it."""
PAR04_GEOMETRIES = 5
"""Length of the one-hot vector of geometries that Par04 hands to CaloDiT-2."""
DDML_LATENT = 100
"""Uniform numbers that DDML's regular-grid GANs hand over; its sizes are in a header."""

Make = Callable[[Workload[Any, Any], Any, tuple[tuple[int, ...], ...], Noise | None], Host]
"""(workload, configuration, shapes of the normal numbers it draws, noise) -> host."""


def host(
    target: str, workload: Workload[Any, Any], cfg: Any, drawn: tuple[tuple[int, ...], ...],
    noise: Noise | None = None, batch: int | None = None,
) -> Host:  # fmt: skip
    """What a target wants of a model.

    Args:
      drawn: shape for one event of each array of normal numbers that the model draws.
      noise: who draws them; None: what the target prefers.
      batch: events at a time, of ``generic``.
    Raises:
      InputError: the target does not fit the model.
    """
    if target == "generic":
        return generic(workload.inputs(cfg), workload.outputs(cfg).spec, noise or "outside", batch)
    return TARGETS[target](workload, cfg, drawn, noise)


def _refuse(target: str, expected: str, found: str) -> InputError:
    return InputError(f"--target {target}: expected {expected}, found {found}")


def _calorimeter(target: str, workload: Workload[Any, Any], cfg: Any) -> Calorimeter:
    if workload.outputs(cfg).kind != "showers":
        raise _refuse(target, "a run that simulates showers", f"one of {workload.name}")
    return cfg.calorimeter


def _conditions(
    workload: Workload[Any, Any], cfg: Any, energy: jax.Array, theta: jax.Array
) -> Arrays:
    """What the model takes, of energies (n,) GeV and polar angles (n,) rad."""
    known = {"energy": energy, "theta": theta}
    return {f.name: known[f.name] for f in workload.inputs(cfg).fields}


def _answer(workload: Workload[Any, Any], cfg: Any) -> str:
    (name,) = workload.outputs(cfg).spec.names
    return name


def _split(vector: jax.Array, drawn: tuple[tuple[int, ...], ...]) -> list[jax.Array]:
    """A vector (n, sum) of normal numbers as the arrays that the model draws."""
    parts, start = [], 0
    for shape in drawn:
        size = math.prod(shape)
        parts.append(vector[:, start : start + size].reshape(vector.shape[0], *shape))
        start += size
    return parts


def _count(drawn: tuple[tuple[int, ...], ...]) -> int:
    return sum(math.prod(shape) for shape in drawn)


Asked = tuple[np.ndarray, np.ndarray]


def _some(workload: Workload[Any, Any], cfg: Any, n: int, rng: np.random.Generator) -> Asked:
    """Energies (n,) GeV and polar angles (n,) rad within the ranges of the training."""
    ranges = workload.ranges(cfg)
    low, high, _ = ranges["energy"]
    energy = rng.uniform(low, high, n)
    if "theta" not in ranges:
        return energy, np.full(n, math.pi / 2)
    low, high, _ = ranges["theta"]
    return energy, rng.uniform(low, high, n)


def _vector(*columns: Any) -> dict[str, np.ndarray]:
    """One vector of an event, of its columns (n,) and blocks (n, k)."""
    blocks = [np.asarray(c, np.float32).reshape(len(c), -1) for c in columns]
    return {"input": np.concatenate(blocks, axis=1)}


def _normal(uniform: jax.Array) -> jax.Array:
    """Normal numbers of numbers uniform in (-1, 1)."""
    edge = 1 - 2.0**-24  # of 1 itself it is infinite
    return jnp.sqrt(2.0) * jax.lax.erf_inv(jnp.clip(uniform, -edge, edge))


def mesh(calorimeter: Calorimeter) -> tuple[Callable[[jax.Array], jax.Array], dict[str, Any]]:
    """A function of showers to a flat mesh of a cylinder, GeV, and what that mesh is.

    Boxes are resampled: each cell gives its energy to the bins that it overlaps.
    """
    if calorimeter.regular is not None:
        layers, sectors, rings = calorimeter.regular
        edges = calorimeter.layers[0].rings
        width: float | None = edges[1] - edges[0]

        def flat(cells: jax.Array) -> jax.Array:
            cylinder = cells.reshape(-1, layers, sectors, rings)
            return jnp.transpose(cylinder, (0, 3, 2, 1)).reshape(cells.shape[0], -1)

    elif calorimeter.cells is not None:
        (x, y), layers = calorimeter.cells, len(calorimeter.layers)
        matrix, rings, sectors, width = box_to_cylinder(calorimeter.cells, calorimeter.cell_mm)

        def flat(cells: jax.Array) -> jax.Array:
            columns = jnp.transpose(cells.reshape(-1, x * y, layers), (0, 2, 1))
            bins = columns.reshape(-1, x * y) @ jnp.asarray(matrix)
            cylinder = bins.reshape(-1, layers, rings * sectors)
            return jnp.transpose(cylinder, (0, 2, 1)).reshape(cells.shape[0], -1)

    else:
        raise InputError(
            f"{calorimeter.name}: expected a box, or a cylinder whose layers are binned alike, "
            "found layers with bins of their own; --target fastcalosim takes them"
        )
    first = calorimeter.layers[0]
    depth = first.period_mm * first.periods or None
    return flat, {
        "rho_cells": rings, "phi_cells": sectors, "z_cells": layers, "rho_mm": width, "z_mm": depth,
    }  # fmt: skip


def par04(
    workload: Workload[Any, Any], cfg: Any, drawn: tuple[tuple[int, ...], ...], noise: Noise | None
) -> Host:
    """Geant4 Par04: one vector in, one flat mesh out, one event.

    With noise inside it is the model type CaloDiT-2: [E in GeV, phi, theta in rad, five geometries]
    to GeV. With noise outside, the type VAE: [normal numbers, E / 1024 GeV, theta / 90 degrees, 0,
    1] to shares of E.
    """
    flat, settings = mesh(_calorimeter("par04", workload, cfg))
    name, size = _answer(workload, cfg), _count(drawn)
    kind = "VAE" if noise == "outside" else "CaloDiT-2"
    settings |= {"model_type": kind, "library": "ONNX", "latent": size if kind == "VAE" else 0,
                 "conditions": 4 if kind == "VAE" else 3 + PAR04_GEOMETRIES}  # fmt: skip
    if kind == "VAE":
        vector = Field("input", (size + 4,), "float32")

        def before(arrays: Arrays) -> tuple[Arrays, list[jax.Array]]:
            x = arrays["input"]
            energy, theta = PAR04_ENERGY * x[:, size], math.pi / 2 * x[:, size + 1]
            return _conditions(workload, cfg, energy, theta), _split(x[:, :size], drawn)

        def after(answers: Arrays, arrays: Arrays) -> Arrays:
            energy = PAR04_ENERGY * arrays["input"][:, size]
            return {"output": flat(answers[name]) / energy[:, None]}

        def example(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
            e, theta = _some(workload, cfg, n, rng)
            angle, normals = theta / (math.pi / 2), rng.normal(size=(n, size))
            return _vector(normals, e / PAR04_ENERGY, angle, np.zeros(n), np.ones(n))

        return Host("par04", (vector,), before, after, {"output": "share of E"}, 1, "outside",
                    settings, example)  # fmt: skip
    vector = Field("input", (3 + PAR04_GEOMETRIES,), "float32")

    def some(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        e, theta = _some(workload, cfg, n, rng)
        return _vector(e, np.zeros(n), theta, np.eye(PAR04_GEOMETRIES)[np.zeros(n, int)])

    return Host(
        "par04", (vector,),
        lambda arrays: (
            _conditions(workload, cfg, arrays["input"][:, 0], arrays["input"][:, 2]), []
        ),
        lambda answers, _: {"output": flat(answers[name])},
        {"output": "GeV"}, 1, "inside", settings, some,
    )  # fmt: skip


def ddml(
    workload: Workload[Any, Any], cfg: Any, drawn: tuple[tuple[int, ...], ...], noise: Noise | None
) -> Host:
    """DDML's RegularGridGAN: uniform numbers in (-1, 1) and E in GeV as five-axis tensors, bound by
    position, to MeV, layer first and y fastest."""
    calorimeter = _calorimeter("ddml", workload, cfg)
    if calorimeter.cells is None:
        raise _refuse("ddml", "a calorimeter that is a box", f"the cylinder {calorimeter.name}")
    if _count(drawn) != DDML_LATENT:
        raise _refuse(
            "ddml", f"a generator of {DDML_LATENT} normal numbers, as model.latent={DDML_LATENT} "
            "trains one", f"one of {_count(drawn)}",
        )  # fmt: skip
    (x, y), layers, name = calorimeter.cells, len(calorimeter.layers), _answer(workload, cfg)
    latent = Field("latent", (DDML_LATENT, 1, 1, 1), "float32")
    energy = Field("energy", (1, 1, 1, 1), "float32", "GeV")

    def before(arrays: Arrays) -> tuple[Arrays, list[jax.Array]]:
        uniform = arrays["latent"].reshape(-1, DDML_LATENT)
        energy = arrays["energy"].reshape(-1)
        normal_incidence = jnp.full_like(energy, math.pi / 2)
        asked = _conditions(workload, cfg, energy, normal_incidence)
        return asked, _split(_normal(uniform), drawn)

    def after(answers: Arrays, arrays: Arrays) -> Arrays:
        cells = jnp.transpose(answers[name], (0, 3, 1, 2)) * MEV
        return {"showers": cells.reshape(cells.shape[0], -1)}

    settings = {
        "model": "RegularGridGANPolyhedraBarrelONNXModel or RegularGridGANEndcapONNXModel",
        "NCellsX": x, "NCellsY": y, "NCellsZ": layers,
        "CellSizeX": calorimeter.cell_mm[0], "CellSizeY": calorimeter.cell_mm[1],
    }  # fmt: skip

    def example(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        uniform = rng.uniform(-1, 1, (n, DDML_LATENT, 1, 1, 1)).astype(np.float32)
        e = _some(workload, cfg, n, rng)[0].astype(np.float32)
        return {"latent": uniform, "energy": e.reshape(n, 1, 1, 1, 1)}

    return Host("ddml", (latent, energy), before, after, {"showers": "MeV"}, 1, "outside", settings,
                example)  # fmt: skip


def fastcalosim(
    workload: Workload[Any, Any], cfg: Any, drawn: tuple[tuple[int, ...], ...], noise: Noise | None
) -> Host:
    """FastCaloSim's GANs: ``Noise`` about N(0.5, 0.5) and ``mycond`` = [ln(E / low) / ln(high /
    low), 0] to the share of the kinetic energy in each voxel, in the order of the binning."""
    calorimeter = _calorimeter("fastcalosim", workload, cfg)
    if calorimeter.box:
        raise _refuse(
            "fastcalosim", "a calorimeter with rings and sectors", f"the box {calorimeter.name}"
        )
    low, high, _ = workload.ranges(cfg)["energy"]
    size, name = _count(drawn), _answer(workload, cfg)

    def energy(arrays: Arrays) -> jax.Array:
        return low * jnp.exp(arrays["mycond"][:, 0] * math.log(high / low))

    def before(arrays: Arrays) -> tuple[Arrays, list[jax.Array]]:
        asked = _conditions(
            workload, cfg, energy(arrays), jnp.full_like(arrays["mycond"][:, 0], math.pi / 2)
        )
        return asked, _split((arrays["Noise"] - 0.5) / 0.5, drawn)

    def example(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        condition = np.stack([rng.uniform(size=n), np.zeros(n)], axis=1)
        noise = rng.normal(0.5, 0.5, (n, size))
        return {"Noise": noise.astype(np.float32), "mycond": condition.astype(np.float32)}

    return Host(
        "fastcalosim",
        (Field("Noise", (size,), "float32"), Field("mycond", (2,), "float32")),
        before,
        lambda answers, arrays: {"voxels": answers[name] / energy(arrays)[:, None]},
        {"voxels": "share of E"}, 1, "outside",
        {"energy_low_gev": low, "energy_high_gev": high, "voxels": calorimeter.voxels}, example,
    )  # fmt: skip


def gaussino(
    workload: Workload[Any, Any], cfg: Any, drawn: tuple[tuple[int, ...], ...], noise: Noise | None
) -> Host:
    """Gaussino's models from Geant4: [uniform numbers in (0, 1), E / 1024 GeV, theta / 90 degrees,
    0, 1] to a flat mesh in MeV, one event, fixed shapes."""
    flat, settings = mesh(_calorimeter("gaussino", workload, cfg))
    name, size = _answer(workload, cfg), _count(drawn)

    def before(arrays: Arrays) -> tuple[Arrays, list[jax.Array]]:
        x = arrays["input"]
        energy, theta = PAR04_ENERGY * x[:, size], math.pi / 2 * x[:, size + 1]
        normals = _normal(2.0 * x[:, :size] - 1.0)
        return _conditions(workload, cfg, energy, theta), _split(normals, drawn)

    def example(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        e, theta = _some(workload, cfg, n, rng)
        angle, uniform = theta / (math.pi / 2), rng.uniform(size=(n, size))
        return _vector(uniform, e / PAR04_ENERGY, angle, np.zeros(n), np.ones(n))

    return Host(
        "gaussino", (Field("input", (size + 4,), "float32"),), before,
        lambda answers, _: {"output": flat(answers[name]) * MEV},
        {"output": "MeV"}, 1, "outside", settings | {"latent": size}, example,
    )  # fmt: skip


CMSSW_FEATURES = 55
CMSSW_TRACK = 1
"""Type of a track in CMSSW; other elements are clusters."""
CMSSW_COLUMNS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5}
"""Of the 55 features those that elements of hepjax share, by column of X: pt, eta, sin phi, cos
phi, energy."""
CMSSW_CHARGE = 8
CMSSW_CLASSES = ("none", "charged_hadron", "neutral_hadron", None, None, "photon", "electron",
                 "muon", None)  # fmt: skip
"""Of the nine classes 0, 211, 130, 1, 2, 22, 11, 13, 15 those that hepjax tells."""
TINY = 1e-6


def cmssw(
    workload: Workload[Any, Any], cfg: Any, drawn: tuple[tuple[int, ...], ...], noise: Noise | None
) -> Host:
    """CMSSW's MLPF: ``Xfeat_normed`` (1, n, 55) and ``mask`` (1, n) to ``bid``, ``id``,
    ``momentum``. Features that Delphes does not have are not read: the tensors fit, and physics in
    CMS needs a model trained on its elements."""
    if workload.name != "mlpf":
        raise _refuse("cmssw", "a run of mlpf", f"one of {workload.name}")

    def before(arrays: Arrays) -> tuple[Arrays, list[jax.Array]]:
        features, mask = arrays["Xfeat_normed"], arrays["mask"] > 0.5
        track = features[..., 0] == CMSSW_TRACK
        columns = [jnp.zeros_like(features[..., 0])] * ARRAYS["X"]
        columns[0] = jnp.where(mask, jnp.where(track, float(TRACK), float(TOWER)), 0.0)
        for ours, theirs in CMSSW_COLUMNS.items():
            columns[ours] = features[..., theirs]
        columns[9] = jnp.where(track, features[..., CMSSW_CHARGE], 0.0)
        return {"X": jnp.stack(columns, axis=-1), "elements": mask}, []

    def after(answers: Arrays, arrays: Arrays) -> Arrays:
        from hepjax.formats.particleflow.columns import IDENTIFIERS

        features, candidates = arrays["Xfeat_normed"], answers["candidates"]
        chance = jnp.log(jnp.maximum(answers["probability"], 1e-30))
        none = jnp.full_like(chance[..., 0], -100.0)
        classes = [
            none if name is None else chance[..., IDENTIFIERS.index(name)] for name in CMSSW_CLASSES
        ]
        some = jnp.log(jnp.maximum(1.0 - answers["probability"][..., 0], 1e-30))

        def factor(column: int, feature: int) -> jax.Array:
            return jnp.log(
                jnp.maximum(candidates[..., column], TINY)
                / jnp.maximum(features[..., feature], TINY)
            )

        momentum = [factor(2, 1), *(candidates[..., k] for k in (3, 4, 5)), factor(6, 5)]
        return {
            "bid": jnp.stack([chance[..., 0], some], axis=-1),
            "id": jnp.stack(classes, axis=-1), "momentum": jnp.stack(momentum, axis=-1),
        }  # fmt: skip

    return Host(
        "cmssw",
        (Field("Xfeat_normed", (None, CMSSW_FEATURES), "float32"),
         Field("mask", (None,), "float32")),
        before, after, {"bid": "1", "id": "1", "momentum": "1"}, 1,
    )  # fmt: skip


TARGETS: dict[str, Make] = {
    "par04": par04, "ddml": ddml, "fastcalosim": fastcalosim, "gaussino": gaussino, "cmssw": cmssw,
}  # fmt: skip
NAMES = ("generic", *TARGETS)
