"""OmniFold against exact answers, planted defects, and from files to a report."""

import json
from dataclasses import replace

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax import InputError
from hepjax.cli import main
from hepjax.engine.workload import Clock
from hepjax.formats.unfolding.npz import write_arrays
from hepjax.physics.unfolding.exact import expectation_maximisation, gaussian_recursion
from hepjax.run import load
from hepjax.simulate.unfolding.gaussian import NATURE, SIMULATION, efficiency, gaussian_events
from hepjax.workloads import table
from hepjax.workloads.unfold import data, objective
from hepjax.workloads.unfold.config import DataConfig, ModelConfig, UnfoldConfig, UnfoldingConfig
from hepjax.workloads.unfold.state import init

WORKLOAD = table.get("unfold")
EVENTS = 2**16
"""Even points, so that four passes through them learn the ratio within 0.01."""


def config(**changes):
    train = changes.pop("train", {})
    unfold = changes.pop("unfold", {})
    cfg = UnfoldConfig(
        unfold=replace(UnfoldingConfig(iterations=2, epochs=4), **unfold),
        model=ModelConfig(hidden=(32, 32)), data=DataConfig(observables=("x",)),
    )  # fmt: skip
    cfg = replace(cfg, train=replace(cfg.train, **{"batch_size": 1024} | train), **changes)
    return cfg.resolved()


def sample(name, toy, events, seed, **more):
    made = gaussian_events(toy, events, seed, even=True) | more
    passed = made["sim_pass"]
    arrays = {
        "weight": made.get("weights", np.ones(events, np.float32)),
        "reco": np.where(passed, made["sim_x"], 0)[:, None].astype(np.float32),
        "pass_reco": passed,
    }
    if name == "simulation":
        arrays |= {"gen": made["gen_x"][:, None], "pass_gen": made.get("gen_pass", passed | True)}
    else:
        arrays = {k: v[passed] for k, v in arrays.items() if k != "pass_reco"}
    return data.Sample(name, arrays)


def pairs_of(cfg, *samples):
    length = max(map(len, samples))
    by_name = {s.name: s for s in samples}
    scale = length / by_name["measured"].arrays["weight"].sum()
    simulated = by_name["simulation"].arrays
    there = simulated["weight"][simulated["pass_reco"]].sum()
    wanted = by_name["measured"].arrays["weight"].sum()
    if "background" in by_name:
        wanted -= by_name["background"].arrays["weight"].sum()
    factor = {"simulation": scale * wanted / there}
    return data.Pairs([data._ready(s, factor.get(s.name, scale), cfg) for s in samples])


def unfolded(cfg, pairs):
    """State, (members, iterations, n) weights of the simulation, and the losses of all updates."""
    spec, size = data.spec(cfg, pairs), cfg.train.batch_size
    per_epoch = len(pairs) // size
    whole = {k: jnp.asarray(v) for k, v in pairs[np.arange(len(pairs))].items()}

    @jax.jit
    def run(state, whole):
        def epoch(state, number):
            key = jax.random.fold_in(jax.random.key(1), number)
            order = jax.random.permutation(key, len(pairs))[: per_epoch * size]

            def step(state, now):
                rows, update = now
                raw = {name: a[rows] for name, a in whole.items()}
                batch, clock = objective.prepare(cfg, spec, raw), Clock(update / per_epoch, update)
                return objective.train_step(cfg, state, batch, jax.random.key(0), clock)

            updates = number * per_epoch + jnp.arange(per_epoch)
            return jax.lax.scan(step, state, (order.reshape(per_epoch, size), updates))

        state, metrics = jax.lax.scan(epoch, state, jnp.arange(cfg.train.epochs))
        batch = objective.prepare(cfg, spec, whole)
        found = [objective.log_push(cfg, state, k + 1, batch) for k in range(cfg.unfold.iterations)]
        return state, jnp.exp(jnp.stack(found, axis=1)), metrics["loss"]

    state, push, losses = run(init(cfg, jax.random.key(cfg.train.seed)), whole)
    return state, np.asarray(push)[:, :, : len(pairs.samples["simulation"])], np.asarray(losses)


def moments(values, weights):
    mean = np.average(values, weights=weights)
    return mean, np.sqrt(np.average((values - mean) ** 2, weights=weights))


def test_each_iteration_of_gaussians_is_that_of_the_recursion():
    cfg = config()
    simulation = sample("simulation", SIMULATION, EVENTS, 1)
    _, push, _ = unfolded(cfg, pairs_of(cfg, sample("measured", NATURE, EVENTS, 2), simulation))
    known = gaussian_recursion((0.5, 1.0), (0.0, 0.9), 0.5, 2)
    for weights, (mean, width) in zip(push[0], known, strict=True):
        found = moments(simulation.arrays["gen"][:, 0], weights)
        assert found == pytest.approx((mean, width), abs=0.01)


@pytest.mark.slow
def test_four_iterations_at_full_size():
    """The mean of four samples, which differ by 0.002 to 0.007 among one another."""
    cfg = config(
        unfold={"iterations": 4, "epochs": 8}, train={"batch_size": 4096},
        model=ModelConfig(hidden=(64, 64)),
    )  # fmt: skip
    found = []
    for seed in range(1, 9, 2):
        simulation = sample("simulation", SIMULATION, 200_000, seed)
        measured = sample("measured", NATURE, 200_000, seed + 1)
        _, push, _ = unfolded(cfg, pairs_of(cfg, measured, simulation))
        found.append([moments(simulation.arrays["gen"][:, 0], weights) for weights in push[0]])
    known = gaussian_recursion((0.5, 1.0), (0.0, 0.9), 0.5, 4)
    np.testing.assert_allclose(np.mean(found, 0), known, rtol=0, atol=0.01)


TRUE, SEEN = np.linspace(-4.5, 4.5, 181), np.linspace(-6.0, 6.0, 241)


def exact_response(toy):
    """(t, r) of the toy in bins TRUE and SEEN."""
    from scipy.special import ndtr

    middle = (TRUE[1:] + TRUE[:-1]) / 2
    spread = np.diff(ndtr((SEEN[None] - middle[:, None]) / toy.smearing), axis=1)
    return spread * efficiency(toy, middle)[:, None], middle


def density(toy, edges):
    from scipy.special import ndtr

    return np.diff(ndtr((edges - toy.mean) / toy.width))


@pytest.mark.parametrize("acceptance", ["mean", pytest.param("keep", marks=pytest.mark.slow)])
def test_acceptance_fakes_and_efficiency_as_expectation_maximisation(acceptance):
    nature, simulated = (t._replace(efficiency=0.7, slope=0.8) for t in (NATURE, SIMULATION))
    cfg = config(unfold={"acceptance": acceptance})
    # Fakes: measured, but the truth is outside of the phase space x < 1.5.
    events = EVENTS
    made = gaussian_events(simulated, events, 1, even=True)
    inside = made["gen_x"] < 1.5
    simulation = sample("simulation", simulated, events, 1, gen_pass=inside)
    _, push, _ = unfolded(cfg, pairs_of(cfg, sample("measured", nature, events, 2), simulation))

    response, middle = exact_response(simulated)
    start, true = density(simulated, TRUE), density(nature, TRUE)
    measured = true @ response
    scale = measured.sum() / (start @ response).sum()
    phase = middle < 1.5
    fakes = scale * (start * ~phase) @ response
    known = expectation_maximisation(
        response * phase[:, None], scale * start * phase, measured, 2, fakes=fakes,
        keep=acceptance == "keep",
    )  # fmt: skip
    x = simulation.arrays["gen"][:, 0]
    for weights, exact in zip(push[0], known, strict=True):
        assert (weights[~inside] == 1).all()
        found = moments(x[inside], weights[inside])
        assert found == pytest.approx(moments(middle[phase], exact[phase]), abs=0.015)
        total = scale * weights[inside].sum() / events
        assert total == pytest.approx(exact[phase].sum(), rel=0.015)


@pytest.mark.slow
def test_closure_background_bootstraps_and_ensembles():
    """A reweighted simulation is found again, with background under it."""
    cfg = config(
        unfold={"iterations": 1, "epochs": 8, "ensemble": 2, "bootstraps": 1},
        train={"members": 2}, data=DataConfig(observables=("x",), background=("some",)),
    )  # fmt: skip
    events = 16_000
    far = SIMULATION._replace(mean=1.5, width=0.5)
    signal, other = (sample("measured", t, n, s) for t, n, s in (
        (SIMULATION, events, 3), (far, events // 4, 4)))  # fmt: skip
    joined = {k: np.concatenate([signal.arrays[k], other.arrays[k]]) for k in signal.arrays}
    background = data.Sample("background", sample("measured", far, events // 4, 5).arrays)
    simulation = sample("simulation", SIMULATION, events, 1)
    pairs = pairs_of(cfg, data.Sample("measured", joined), simulation, background)
    state, push, losses = unfolded(cfg, pairs)
    assert np.isfinite(losses).all()
    assert push.shape == (2, 1, events)
    for weights in push[:, 0]:
        found = moments(simulation.arrays["gen"][:, 0], weights)
        assert found == pytest.approx((0.5, 1.0), abs=0.03)
        assert weights.mean() == pytest.approx(1.0, abs=0.04)
    assert np.abs(push[0] - push[1]).max() > 1e-4
    # Each network of each training kept a loss, and none kept that of the start.
    assert all((np.asarray(level.losses) < 1.0).all() for level in state.levels.values())


def test_repeated_rows_keep_the_sum_of_weights():
    cfg = config()
    pairs = pairs_of(
        cfg, sample("measured", NATURE, 700, 1), sample("simulation", SIMULATION, 1000, 2)
    )
    whole = pairs[np.arange(len(pairs))]
    assert whole["measured_weight"].sum() == pytest.approx(1000, rel=1e-5)
    assert whole["simulation_weight"].sum() == pytest.approx(1000, rel=1e-5)


def typed(command):
    """Exit code of a command line."""
    return main(command.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("unfolding") / "toy"
    command = f"simulate unfolding --toy gaussian --events 3000 --out {out} --quiet"
    assert typed(command) == 0
    return out


def settings(folder, run):
    return [
        "unfold/gaussian", "--run", str(run), "--quiet", f"data.measured=[{folder}/measured]",
        f"data.simulation=[{folder}/simulation]", "train.batch_size=512", "unfold.iterations=2",
        "unfold.epochs=1", "model.hidden=[8]", "train.members=2", "unfold.bootstraps=1",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_stopped_run_is_the_same_and_so_is_one_with_a_device_a_member(folder, tmp_path):
    runs = [tmp_path / name for name in ("stopped", "whole", "spread")]
    often = [*settings(folder, runs[0]), "checkpoint.every_steps=5"]
    assert main(["train", *often, "train.steps=13"]) == 0  # in the third training
    assert main(["train", *often, "train.steps=0"]) == 0
    assert main(["train", *settings(folder, runs[1])]) == 0
    over = ["mesh.layout=members", "mesh.devices=2"]
    assert main(["train", *settings(folder, runs[2]), *over]) == 0
    stopped, whole, spread = (jax.tree.leaves(load(run).state) for run in runs)
    for a, b, c in zip(stopped, whole, spread, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, rtol=1e-4, atol=1e-5)


def test_from_files_to_weights_and_report(folder, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", *settings(folder, run)]) == 0
    assert main(["evaluate", str(run), "--quiet", "--json"]) == 0
    scores = json.loads((run / "report/scores.json").read_text())
    assert len(scores["area_under_curve"]) == 3
    assert (run / "report/index.html").is_file()
    with h5py.File(run / "report/weights.h5") as file:
        weights = file["weights"][:]
        assert file["covariance/x"].shape == (20, 20)
    about = json.loads((run / "report/weights.json").read_text())
    assert about["events"] == 3000
    assert [m["bootstrap"] for m in about["members"]] == [False, True]
    assert weights.shape == (3000, 2)
    table_of = tmp_path / "weights.parquet"
    given = ["--data", str(folder / "simulation"), "--out", str(table_of)]
    assert main(["predict", str(run), *given, "--quiet"]) == 0
    import pyarrow.parquet as pq

    predicted = pq.read_table(table_of).to_pydict()
    expected = weights[:, 0] / about["normalisation"]
    np.testing.assert_allclose(predicted["weight_0"], expected, rtol=1e-4)
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(folder / "simulation")]) == 2
    assert "hepjax: error: --data: expected none" in capsys.readouterr().err


@pytest.mark.slow
def test_particle_lists_of_jets_to_a_report(tmp_path, monkeypatch, capsys):
    """OmniFold on the published layout; the report shows the observables of jets."""
    monkeypatch.chdir(tmp_path)
    assert typed("simulate unfolding --events 600 --out data/unfolding --quiet") == 0
    assert typed("inspect data/unfolding/simulation --json") == 0
    seen = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert seen["layout"] == "unfolding npz"
    assert {"gen m", "sim tau21", "sim lnrho"} <= set(seen["ranges"])
    command = (
        "train unfold/particles --run run --quiet data.particles=8 model.hidden=[8] "
        "model.of_particles=[8] train.batch_size=128 unfold.iterations=1 unfold.epochs=1"
    )
    assert typed(command) == 0
    assert typed("evaluate run --quiet --json") == 0
    scores = json.loads((tmp_path / "run/report/scores.json").read_text())
    assert set(scores["observables"]) == {"m", "M", "w", "lnrho", "tau21", "zg", "pt"}
    assert scores["observables"]["m"]["to_truth_before"] > 0


BAD = {
    "negative": ({"weights": np.array([1.0] * 19 + [-0.5])}, "not negative, found -0.5 in row 19"),
    "not finite": ({"weights": np.full(20, np.nan)}, "expected weights that are finite"),
    "nan": ({"sim_x": np.full(20, np.nan)}, "expected finite numbers in sim x"),
    "no reconstruction": ({"sim_pass": np.zeros(20)}, "found none of 20"),
    "another length": ({"gen_x": np.zeros(19)}, "for 19 events, found float64 (20,)"),
    "no events": ({k: np.zeros(0) for k in ("gen_x", "sim_x", "sim_pass")}, "expected events"),
    "other columns": ({"sim_x": None, "sim_y": np.zeros(20)}, "expected the arrays sim_x"),
    "text": ({"sim_x": np.array(["a"] * 20)}, "expected numbers (events) in sim_x"),
}


@pytest.mark.parametrize("which", ["measured", "simulation"])
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case, which, folder, tmp_path):
    changes, words = BAD[case]
    made = {"gen_x": np.zeros(20), "sim_x": np.zeros(20), "sim_pass": np.ones(20)} | changes
    if which == "measured":
        made.pop("gen_x")
    path = tmp_path / "bad.npz"
    write_arrays(path, {k: v for k, v in made.items() if v is not None})
    if which == "measured" and case == "another length":
        return
    files = {"measured": (f"{folder}/measured",), "simulation": (f"{folder}/simulation",)}
    cfg = config(data=DataConfig(observables=("x",), **files | {which: (str(path),)}))
    if which == "simulation" and case == "no reconstruction":
        words = "expected events that pass at both levels"
    with pytest.raises(InputError) as error:
        data.sources(cfg)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_damaged_files_and_contradicting_settings(tmp_path):
    path = tmp_path / "cut.npz"
    write_arrays(path, {"sim_x": np.zeros(1000)})
    path.write_bytes(path.read_bytes()[:2000])
    cfg = config(data=DataConfig(observables=("x",), measured=(str(path),)))
    with pytest.raises(InputError, match=r"cut\.npz: expected sound npz data"):
        data.sources(cfg)
    with pytest.raises(InputError, match=r"train\.epochs: expected 20 for 5 trainings"):
        replace(cfg, train=replace(cfg.train, epochs=7))
    with pytest.raises(InputError, match=r"unfold\.bootstraps: expected at most the 1"):
        config(unfold={"bootstraps": 2})
    with pytest.raises(InputError, match=r"data\.observables: expected names, or"):
        UnfoldConfig(data=DataConfig(observables=("x",), particles=4))
