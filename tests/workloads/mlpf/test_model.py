"""The three networks: published numbers of parameters, padding that is nothing, slips, layouts."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.mlpf import CONCAT, MODELS, config, raw_events
from helpers.models import initial

from hepjax.engine.config import MeshConfig
from hepjax.engine.mesh import make_mesh, over_data, state_shardings
from hepjax.engine.settings import find_config, read_settings
from hepjax.engine.workload import Clock, Spec
from hepjax.workloads.mlpf import objective
from hepjax.workloads.mlpf.layers import encode
from hepjax.workloads.table import configure


def sizes(name: str, *overrides: str) -> tuple[int, int]:
    """Trainable parameters and fixed numbers of the hash of a packaged configuration."""
    _, cfg = configure(read_settings(find_config(name), list(overrides)))
    state = jax.eval_shape(partial(objective.init, cfg), jax.random.key(0))
    trainable, fixed = (
        sum(leaf.size for leaf in jax.tree.leaves(t)) for t in (state.params, state.codebooks)
    )
    return trainable, fixed


@pytest.mark.parametrize(
    ("name", "trainable", "fixed"),
    [
        ("mlpf/benchmark", 3_285_841, 38_400),
        ("mlpf/additive", 6_786_861, 38_400),
        ("mlpf/sparse", 1_560_077, 25_600),
    ],
)
def test_published_numbers_of_parameters(name, trainable, fixed):
    assert sizes(name, "model.published_slips=true") == (trainable, fixed)


def test_without_the_slips_the_unused_parameters_are_gone():
    # 768 + 6 inputs less in each of two heads, three outputs less behind 64 features.
    assert sizes("mlpf/benchmark", "model.published_slips=false")[0] == (
        3_285_841 - 2 * (768 + 6) * 256 - 3 * 65
    )
    assert sizes("mlpf/additive")[0] == 6_786_861 - 2 * 6 * 256 - 65


def outputs(cfg, raw):
    @jax.jit
    def answered(state, raw):
        batch = objective.prepare(cfg, Spec(), raw)
        return objective.apply(cfg, state.params, state.codebooks, batch)

    return answered(initial(objective, cfg), raw)


@pytest.mark.parametrize(
    ("name", "inputs", "layers"),
    [("concat", "raw", 2), ("additive", "log", 1), ("sparse", "raw", 1)],
)
def test_neither_padding_nor_neighbours_in_the_batch_change_an_event(name, inputs, layers):
    cfg = config(replace(MODELS[name], inputs=inputs, layers=layers))
    lengths = [21, 14, 5]
    short, long = (outputs(cfg, raw_events(lengths, padded)) for padded in (24, 61))
    alone = outputs(cfg, {k: v[1:2] for k, v in raw_events(lengths, 24).items()})
    for key, a in short.items():
        np.testing.assert_allclose(alone[key][0], a[1], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(a, long[key][:, :24], rtol=1e-5, atol=1e-5)
        assert np.abs(a).max() > 0
        for row, n in zip(a, lengths, strict=True):
            assert not np.asarray(row[n:]).any()


def test_published_slips_let_the_padding_choose_the_bins():
    cfg = config(replace(CONCAT, published_slips=True))
    short, long = (outputs(cfg, raw_events([40], padded)) for padded in (40, 80))
    assert np.abs(short["logits"] - long["logits"][:, :40]).max() > 1e-4


def test_elements_of_other_bins_are_out_of_reach_in_one_layer():
    cfg = config(replace(CONCAT, bin_size=4))
    raw = raw_events([16], 16)
    before = np.asarray(outputs(cfg, raw)["logits"])
    raw["X"][0, 3, 1] *= 1.001  # too little to change a hash
    moved = np.abs(np.asarray(outputs(cfg, raw)["logits"]) - before).max(-1)[0] > 1e-7
    assert moved[3]
    # The element itself, and three more in a bin of each of the two stacks at most.
    assert moved.sum() <= 7


def test_encoding_in_logarithms_takes_energies_and_nothing_else():
    raw = raw_events([6], 6)["X"]
    plain, log = (np.asarray(encode(jnp.asarray(raw), scale))[0] for scale in (False, True))
    assert plain[:, :3].sum(1).tolist() == [1.0] * 6
    changed = plain != log
    tracks = raw[0, :, 0] == 2
    of_tracks, of_towers = (np.flatnonzero(changed[k].any(0)) for k in (tracks, ~tracks))
    assert of_tracks.tolist() == [3, 7]  # pt, momentum
    assert of_towers.tolist() == [3, 7, 8, 9]  # and the two parts of the energy
    np.testing.assert_allclose(log[changed], np.log1p(plain[changed]), rtol=1e-6)


LAYOUTS = [
    *(
        pytest.param(name, mesh, marks=pytest.mark.slow)
        for name, mesh in [
            ("concat", MeshConfig("spatial", 8, 2)),
            ("additive", MeshConfig("channel", 8, 4)), ("additive", MeshConfig("spatial", 8, 4)),
            ("sparse", MeshConfig("fsdp", 8)), ("sparse", MeshConfig("spatial", 8, 2)),
        ]
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "mesh_config"), LAYOUTS, ids=lambda p: getattr(p, "layout", p))
def test_eight_devices_equal_one_to_rounding(name, mesh_config):
    raw = {k: jnp.asarray(v) for k, v in raw_events([21, 30, 32, 9, 16, 32, 3, 25], 32).items()}

    clock = Clock(jnp.float32(0), jnp.int32(0))

    def updated(cfg):
        mesh = make_mesh(cfg.mesh, 8)
        with jax.set_mesh(mesh):
            begin = partial(objective.init, cfg)
            shardings = state_shardings(cfg.mesh, mesh, jax.eval_shape(begin, jax.random.key(0)))
            state = jax.jit(begin, out_shardings=shardings)(jax.random.key(0))

            def step(state, raw):
                batch = objective.prepare(cfg, Spec(), raw)
                return objective.train_step(cfg, state, batch, jax.random.key(1), clock)

            run = jax.jit(step, in_shardings=(shardings, over_data(mesh)))
            state, metrics = run(state, jax.device_put(raw, over_data(mesh)))
            return jax.device_get((state.optimizer.mu, metrics))

    model = replace(MODELS[name], width=64)  # large enough for fsdp to cut
    one, eight = (updated(config(model, mesh=m)) for m in (MeshConfig(devices=1), mesh_config))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(a).max() + 1e-6)
