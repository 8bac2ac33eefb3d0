"""The workload: symmetries, crops, boxes that are made, bad boxes, and from boxes to a report."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.fields import state as drawn_state

from hepjax import InputError
from hepjax.cli import main
from hepjax.engine.workload import Clock
from hepjax.formats.fields.box import Facts
from hepjax.formats.fields.boxes import write_box
from hepjax.ops import gas
from hepjax.workloads import table
from hepjax.workloads.fields import data, objective, symmetry, validation
from hepjax.workloads.fields.config import (
    DataConfig,
    FieldsConfig,
    ModelConfig,
    ObjectiveConfig,
)
from hepjax.workloads.fields.model import physical

TINY = FieldsConfig(model=ModelConfig(channels=(4,), full=4))
WORKLOAD = table.get("fields")


def stored(path, n=8, seed=0, *, cell=0.78125, with_gas=True):
    rng = np.random.default_rng(seed)
    dark = rng.uniform(0.5, 2, (4, n, n, n))
    write_box(path, dark, rng.uniform(0.5, 2, (5, n, n, n)) if with_gas else None, Facts(cell))
    return dark


def test_there_are_48_symmetries_and_the_gas_follows_them():
    rng = np.random.default_rng(0)
    n = 4
    dark = np.concatenate(
        [rng.exponential(1, (n,) * 3 + (1,)), rng.normal(0, 80, (n,) * 3 + (3,))], -1
    )
    dark = jnp.asarray(dark[None], jnp.float32)
    turn = jax.jit(symmetry.apply)
    flow = jax.jit(lambda x: gas.gas(x[0], 50.0))
    found = set()
    for order in range(6):
        for flips in np.ndindex(2, 2, 2):
            turned = turn(dark, order, jnp.array(flips, bool))
            found.add(np.asarray(turned).tobytes())
            expected = turn(flow(dark)[None], order, jnp.array(flips, bool))[0]
            np.testing.assert_allclose(flow(turned), expected, rtol=1e-4, atol=1e-3)
    assert len(found) == 48


def test_crops_with_a_margin_are_wrapped_and_whole_boxes_are_not_cut(tmp_path):
    dark = stored(tmp_path / "a.h5")
    stored(tmp_path / "b.h5", seed=1)
    cut = replace(TINY, data=DataConfig(files=(str(tmp_path),), crop=4, margin=2))
    both = data.sources(cut)
    assert (len(both.train), len(both.validation)) == (14, 2)
    batch = both.train[np.array([0, 9])]
    assert batch["dark"].shape == (2, 8, 8, 8, 4)
    assert batch["box"].tolist() == [0, 1]
    around = np.arange(-2, 6) % 8
    expected = np.moveaxis(dark, 0, -1)[np.ix_(around, around, around)]
    np.testing.assert_allclose(batch["dark"][0], expected, rtol=1e-6)
    assert data.open_boxes(cut, [tmp_path])[np.arange(1)]["gas"].shape == (1, 8, 8, 8, 5)
    fields = {f.name: f.shape for f in data.spec(cut, both.validation).fields}
    assert fields == {"dark": (8, 8, 8, 4), "gas": (8, 8, 8, 5), "box": ()}


def test_the_rim_of_a_crop_does_not_count():
    cfg = replace(TINY, data=DataConfig(crop=4, margin=2))
    true = np.ones((1, 8, 8, 8, 5), np.float32)
    y = np.full_like(true, 3.0)
    y[:, 2:6, 2:6, 2:6] = np.asarray(objective.scaled(jnp.asarray(true)))[:, 2:6, 2:6, 2:6]
    assert float(objective.losses(cfg, jnp.asarray(y), jnp.asarray(true))[0]) == 0


def test_the_spectral_loss_is_the_relative_power_of_what_is_off():
    """A density of fluctuations a tenth too large is off by a hundredth of the power at each k."""
    cfg = replace(TINY, objective=ObjectiveConfig(spectrum=2.0))
    rng = np.random.default_rng(0)
    true = jnp.asarray(rng.uniform(0.5, 1.5, (2, 8, 8, 8, 5)), jnp.float32)
    plain, exact = objective.scaled(true), true[..., 0]
    too_large = exact.mean() + 1.1 * (exact - exact.mean())
    y = plain.at[..., 0].set(jnp.log(too_large))

    @jax.jit
    def added(y):
        return objective.losses(cfg, y, true) - objective.losses(TINY, y, true)

    np.testing.assert_allclose(added(plain), 0, atol=1e-5)
    np.testing.assert_allclose(added(y), 2.0 * 0.01, rtol=1e-3)
    slope = jax.jit(jax.grad(lambda y: added(y).sum()))(y)
    direction = slope / jnp.linalg.norm(slope.reshape(-1))
    h = 0.1
    found = (added(y + h * direction) - added(y - h * direction)).sum() / (2 * h)
    assert float(found) == pytest.approx(float(jnp.linalg.norm(slope.reshape(-1))), rel=0.02)


def test_bad_boxes_are_refused(tmp_path):
    stored(tmp_path / "a.h5", n=6)
    cfg = replace(TINY, model=ModelConfig(channels=(4, 4)))
    with pytest.raises(InputError, match=r"a.h5: expected cells along an edge that 4 divides, for"):
        data.open_boxes(cfg, [tmp_path])
    cfg = replace(TINY, data=DataConfig(files=(str(tmp_path),), crop=4))
    with pytest.raises(InputError, match=r"expected a box that data.crop=4 divides, found 6 cells"):
        data.sources(cfg)
    stored(tmp_path / "b.h5", n=8)
    with pytest.raises(InputError, match=r"b.h5: expected 6 cells along an edge as in .*, found 8"):
        data.open_boxes(TINY, [tmp_path])
    stored(tmp_path / "b.h5", n=6, with_gas=False)
    with pytest.raises(InputError, match=r"b.h5: expected fields of gas to compare with, found"):
        data.sources(replace(TINY, data=DataConfig(files=(str(tmp_path),))))
    with pytest.raises(InputError, match=r"data.margin: expected 0 with whole boxes"):
        replace(TINY, data=DataConfig(margin=2))


@pytest.mark.slow
def test_boxes_that_are_made_are_new_in_each_update():
    cfg = replace(TINY, data=DataConfig(made=4, cells=4, steps=2, length=3.0))
    both = data.sources(cfg)
    assert (len(both.train), len(both.validation)) == (4, data.LEAST_MADE)
    spec = WORKLOAD.spec(cfg, both.train)
    assert [f.name for f in spec.fields] == ["box"]
    prepare = jax.jit(lambda box: objective.prepare(cfg, spec, {"box": box}))
    batch, again = prepare(jnp.arange(2)), prepare(jnp.arange(1, 3))
    np.testing.assert_allclose(batch["dark"][1], again["dark"][0], rtol=1e-5)

    state = drawn_state(objective, cfg)
    clock = Clock(jnp.float32(0), jnp.int32(0))

    @jax.jit
    def loss(key):
        prepared = objective.prepare(cfg, spec, {"box": jnp.arange(2)})
        return objective.train_step(cfg, state, prepared, key, clock)[1]["loss"]

    first, same, other = (float(loss(jax.random.key(k))) for k in (0, 0, 1))
    assert first == same
    assert first != other


@pytest.mark.parametrize("full", [0, 4])
def test_a_residual_network_begins_as_the_approximation(full):
    cfg = replace(TINY, model=ModelConfig(channels=(4,), full=full, residual=True))
    begun = jax.jit(partial(objective.init, cfg))(jax.random.key(0)).params
    rng = np.random.default_rng(0)
    dark = jnp.asarray(rng.uniform(0.5, 2, (1, 4, 4, 4, 4)), jnp.float32)
    made = jax.jit(lambda x: physical(objective.predict(cfg, begun, x)))(dark)
    plain = jax.jit(gas.fluctuating)(dark[0])
    np.testing.assert_allclose(made[0], plain, rtol=1e-4)


def test_two_boxes_are_learnt(tmp_path):
    for k in range(2):
        stored(tmp_path / f"{k}.h5", seed=k)
    cfg = replace(
        TINY, objective=ObjectiveConfig(symmetries=False),
        optimizer=replace(TINY.optimizer, learning_rate=3e-2),
    )  # fmt: skip
    batch = jax.tree.map(jnp.asarray, data.open_boxes(cfg, [tmp_path])[np.arange(2)])
    state = drawn_state(objective, cfg)
    clock = Clock(jnp.float32(0), jnp.int32(0))
    step = jax.jit(lambda s: objective.train_step(cfg, s, batch, jax.random.key(0), clock))
    losses = []
    for _ in range(60):
        state, metrics = step(state)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.3 * losses[0]
    judge = jax.jit(lambda s, b: validation.eval_step(cfg, s, b, jax.random.key(0)))
    sums = judge(state, batch | {"mask": jnp.ones(2)})
    found = validation.summarise(cfg, jax.device_get(sums))
    assert found["loss"] == pytest.approx(losses[-1], rel=0.3)
    assert found["correlation"] <= 1


def test_from_simulation_to_the_report(tmp_path, capsys):
    folder, run = tmp_path / "boxes", tmp_path / "run"
    words = ["--boxes", "4", "--cells", "8", "--steps", "2", "--out", str(folder), "--quiet"]
    assert main(["simulate", "boxes", *words]) == 0
    assert main(["simulate", "boxes", *words]) == 0  # they are there
    assert main(["inspect", str(folder), "--plot", str(tmp_path / "a.png"), "--json"]) == 0
    small = ["model.channels=[4]", "model.full=4", "model.depth=1", "train.epochs=2",
             "data.validation_fraction=0.25"]  # fmt: skip
    command = ["train", "fields/demo", f"data.files=[{folder}]", *small, "--run", str(run)]
    assert main([*command, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--json", "--quiet"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["boxes"] == 1
    assert scores["oracle_power_error"] < 1e-4
    assert scores["oracle_correlation"] > 0.9999
    assert scores["oracle_flux_power_error"] < 1e-3
    assert scores["correlation"] <= 1
    assert (run / "report" / "index.html").exists()
    out = tmp_path / "gas.parquet"
    assert main(["predict", str(run), "--data", str(folder), "--out", str(out), "--quiet"]) == 0
    rows = pq.read_table(out)
    assert rows.num_rows == 4 * 8**3
    assert rows.column_names[:5] == ["box", "x", "y", "z", "density"]


@pytest.mark.slow
def test_boxes_that_are_made_train_and_judge_without_files(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where there is no folder data/boxes
    small = ["data.made=4", "data.cells=8", "data.steps=2", "data.length=6", "model.channels=[4]",
             "model.full=4", "model.depth=1", "train.batch_size=2", "train.epochs=1",
             "mesh.devices=1"]  # fmt: skip
    assert main(["train", "fields/made", *small, "--run", "run", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "--json", "--quiet"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["boxes"] == data.LEAST_MADE
    assert scores["oracle_power_error"] < 1e-4
