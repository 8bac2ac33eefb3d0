"""Any calorimeter: cells as the networks see them, and back; each one is learnt and generated."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.gan3d import packaged
from helpers.models import initial

from hepjax.engine.workload import Clock, Spec
from hepjax.formats.showers.calorimeters import calorimeter
from hepjax.workloads.gan3d import answer, objective, validation
from hepjax.workloads.gan3d.geometry import closed, image, to_cells, to_image

BEGIN = Clock(jnp.float32(0), jnp.int32(0))


def test_a_regular_cylinder_is_a_box_of_azimuth_radius_and_depth():
    par04 = calorimeter("par04")
    assert image(par04) == (16, 9, 45)
    assert closed(par04)
    cells = jnp.arange(2 * 6480.0).reshape(2, 6480)
    images = to_image(par04, cells)
    # Layer 3, azimuth 2, ring 1 of the file: the radius runs fastest, then the azimuth.
    assert float(images[1, 2, 1, 3]) == 6480 + 3 * 144 + 2 * 9 + 1
    np.testing.assert_array_equal(to_cells(par04, images), cells)


def test_a_box_and_an_irregular_cylinder_are_left_as_they_are():
    for name, shape in (("clic-51", (51, 51, 25)), ("atlas-photons", (368,))):
        known = calorimeter(name)
        cells = jnp.ones((2, *shape))
        assert image(known) == shape
        assert not closed(known)
        assert to_image(known, cells).shape == to_cells(known, cells).shape == cells.shape


@pytest.mark.parametrize(
    "name",
    [
        "atlas-photons",
        *(pytest.param(n, marks=pytest.mark.slow)
          for n in ("lead-scintillator", "par04", "atlas-pions", "par04-fine", "clic-25",
                    "clic-51")),
    ],
)  # fmt: skip
def test_every_calorimeter_is_learnt_and_generated(name):
    """Two updates, validation and showers; the angle too where the calorimeter has angles."""
    tilted = not calorimeter(name).normal
    more = ["model.inputs=energy-angle", "model.heads=[energy,angle,sum]"] if tilted else []
    cfg = packaged("any", f"data.calorimeter={name}", "train.batch_size=4", *more)
    cfg = replace(cfg, mesh=replace(cfg.mesh, devices=1))
    known = cfg.calorimeter
    rng = np.random.default_rng(0)
    energy = rng.uniform(*cfg.energies, 4).astype(np.float32)
    cells = rng.exponential(size=(4, *known.shape)) * (rng.random((4, *known.shape)) < 0.2)
    cells *= (0.02 * energy / cells.reshape(4, -1).sum(1)).reshape(4, *[1] * len(known.shape))
    raw = {"ecal": cells.astype(np.float32), "energy": energy}
    if tilted:
        raw["theta"] = rng.uniform(*cfg.angles, 4).astype(np.float32)

    @jax.jit
    def learn(state, raw):
        batch = objective.prepare(cfg, Spec(), raw)
        return objective.train_step(cfg, state, batch, jax.random.key(1), BEGIN)

    state = initial(objective, cfg)
    for _ in range(2):
        state, metrics = learn(state, raw)
    assert all(np.isfinite(value) for value in metrics.values())

    batch = objective.prepare(cfg, Spec(), raw | {"mask": jnp.ones(4)})
    sums = jax.jit(partial(validation.eval_step, cfg))(state, batch, jax.random.key(2))
    scores = validation.summarise(cfg, jax.device_get(sums))
    assert np.isfinite(scores["shapes"])

    asked = {n: a for n, a in raw.items() if n != "ecal"}
    inputs = answer.conditions(cfg, asked)
    keys = jax.random.split(jax.random.key(3), 4)
    made = jax.jit(partial(answer.infer, cfg))(state, inputs, keys)["ecal"]
    assert made.shape == (4, *known.shape)
    assert float(made.min()) >= 0
    assert not np.any((made > 0) & (made < cfg.threshold))
