"""Gradients over parts of a batch equal those of the whole, and move no events between devices."""

from collections import Counter
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.toy import TOY, ToyConfig
from jax.sharding import PartitionSpec as P

from benchmarks.scaling.collectives import collectives
from hepjax import InputError
from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.engine.gradient import mean_gradient, over_parts
from hepjax.engine.mesh import DATA, make_mesh, over_data
from hepjax.engine.train import train

RNG = np.random.default_rng(3)
EVENTS = {"x": RNG.normal(size=(24, 5)).astype("f4"), "y": RNG.normal(size=24).astype("f4")}
W = RNG.normal(size=5).astype("f4")
KEY = jax.random.key(0)


@dataclass(frozen=True)
class Settings:
    train: TrainConfig
    mesh: MeshConfig


def settings(parts, **mesh):
    return Settings(TrainConfig(batch_size=24, accumulate=parts), MeshConfig(**mesh))


def loss(w, events, key):
    each = jnp.square(jnp.tanh(events["x"] @ w) - events["y"])
    return each.mean(), {"key": jax.random.uniform(key)}


def compiled(cfg):
    """The gradient over the devices of ``cfg``, and the text of its program."""
    mesh = make_mesh(cfg.mesh, 24, cfg.train.accumulate)
    function = partial(mean_gradient, cfg, loss)
    if cfg.mesh.program == "explicit":
        function = jax.shard_map(
            function, in_specs=(P(), P(DATA), P()), out_specs=P(), check_vma=False
        )
    with jax.set_mesh(mesh):
        events = jax.device_put(EVENTS, over_data(mesh))
        program = jax.jit(function).lower(W, events, KEY).compile()
        return jax.device_get(program(W, events, KEY)), program.as_text()


@pytest.mark.parametrize("program", ["partitioned", "explicit"])
@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("parts", [1, 2, 6])
def test_parts_equal_the_whole_and_stay_on_their_devices(program, devices, parts):
    ((value, _), gradient), text = compiled(settings(parts, devices=devices, program=program))
    (wanted, _), steepest = jax.value_and_grad(loss, has_aux=True)(W, EVENTS, KEY)
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(gradient, steepest, rtol=1e-5, atol=1e-7)
    kinds = Counter(c.kind for c in collectives(text, devices))
    assert set(kinds) == ({"all-reduce"} if devices > 1 else set())


def test_the_hybrid_layout_keeps_its_events_too():
    cfg = settings(3, layout="hybrid", devices=8, model_devices=2)
    (_, gradient), text = compiled(cfg)
    np.testing.assert_allclose(gradient, jax.grad(loss, has_aux=True)(W, EVENTS, KEY)[0], rtol=1e-5)
    assert {c.kind for c in collectives(text, 8)} == {"all-reduce"}


def test_each_part_draws_its_own_noise():
    (_, aux), _ = mean_gradient(settings(2), loss, W, EVENTS, KEY)
    draws = [float(jax.random.uniform(k)) for k in jax.random.split(KEY, 2)]
    assert float(aux["key"]) == pytest.approx(np.mean(draws))


@pytest.mark.parametrize("parts", [1, 4])
def test_events_come_back_in_their_order(parts):
    made = over_parts(settings(parts), lambda e: e["x"] * e["y"][:, None], EVENTS)
    np.testing.assert_array_equal(made, EVENTS["x"] * EVENTS["y"][:, None])


def test_parts_that_do_not_divide_are_refused(tmp_path):
    cfg = ToyConfig(
        train=TrainConfig(batch_size=8, epochs=1, accumulate=3), mesh=MeshConfig(devices=2)
    )
    message = r"^train.accumulate: expected a divisor of the 4 events of a device .* found 3$"
    with pytest.raises(InputError, match=message):
        train(TOY, cfg, tmp_path, quiet=True)
    with pytest.raises(InputError, match=r"^train.accumulate: expected at least 1, found 0$"):
        ToyConfig(TrainConfig(accumulate=0))
