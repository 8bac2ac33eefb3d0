"""FastCaloGAN: networks and losses as published, members, restarts, slices."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hepjax
import hepjax.run
from hepjax import InputError
from hepjax.cli import main
from hepjax.engine import records
from hepjax.engine.settings import build, find_config, read_settings
from hepjax.engine.workload import Clock
from hepjax.workloads.table import configure
from hepjax.workloads.wgan import objective, restart, score, step, tournament, validation
from hepjax.workloads.wgan.config import WganConfig
from hepjax.workloads.wgan.data import Slices
from hepjax.workloads.wgan.reference import BINS
from hepjax.workloads.wgan.workload import WORKLOAD

SMALL = {
    "model": {"latent": 8, "generator": [16], "critic": [16], "norm": "hidden", "output": "relu"},
    "objective": {
        "critic_updates": 2,
        "restart_every": 5,
        "restart_after": 10,
        "score_showers": 50,
    },
    "optimizer": {"learning_rate": 1e-3},
    "train": {"batch_size": 32, "steps": 20, "record_every": 5},
    "mesh": {"devices": 1},
}


def config(slices, **more):
    data = {
        "files": [str(path) for path in slices], "energies": [4.096, 16.384, 65.536],
        "eta": [0.2, 0.25, 0.3][: len(slices) + 1],
    }  # fmt: skip
    return build(WganConfig, SMALL | {"data": data} | more)


@pytest.mark.parametrize(
    ("name", "generator", "critic"),
    [("photons", 107_290, 408_481), ("photons_low", 261_268, 408_481),
     ("caloshowergan", None, 408_113)],
)  # fmt: skip
def test_networks_have_the_published_number_of_parameters(name, generator, critic):
    _, cfg = configure(read_settings(find_config(f"wgan/{name}"), []))
    one = jax.eval_shape(lambda: objective.born(cfg, jax.random.key(0)))
    count = [sum(x.size for x in jax.tree.leaves(t)) for t in (one.generator, one.critic)]
    # Keras counts the moving mean and variance of batch norm too, which stay 0 and 1.
    layers = one.generator.items()
    count[0] += sum(x["scale"].size * 2 for name, x in layers if name.startswith("Scaled"))
    assert generator in (None, count[0])
    assert count[1] == critic


def test_the_penalty_of_a_linear_critic_is_known(slices):
    """The slope of w . x is w everywhere, so the penalty is (|w| - 1)^2."""
    cfg = replace(config(slices[:1]), model=replace(config(slices[:1]).model, critic=(1,)))
    voxels = cfg.calorimeter.voxels
    born = jax.eval_shape(lambda: objective.born(cfg, jax.random.key(0)))
    params = jax.tree.map(lambda x: jnp.zeros(x.shape), born.critic)
    kernel = params["Layer_0"]["kernel"].at[:voxels, 0].set(0.1)
    params["Layer_0"] = {"kernel": kernel, "bias": jnp.array([100.0])}  # above the corner of ReLU
    params["Layer_1"] = {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}
    real, fake = jnp.ones((4, voxels)), jnp.zeros((4, voxels))
    loss = jax.jit(lambda p: objective.critic_loss(
        cfg, p, real, fake, jnp.zeros((4, 2)), jax.random.key(1)))(params)  # fmt: skip
    slope = 0.1 * voxels**0.5
    assert loss == pytest.approx(-0.1 * voxels + 10 * (slope - 1) ** 2, rel=1e-4)


def test_chi2_of_the_same_distribution_is_about_one_for_any_numbers_of_events():
    rng = np.random.default_rng(0)
    cut = np.linspace(-3, 3, BINS + 1)
    real, same, few = (
        np.stack([np.histogram(rng.normal(size=n), cut)[0] for _ in range(5)]).astype(float)
        for n in (4000, 4000, 400)
    )
    for made in (same, few):
        assert score.reduced(real, made) == pytest.approx(1.0, abs=0.35)
    assert score.reduced(real, np.roll(same, 2, axis=-1)) > 5
    equal = np.array([[4.0, 6.0, 0.0]]), np.array([[7.0, 3.0, 0.0]])
    assert score.reduced(*equal) == pytest.approx(9 / 11 + 9 / 9)  # (a - b)^2 / (a + b), ndf 1
    assert score.reduced(np.zeros((1, 3)), equal[0]) == 0  # no events at this energy


def test_histograms_count_every_event(slices):
    cfg = config(slices[:1])
    edges = jnp.array([[0.5, 0.02]] * 3)
    total = jnp.array([0.5, 0.51, 0.9, 2.0, jnp.nan])
    energy = jnp.array([4.096, 4.096, 16.384, 65.536, 65.536])
    found = score.histograms(cfg, total, energy, edges, jnp.array([1.0, 1, 1, 1, 0]))
    assert found.sum() == 4
    assert found[0, 0] == 2
    assert found[1, 20] + found[1, 19] == 1
    assert found[2, -1] == 1


def test_slices_lie_side_by_side_and_the_short_one_repeats(slices):
    source = WORKLOAD.sources(config(slices)).train
    assert isinstance(source, Slices)
    assert len(source) == 320
    events = source[np.array([0, 250])]
    assert events["voxels"].shape == (2, 2, 368)
    share = events["voxels"].sum(-1) / events["energy"]
    np.testing.assert_allclose(share, [[0.8, 0.5]] * 2, rtol=0.4)
    again = source[np.array([10])]["voxels"][0, 1]
    np.testing.assert_array_equal(events["voxels"][1, 1], again)  # 240 training events


def blank(cfg):
    """A state of zeros, which needs no compilation."""
    state = jax.eval_shape(lambda: objective.init(cfg, jax.random.key(0)))
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state)


def state_and_batch(cfg, seed=0):
    source = WORKLOAD.sources(cfg).train
    raw = {k: jnp.asarray(v) for k, v in source[np.arange(cfg.train.batch_size)].items()}
    batch = objective.prepare(cfg, WORKLOAD.spec(cfg, source), raw)
    return jax.jit(lambda: objective.init(cfg, jax.random.key(seed)))(), batch


@pytest.mark.slow
def test_members_together_train_as_they_do_alone(slices):
    cfg = replace(
        config(slices),
        objective=replace(config(slices).objective, restart_every=0, tournament_every=0),
    )
    state, batch = state_and_batch(cfg)
    clock, key = Clock(jnp.float32(0), jnp.float32(3)), jax.random.key(9)
    both, told = step.train_step(cfg, state, batch, key, clock)
    energy = jnp.array([4.096, 16.384, 65.536])
    noise = objective.noise_of(cfg, jax.random.key(2), 3)
    for number in range(2):
        alone, metrics = objective.member_step(
            cfg, jax.tree.map(lambda x, n=number: x[n], state.each), batch["voxels"][:, number],
            batch["energy"][:, number], jax.random.fold_in(key, number), clock,
        )  # fmt: skip
        for name, value in metrics.items():
            assert told[name][number] == pytest.approx(float(value), rel=1e-3)
        one = jax.tree.map(lambda x, n=number: x[n], both.each)
        made = [
            objective.generated(cfg, objective.generators(cfg, each), energy, noise)
            for each in (one, alone)
        ]
        np.testing.assert_allclose(*made, rtol=1e-2, atol=1e-4)


@pytest.mark.slow
def test_a_member_that_fails_begins_anew_from_the_best_of_its_slice(slices):
    cfg = config(slices[:1], replicas=3)
    state, batch = state_and_batch(cfg)
    poisoned = jax.tree.map(lambda x: x.at[1].set(jnp.nan), state.each.critic)
    state = replace(state, each=replace(state.each, critic=poisoned))
    clock = Clock(jnp.float32(0), jnp.float32(4))
    after, metrics = step.train_step(cfg, state, batch, jax.random.key(1), clock)
    np.testing.assert_array_equal(after.restarts, [0, 1, 0])
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(after))
    donor = int(np.argmin(np.asarray(after.score)[[0, 2]])) * 2
    for leaf in jax.tree.leaves(after.each.generator):
        np.testing.assert_array_equal(leaf[1], leaf[donor])
    np.testing.assert_array_equal(metrics["restarts"], [0, 1, 0])
    told = validation.course(cfg, after)
    np.testing.assert_array_equal(told["restart_update"], [0, 4, 0])
    np.testing.assert_array_equal(told["restart_reason"], [0, restart.NOT_FINITE, 0])
    np.testing.assert_array_equal(told["restart_donor"], [-1, donor, -1])


def test_the_rule_of_failure(slices):
    cfg = config(slices[:1], replicas=4)
    state = blank(cfg)
    fine = jnp.ones(4, bool)
    state = replace(state, score=jnp.array([1.0, 1.2, 1.1, 9.0]), improved=jnp.full(4, 50))
    failed = restart.failure(cfg, state, jnp.int32(60), fine)
    np.testing.assert_array_equal(failed, [0, 0, 0, restart.POOR])
    early = restart.failure(cfg, replace(state, begun=jnp.full(4, 55)), jnp.int32(60), fine)
    assert not early.any()
    ill = restart.failure(cfg, state, jnp.int32(60), fine.at[0].set(False))
    np.testing.assert_array_equal(ill, [restart.NOT_FINITE, 0, 0, restart.POOR])
    tired = replace(state, restarts=jnp.full(4, cfg.objective.most_restarts))
    assert not restart.failure(cfg, tired, jnp.int32(60), ~fine).any()
    patient = replace(state, score=jnp.ones(4), improved=jnp.array([0, 60, 60, 60]))
    late = restart.failure(cfg, patient, jnp.int32(cfg.objective.restart_patience), fine)
    np.testing.assert_array_equal(late, [restart.STUCK, 0, 0, 0])


def test_donors_are_of_the_same_slice_or_its_neighbour(slices):
    data = {"files": [str(slices[0])] * 3, "eta": [0.0, 0.1, 0.2, 0.3],
            "energies": [4.096, 16.384, 65.536]}  # fmt: skip
    cfg = build(WganConfig, SMALL | {"data": data})
    state = blank(cfg)
    state = replace(state, score=jnp.array([1.0, 2.0, 3.0]))
    donor, there = restart.donors(cfg, state, jnp.array([False, False, True]))
    assert donor[2] == 1  # not the better one of slice 0
    assert there.all()
    _, there = restart.donors(cfg, state, jnp.array([False, True, True]))
    assert not there[2]


def test_pairs_are_of_one_slice_and_mutual():
    cfg = replace(WganConfig(), replicas=4)
    cfg = replace(cfg, data=replace(cfg.data, eta=(0.1, 0.2, 0.3), files=("a", "b")))
    met, draw = set(), jax.jit(lambda number: tournament.pairs(cfg, jax.random.key(number)))
    for number in range(20):
        partner = np.asarray(draw(number))
        np.testing.assert_array_equal(partner[partner], np.arange(8))
        assert (partner // 4 == np.arange(8) // 4).all()
        assert (partner != np.arange(8)).all()
        met.add(tuple(partner))
    assert len(met) > 5
    three = replace(cfg, replicas=3)
    odd = np.asarray(jax.jit(lambda: tournament.pairs(three, jax.random.key(0)))())
    assert (odd == np.arange(6)).sum() == 2


def test_the_other_generator_must_win_every_metric():
    own = jnp.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    other = jnp.array([[0.9, 0.9], [0.5, 1.1], [1.0, 0.5]])
    np.testing.assert_array_equal(tournament.wins(own, other), [True, False, False])


def test_each_judges_by_showers_of_its_own(slices):
    """The facts are those of the events: histograms of the replicas add up, layers have means."""
    cfg = config(slices[:1], replicas=2)
    source = WORKLOAD.sources(cfg).train
    facts = {name: np.asarray(value) for name, value in WORKLOAD.spec(cfg, source).facts}
    events = source[np.arange(len(source))]
    assert facts["histograms"].shape == (1, 2, 3, BINS)
    np.testing.assert_array_equal(facts["histograms"].sum((0, 2, 3)), [160, 160])
    share = events["voxels"][:, 0] / events["energy"]
    first = np.isclose(events["energy"][:, 0], 4.096) & (np.arange(len(source)) % 2 == 0)
    ends = cfg.calorimeter.offsets
    layer = share[first][:, ends[1] : ends[2]].sum(-1)
    np.testing.assert_allclose(facts["layers"][0, 0, 0, 1], [layer.mean(), layer.std()], rtol=1e-5)
    count = np.isclose(events["energy"][:, 0], 4.096).sum()
    assert facts["histograms"][0, :, 0].sum() == count
    # What the compiled score counts is what the facts count.
    found = score.histograms(
        cfg, jnp.asarray(share.sum(-1)), jnp.asarray(events["energy"][:, 0]),
        jnp.asarray(facts["edges"][0]), jnp.ones(len(share)),
    )  # fmt: skip
    assert np.abs(found - facts["histograms"][0].sum(0)).sum() <= 4  # at edges of bins


def test_the_better_generator_travels_and_critics_stay(slices):
    cfg = config(slices[:1], replicas=2)
    state, batch = state_and_batch(cfg)
    # The bias of the last layer of the first generator is the mean shower: it wins by both metrics.
    mean = batch["voxels"][:, 0].mean(0)
    last = state.each.generator["Layer_1"]
    bias = jnp.stack([mean, jnp.ones_like(mean)])
    each = replace(state.each, generator=state.each.generator | {
        "Layer_1": {"kernel": jnp.zeros_like(last["kernel"]), "bias": bias}
    })  # fmt: skip
    state = replace(state, each=each)
    meet = jax.jit(lambda state, key: tournament.held(cfg, state, batch, key))
    after = meet(state, jax.random.key(2))
    np.testing.assert_array_equal(after.origin, [0, 0])
    for leaf in jax.tree.leaves(after.each.generator):
        np.testing.assert_array_equal(leaf[1], leaf[0])
    for a, b in zip(
        jax.tree.leaves(after.each.critic), jax.tree.leaves(state.each.critic), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    again = meet(after, jax.random.key(3))  # equals: nobody changes
    np.testing.assert_array_equal(again.origin, [0, 0])


@pytest.fixture(scope="module")
def run(slices, tmp_path_factory):
    run = tmp_path_factory.mktemp("wgan") / "run"
    objective = SMALL["objective"] | {"tournament_every": 7}
    hepjax.run.train(WORKLOAD, config(slices, replicas=2, objective=objective), run)
    return run


def test_a_run_scores_each_member_and_generates_by_energy_and_eta(run, tmp_path, capsys):
    rows = [r for r in records.read(run / "metrics.jsonl") if r["event"] == "validation"]
    assert all(len(row["chi2_ndf"]) == 4 for row in rows)
    opened = hepjax.load(run)
    energy = np.full(6, 16.384)
    showers = opened.generate(energy=energy, eta=np.array([0.22, 0.28] * 3), seed=1)
    assert showers.shape == (6, 368)
    same = opened.generate(energy=energy, eta=[0.22], seed=1)
    np.testing.assert_allclose(same[::2], showers[::2], rtol=1e-4, atol=1e-6)
    assert not np.allclose(same[1], showers[1])
    with pytest.raises(InputError, match=r"eta: expected 0.2 to 0.3"):
        opened.generate(energy=energy, eta=[0.5])
    with pytest.raises(InputError, match="conditions: expected energy and eta, found energy"):
        opened.generate(energy=energy)
    argv = ["generate", str(run), f"--out={tmp_path / 'g.h5'}", "--events=8", "--eta=0.2:0.3"]
    assert main([*argv, "--energy=5:60", "--quiet"]) == 0
    assert main([*argv[:2], f"--out={tmp_path / 'h.h5'}", f"--like={tmp_path / 'g.h5'}"]) == 2
    assert "which says no eta" in capsys.readouterr().err


def test_a_wrong_number_of_slices_is_refused(slices):
    few = build(WganConfig, SMALL | {"data": {"files": list(map(str, slices)), "eta": [0.2, 0.25]}})
    with pytest.raises(
        InputError, match=r"data.files: expected a file or folder for each of the 1"
    ):
        WORKLOAD.sources(few)
    with pytest.raises(InputError, match=r"data.eta: expected two or more rising edges"):
        build(WganConfig, SMALL | {"data": {"eta": [0.3, 0.2]}})
    with pytest.raises(InputError, match="expected a file or folder for each of the 2 slices"):
        WORKLOAD.open(config(slices), [slices[0]])
    with pytest.raises(InputError, match="a multiple of the 2 updates of the critic"):
        config(slices, train={"batch_size": 33})
