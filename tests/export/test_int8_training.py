"""Networks that were trained in 8 bits: integers in the file, which say what the run says."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.exporting import agreement, exported, trained
from helpers.gan3d import TINY as GAN_CONFIG
from helpers.mlpf import MODELS, config, raw_events
from helpers.tagger import TINY as JETS_CONFIG
from helpers.tagger import prepared, raw_batch

from hepjax.export import parity
from hepjax.export.onnx_file import onnx
from hepjax.nn import int8
from hepjax.workloads import table
from hepjax.workloads.gan3d import objective as gan
from hepjax.workloads.mlpf import objective as mlpf
from hepjax.workloads.tagger import objective as tagger


def in_int8(cfg):
    return replace(cfg, model=replace(cfg.model, quantise="int8"))


def showers():
    """A 3DGAN whose generator has seen a batch."""
    workload, cfg = table.get("gan3d"), in_int8(GAN_CONFIG)
    state = trained(workload, cfg)
    latent = jax.random.normal(jax.random.key(1), (8, cfg.model.latent))
    own = {"params": state.generator.params, int8.STATE: state.generator.stats}
    see = partial(gan.networks(cfg)[0].apply, train=True, mutable=[int8.STATE])
    stats = jax.jit(see)(own, latent)[1][int8.STATE]
    return workload, cfg, replace(state, generator=replace(state.generator, stats=stats))


def jets():
    """A tagger that has seen a batch."""
    workload, cfg = table.get("tagger"), in_int8(JETS_CONFIG)
    state = trained(workload, cfg)
    image = tagger.normalise(cfg.data, prepared(raw_batch(8), cfg)["image"])
    own = {"params": state.params, int8.STATE: state.stats}
    see = partial(tagger.module(cfg).apply, train=False, mutable=[int8.STATE])
    return workload, cfg, replace(state, stats=jax.jit(see)(own, image)[1][int8.STATE])


def events():
    """An MLPF that has seen two events."""
    workload, cfg = table.get("mlpf"), in_int8(config(MODELS["additive"]))
    state = trained(workload, cfg)
    raw = {k: jnp.asarray(v) for k, v in raw_events([11, 13], 16).items()}
    batch = mlpf.prepare(cfg, None, raw)
    see = jax.jit(partial(mlpf.apply_in_training, cfg))
    _, stats = see(state, state.params, batch, jax.random.key(1))
    return workload, cfg, replace(state, stats=stats)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(parity, "BATCHES", (3,))  # each is compiled anew; the command takes three
    monkeypatch.setattr(parity, "ELEMENTS", (13,))
    monkeypatch.setattr(parity, "ROUNDINGS", 1)


@pytest.mark.parametrize(
    ("make", "integers", "floats"),
    [
        (showers, {"ConvInteger": 3}, {"MatMul": 1, "Conv": 1}),
        pytest.param(jets, {"ConvInteger": 15}, {"Conv": 1, "MatMul": 1}, marks=pytest.mark.slow),
        pytest.param(events, None, None, marks=pytest.mark.slow),
    ],
)
def test_the_file_computes_in_integers_and_says_what_the_run_says(make, integers, floats):
    workload, cfg, state = make()
    content = exported(workload, cfg, state=state)[-1]
    found = agreement(workload, cfg, state=state)
    assert found.error <= parity.STEP / 4
    assert found.decided_by_rounding <= parity.MOST_DECIDED / 2
    ops = [node.op_type for node in onnx().load_model_from_string(content).graph.node]
    for op, count in ((integers or {}) | (floats or {})).items():
        assert ops.count(op) == count
    if workload.name == "mlpf":
        assert ops.count("MatMulInteger") > 10


def test_kernels_are_stored_in_8_bits():
    workload, cfg, state = jets()
    proto = onnx().load_model_from_string(exported(workload, cfg, state=state)[-1])
    kinds = {t.name: t.data_type for t in proto.graph.initializer}
    sizes = {t.name: int(np.prod(t.dims)) for t in proto.graph.initializer}
    int8_type, float_type = onnx().TensorProto.INT8, onnx().TensorProto.FLOAT
    stored = sum(n for name, n in sizes.items() if kinds[name] == int8_type)
    others = sum(n for name, n in sizes.items() if kinds[name] == float_type)
    parameters = sum(a.size for a in jax.tree.leaves(state.params))
    assert stored + others > 0.99 * parameters
    assert stored > 20 * others


@pytest.mark.slow
def test_a_host_that_draws_its_own_noise_gets_integers_too():
    workload, cfg, state = showers()
    _, _, written, content = exported(workload, cfg, "par04", state=state)
    runtime = parity.session(content, optimised=False)  # the default of Par04
    vector = np.float32([[100, 0.3, 1.6, 1, 0, 0, 0, 0]])
    out = runtime.run(None, {runtime.get_inputs()[0].name: vector})[0]
    assert np.isfinite(out).all()
    assert any(node.op == "ConvInteger" for node in written.graph.nodes)


def test_other_ranges_than_those_of_the_run_are_refused():
    workload, cfg, state = jets()
    wider = jax.tree.map(lambda a: 0.5 * a, state.stats)
    other = replace(state, stats=wider)
    with pytest.raises(parity.ParityError, match=r"expected the answers of the run to 0\.0039"):
        agreement(workload, cfg, state=state, judged=other)


def test_a_network_that_no_batch_has_seen_computes_in_float():
    ops = {n.op for n in exported(table.get("tagger"), in_int8(JETS_CONFIG))[2].graph.nodes}
    assert "ConvInteger" not in ops
