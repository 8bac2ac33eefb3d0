"""Transfer between networks that share parts, and parts that training leaves alone."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.toy import TOY, final_state
from helpers.tuned import TunedConfig

import hepjax.run
from hepjax import InputError
from hepjax.engine import optimizers, parts
from hepjax.engine.begin import begin_or_restore
from hepjax.engine.checkpoint import best_first
from hepjax.engine.config import TrainConfig
from hepjax.engine.mesh import average, make_mesh
from hepjax.engine.optimizers import OptimizerConfig


@dataclass(frozen=True)
class HeadConfig(TunedConfig):
    width: int = 4
    """Of the head."""
    old_name: bool = False


def init(cfg, key):
    head = "head" if not cfg.old_name else "tail"
    params = {
        "body": {"kernel": 0.1 * jax.random.normal(key, (32, 8)), "bias": jnp.ones(8)},
        head: {"kernel": jnp.ones((8, cfg.width))},
    }
    return {"params": params, "optimizer": optimizers.init(cfg.optimizer, params)}


def error(params, batch):
    body, (head,) = params["body"], [v for k, v in params.items() if k != "body"]
    y = ((batch["x"] @ body["kernel"] + body["bias"]) @ head["kernel"]).mean(1)
    return jnp.square(y - batch["y"])


def train_step(cfg, state, batch, key, clock):
    gradient = jax.value_and_grad(lambda p: error(p, batch).mean())
    loss, grads = average(cfg.mesh, gradient(state["params"]))
    params, optimizer = optimizers.update(
        cfg.optimizer, state["optimizer"], state["params"], grads, jnp.float32(0.01)
    )
    return {"params": params, "optimizer": optimizer}, {"loss": loss}


HEADED = replace(
    TOY, name="headed", Config=HeadConfig, init=init, train_step=train_step,
    eval_step=lambda cfg, state, batch, key: {
        "n": batch["mask"].sum(), "error": (error(state["params"], batch) * batch["mask"]).sum()
    },
    summarise=lambda cfg, sums: {TOY.score: float(sums["error"]) / float(sums["n"])},
)  # fmt: skip
MEAN = OptimizerConfig(average=0.5)


def config(run=None, **more):
    fields = {k: more.pop(k) for k in ("width", "old_name", "optimizer") if k in more}
    warm = {} if run is None else {"warm_start": str(run)}
    return HeadConfig(TrainConfig(**{"batch_size": 8, "epochs": 1} | warm | more), **fields)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    run = tmp_path_factory.mktemp("earlier") / "run"
    hepjax.run.train(HEADED, config(), run)
    return run


def best(run, cfg):
    step = best_first(run / "checkpoints")[0]
    return final_state(run, step, HEADED, cfg).model


def beginning(cfg, folder):
    """The model that a run begins with, and what was said."""
    said = []
    mesh = make_mesh(cfg.mesh, 8)
    with jax.set_mesh(mesh):
        _, state, _ = begin_or_restore(HEADED, cfg, mesh, folder / "checkpoints", said.append)
    return jax.device_get(state.model), said


def test_a_network_with_another_head_takes_the_body(earlier, tmp_path):
    before = best(earlier, config())["params"]
    model, said = beginning(config(earlier, width=2), tmp_path)
    np.testing.assert_array_equal(model["params"]["body"]["kernel"], before["body"]["kernel"])
    np.testing.assert_array_equal(model["params"]["head"]["kernel"], np.ones((8, 2)))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(model["optimizer"]))
    assert said == [
        f"hepjax: warm start from {earlier}, epoch 1: 2 of 3 arrays (264 of 280 numbers)",
        "hepjax: begun anew: params/head/kernel (8, 2), there (8, 4)",
    ]


def test_a_head_of_another_name_is_told_on_both_sides(earlier, tmp_path):
    _, said = beginning(config(earlier, old_name=True), tmp_path)
    assert said[1:] == [
        "hepjax: begun anew: params/tail/kernel (8, 4)", "hepjax: left there: params/head/kernel"
    ]  # fmt: skip


def test_the_command_tells_it(earlier, tmp_path, capsys):
    cfg = config(earlier, steps=1)
    hepjax.run.train(HEADED, cfg, tmp_path / "run", quiet=False)
    assert "warm start from" in capsys.readouterr().err
    hepjax.run.train(HEADED, cfg, tmp_path / "quiet")
    assert capsys.readouterr().err == ""


def test_runs_without_anything_in_common_are_refused(earlier, tmp_path):
    def other(cfg, key):
        w = jnp.ones(3)
        return {"w": w, "optimizer": optimizers.init(cfg.optimizer, w)}

    cfg = config(earlier)
    mesh = make_mesh(cfg.mesh, 8)
    with (
        jax.set_mesh(mesh),
        pytest.raises(InputError, match=r"^train\.warm_start: expected a run with arrays"),
    ):
        begin_or_restore(replace(HEADED, init=other), cfg, mesh, tmp_path)


def test_a_moving_average_begins_with_the_parameters_that_were_taken(earlier, tmp_path):
    before = best(earlier, config())["params"]
    model, _ = beginning(config(earlier, optimizer=MEAN), tmp_path)
    for taken in (model["params"], model["optimizer"]["average"]):
        jax.tree.map(np.testing.assert_array_equal, taken, before)


def test_parameters_begin_with_the_average_that_was_judged(tmp_path):
    cfg = config(optimizer=MEAN)
    hepjax.run.train(HEADED, cfg, tmp_path / "run")
    average = best(tmp_path / "run", cfg)["optimizer"]["average"]
    model, _ = beginning(config(tmp_path / "run"), tmp_path)
    jax.tree.map(np.testing.assert_array_equal, model["params"], average)


@pytest.mark.parametrize(
    ("freeze", "still"),
    [
        (("params/body",), {"params/body/kernel", "params/body/bias"}),
        (("params/*/bias",), {"params/body/bias"}),
        (("params/head/kernel", "params/body/bias"), {"params/head/kernel", "params/body/bias"}),
    ],
)
def test_frozen_parts_stay_and_the_others_move(tmp_path, freeze, still):
    cfg = config(freeze=freeze, optimizer=MEAN)
    before = parts.named(beginning(cfg, tmp_path)[0])
    hepjax.run.train(HEADED, cfg, tmp_path / "run")
    step = best_first(tmp_path / "run" / "checkpoints")[0]
    after = parts.named(final_state(tmp_path / "run", step, HEADED, cfg).model)
    for name in before:
        if "params" in name.split("/")[0]:
            assert np.array_equal(before[name], after[name]) == (name in still), name
        elif "average" in name:
            same = np.array_equal(before[name], after[name])
            assert same == (parts.of_parameters(name) in still), name


def test_a_pattern_that_means_nothing_is_refused(tmp_path):
    message = r"^train\.freeze: expected parts of the model, of .*params/head/kernel.*found 'body'$"
    with pytest.raises(InputError, match=message):
        hepjax.run.train(HEADED, config(freeze=("body",)), tmp_path / "run")
