"""Density ratios against exact ones, with a parameter; from files to a report; bad input."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.models import initial

from hepjax import InputError
from hepjax.cli import main
from hepjax.engine.workload import Clock
from hepjax.formats.unfolding.npz import write_arrays
from hepjax.simulate.mixture.toy import (
    CENTRE,
    VARIANCE,
    log_densities,
    log_normal_density,
    mixture_samples,
)
from hepjax.workloads.nsbi import data, objective
from hepjax.workloads.nsbi.config import DataConfig, InferenceConfig, ModelConfig, NsbiConfig, Part


def typed(command):
    """Exit code of a command line."""
    return main(command.split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("mixture") / "toy"
    command = f"simulate mixture --events 4000 --out {out} --quiet"
    assert typed(command) == 0
    return out


def test_parts_and_tasks():
    cfg = NsbiConfig(data=DataConfig(
        processes=("s", "i"), files=("s", "i"), coefficients=((0, 0, 1), (0, 1, 0)), signed=("i",),
        systematics=("shift",), varied=("s",), up=("u",), down=("d",),
    ))  # fmt: skip
    assert cfg.parts == (Part("s", 1), Part("i", 1), Part("i", -1))
    labels = ["s", "i", "i_negative", "shift_up", "shift_down"]
    assert [task.label for task in cfg.tasks] == labels
    assert cfg.tasks[3].zero == Part("s", 1)


def test_ratios_are_the_exact_ones_at_each_parameter():
    """Signal whose centre moves with a parameter, and background, to the reference."""
    cfg = NsbiConfig(
        data=DataConfig(parameters=("t",), parametrised=("signal",)),
        inference=InferenceConfig(at=(0.0,)),
        model=ModelConfig(hidden=(32, 32)), bootstraps=1,
    )  # fmt: skip
    made = mixture_samples(2**16, 3)
    found = {}
    for name, arrays in (
        ("reference", made["reference"]), ("signal", made["signal_moved"]),
        ("background", made["background"]),
    ):  # fmt: skip
        x = np.stack([arrays["sim_x0"], arrays["sim_x1"]], axis=1)
        theta = arrays.get("par_t", np.zeros(len(x), np.float32))[:, None]
        found[name] = data.Read(x, theta, arrays["weights"])
    pairs = data.side_by_side(cfg, found)
    whole = {k: jnp.asarray(v) for k, v in pairs[np.arange(len(pairs))].items()}
    updates, size = 480, 1024

    @jax.jit
    def run(state, whole, x, theta):
        def step(state, k):
            rows = (k * size + jnp.arange(size)) % len(pairs)
            batch = {name: a[rows] for name, a in whole.items()}
            clock = Clock(cfg.train.epochs * k / updates, k)
            return objective.train_step(cfg, state, batch, jax.random.key(0), clock)

        state, metrics = jax.lax.scan(step, state, jnp.arange(updates))
        return objective.log_ratios(cfg, state, x, theta), metrics["loss"]

    judged = mixture_samples(2000, 4)["reference"]
    x = np.stack([judged["sim_x0"], judged["sim_x1"]], axis=1)
    theta = np.where(np.arange(len(x)) % 2, 0.4, -0.4).astype(np.float32)[:, None]
    begin = jax.jit(partial(objective.init, cfg))
    ratios, losses = run(begin(jax.random.key(1)), whole, x, theta)
    assert np.isfinite(losses).all()
    known = log_densities(x.astype(float))
    move = np.concatenate([theta, 0 * theta], axis=1)
    exact = [
        log_normal_density(x.astype(float) - move, CENTRE, VARIANCE) - known["reference"],
        known["background"] - known["reference"],
    ]
    for task in range(2):
        found_here = np.asarray(ratios[0, task])
        # Weighted as the densities are: where a ratio is small it is not learnt well.
        weight = np.exp(np.maximum(exact[task], -3))
        error = np.sqrt(np.average((found_here - exact[task]) ** 2, weights=weight))
        assert error < 0.15
        mean = np.exp(found_here).mean()
        assert mean == pytest.approx(1.0, abs=0.06)
    moved = np.abs(exact[0] - (known["signal"] - known["reference"]))
    assert np.average(moved, weights=np.exp(exact[0])) > 0.3  # the parameter matters


def test_bootstrap_and_sign_make_the_weights_of_the_classes():
    cfg = replace(
        NsbiConfig(data=DataConfig(
            processes=("i",), files=("i",), coefficients=((0, 1, 0),), signed=("i",)
        )), bootstraps=1,
    )  # fmt: skip
    cfg = replace(cfg, train=replace(cfg.train, members=2))
    n = 400
    x, none = np.zeros((n, 2), np.float32), np.zeros((n, 0), np.float32)
    signed = np.where(np.arange(n) % 4, 2.0, -3.0)
    found = {
        "reference": data.Read(x, none, np.ones(n)), "i": data.Read(x + 1, none, signed)
    }  # fmt: skip
    pairs = data.side_by_side(cfg, found)
    batch = {k: jnp.asarray(v) for k, v in pairs[np.arange(n)].items()}
    state = initial(objective, cfg)
    x, one, zero = objective.classes(cfg, state, batch, bootstrap=True)
    assert x.shape == (2, 2 * n, 2)
    np.testing.assert_allclose(one[0].sum(axis=1), n, rtol=1e-5)  # each sign is a density
    np.testing.assert_allclose(zero[0].sum(axis=1), n, rtol=1e-5)
    assert (np.asarray(one[0, 0]) > 0).sum() == 300
    assert (np.asarray(one[0, 1]) > 0).sum() == 100
    assert np.asarray(one[1]).sum() != pytest.approx(2 * n)  # drawn anew in the bootstrap


def test_from_files_to_ratios_and_report(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mixture").symlink_to(folder)
    command = (
        "train nsbi/demo --run run --quiet train.epochs=1 train.batch_size=512 model.hidden=[8] "
        "train.members=2 bootstraps=1 inference.toys=20 inference.points=11"
    )
    assert typed(command) == 0
    assert main(["evaluate", "run", "--quiet", "--json"]) == 0
    scores = json.loads((tmp_path / "run/report/scores.json").read_text())
    assert set(scores["ratios"]) == {
        "signal", "background", "interference", "interference_negative", "shift_up", "shift_down"
    }  # fmt: skip
    assert len(scores["strength"]["profiled_curve"]) == 11
    assert 0 <= scores["strength"]["coverage"][0][0] <= 1
    assert (
        main(
            ["predict", "run", "--data", "data/mixture/signal.npz", "--out", "r.parquet", "--quiet"]
        )
        == 0
    )
    table = pq.read_table("r.parquet")
    assert table.num_rows == 4000
    assert "log_r_interference_negative_spread" in table.column_names
    capsys.readouterr()
    assert main(["evaluate", "run", "--data", "data/mixture/signal.npz"]) == 2
    assert "--data: expected none" in capsys.readouterr().err


def test_bad_input_is_one_line(folder, tmp_path):
    names = "signal", "background"
    files = {name: str(folder / f"{name}.npz") for name in ("reference", "interference", *names)}
    known = DataConfig(reference=(files["reference"],), files=tuple(files[n] for n in names))
    negative = replace(known, files=(files["interference"], files["background"]))
    with pytest.raises(InputError, match=r"interference\.npz: expected weights that are finite"):
        data.sources(NsbiConfig(data=negative))
    with pytest.raises(InputError, match=r"expected events of negative weight for signal, found"):
        data.sources(NsbiConfig(data=replace(known, signed=("signal",))))
    path = tmp_path / "none.npz"
    write_arrays(path, {"sim_x0": np.zeros(9), "sim_x1": np.zeros(9), "sim_pass": np.zeros(9)})
    with pytest.raises(InputError, match=r"none\.npz: expected events that pass"):
        data.sources(NsbiConfig(data=replace(known, reference=(str(path),))))
    with pytest.raises(InputError, match="expected the arrays sim_z, found"):
        data.sources(NsbiConfig(data=replace(known, observables=("x0", "z"))))
    with pytest.raises(InputError, match=r"data\.files: expected one for each of signal, "):
        NsbiConfig(data=replace(known, files=(files["signal"],)))
    with pytest.raises(InputError, match=r"data\.up: expected one for each of the 1"):
        NsbiConfig(data=replace(known, systematics=("a",), varied=("signal",)))
    with pytest.raises(InputError, match=r"inference\.at: expected a value for each of the 1"):
        NsbiConfig(data=replace(known, parameters=("t",)))
    with pytest.raises(InputError, match=r"inference\.truth: expected 0 to 2\.5"):
        NsbiConfig(inference=InferenceConfig(truth=3.0))
    with pytest.raises(InputError, match=r"data\.parametrised: expected none without"):
        NsbiConfig(data=replace(known, parametrised=("signal",)))
