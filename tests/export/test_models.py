"""Exported models say what runs say, in the tensors that each host hands over and reads."""

import json
from dataclasses import replace
from functools import partial

import h5py
import jax
import numpy as np
import pytest
from helpers import calo
from helpers.exporting import CASES, agreement, exported, trained
from helpers.gan3d import TINY, TINY_ANGLE
from helpers.mlpf import MODELS, config
from helpers.tagger import TINY as TAGGER
from helpers.toy import TOY, Line, ToyConfig, in_the_table

import hepjax.run
from hepjax import InputError
from hepjax.cli import main
from hepjax.engine.config import TrainConfig
from hepjax.export import parity, quantised, targets
from hepjax.export.onnx_file import halved
from hepjax.export.replay import answers, drawn
from hepjax.export.resample import box_to_cylinder
from hepjax.formats.showers import calorimeters
from hepjax.formats.showers.library import library
from hepjax.workloads import table

GAN, MLPF, JETS = (table.get(name) for name in ("gan3d", "mlpf", "tagger"))
SLOW = ("mlpf-sparse", "mlpf-concat", "calo", "trigger")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in CASES]
)
def test_every_workload_says_what_the_run_says(name, monkeypatch):
    monkeypatch.setattr(parity, "BATCHES", (2,))  # each is compiled anew; the command takes three
    monkeypatch.setattr(parity, "ELEMENTS", (13,))
    monkeypatch.setattr(parity, "ROUNDINGS", 2)
    found = agreement(*CASES[name])
    assert found.error <= parity.TOLERANCE
    assert found.decided_by_rounding <= parity.MOST_DECIDED


@pytest.mark.slow
def test_of_a_few_cells_the_steps_to_the_moments_are_steep(monkeypatch):
    monkeypatch.setattr(parity, "BATCHES", (24,))
    monkeypatch.setattr(parity, "ELEMENTS", (1,))
    found = agreement(table.get("calo"), calo.tiny(calo.BOX))
    assert found.rounding > parity.TOLERANCE
    assert found.decided_by_rounding <= parity.MOST_DECIDED


def test_a_model_that_says_something_else_is_refused():
    workload, cfg = CASES["tagger"]
    state, host, _, content = exported(workload, cfg)
    other = jax.tree.map(lambda a: np.asarray(a) * 1.001, state)
    with pytest.raises(parity.ParityError, match=r"expected the answers of the run to 1e-05"):
        parity.check(content, workload, cfg, other, host, ())


def test_drawn_inside_each_call_gives_another_shower():
    content = exported(GAN, TINY_ANGLE, noise="inside")[-1]
    runtime = parity.session(content)
    given = {"energy": np.full(2, 100, np.float32), "theta": np.full(2, 1.5, np.float32)}
    first, second = (runtime.run(None, given)[0] for _ in range(2))
    assert first.shape == (2, 11, 11, 6)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


# Hosts: each is played as its code binds inputs and reads the output.


def flat(cells):
    """Total of each layer of a box (x, y, z)."""
    return cells.sum((0, 1))


def test_par04_reads_a_flat_mesh():
    cfg = TINY
    state, host, _, content = exported(GAN, cfg, "par04", noise="outside")
    runtime = parity.session(content)
    (asked,) = runtime.get_inputs()  # Par04 keeps one name only
    latent = host.settings["latent"]
    vector = np.zeros(latent + 4, np.float32)
    vector[:latent] = np.random.default_rng(0).normal(size=latent)
    energy = 200.0
    vector[latent:] = 1000 * energy / 1_024_000, 90 / 90, 0, 1
    out = runtime.run([runtime.get_outputs()[0].name], {asked.name: vector[None]})[0].reshape(-1)
    mesh = out.reshape(host.settings["rho_cells"], 16, host.settings["z_cells"]) * energy

    plain = targets.host("generic", GAN, cfg, drawn(GAN, cfg, state))
    given = {"energy": np.float32([energy])}
    cells = answers(GAN, cfg, plain)(state, given, [vector[None, :latent]])["ecal"][0]
    assert cells.sum() > 0
    np.testing.assert_allclose(mesh.sum((0, 1)), flat(np.asarray(cells)), rtol=1e-4)


def test_par04_hands_energy_and_angles_to_a_model_that_draws():
    _, host, _, content = exported(GAN, TINY_ANGLE, "par04")
    runtime = parity.session(content)
    (asked,) = runtime.get_inputs()
    assert asked.shape == [1, 8]
    vector = np.float32([[100, 0.3, 1.6, 1, 0, 0, 0, 0]])
    out = runtime.run(None, {asked.name: vector})[0]
    cells = np.prod([host.settings[k] for k in ("rho_cells", "phi_cells", "z_cells")])
    assert out.shape == (1, cells)


def test_ddml_binds_uniform_numbers_and_energy_by_position():
    cfg = replace(TINY, model=replace(TINY.model, latent=100))
    state, _, _, content = exported(GAN, cfg, "ddml")
    runtime = parity.session(content)
    latent, energy = (i.name for i in runtime.get_inputs())
    uniform = np.random.default_rng(1).uniform(-1, 1, (1, 100, 1, 1, 1)).astype(np.float32)
    given = {latent: uniform, energy: np.full((1, 1, 1, 1, 1), 50, np.float32)}
    out = runtime.run(None, given)[0].reshape(25, 25, 25)  # layer, x, y

    from scipy.special import ndtri

    normal = ndtri((uniform.reshape(1, 100) + 1) / 2).astype(np.float32)
    plain = targets.host("generic", GAN, cfg, drawn(GAN, cfg, state))
    cells = np.asarray(
        answers(GAN, cfg, plain)(state, {"energy": np.float32([50])}, [normal])["ecal"][0]
    )
    expected = 1000 * np.transpose(cells, (2, 0, 1))
    np.testing.assert_allclose(out, expected, atol=2e-5 * expected.max())


def test_fastcalosim_reads_shares_of_voxels():
    known = calorimeters.calorimeter("atlas-photons")
    cfg = table.configure({
        "workload": "gan3d", "model": {"latent": 5, "inputs": "energy", "generator": [
            {"dense": [known.voxels], "activation": "relu"}], "discriminator": [{"dense": [4]}]},
        "data": {"calorimeter": "atlas-photons"}, "objective": {"conditions": "batch"},
    })[1]  # fmt: skip
    state, host, _, content = exported(GAN, cfg, "fastcalosim")
    runtime = parity.session(content)
    low, high = (host.settings[f"energy_{end}_gev"] for end in ("low", "high"))
    energy = 10.0
    condition = np.float32([[np.log(energy / low) / np.log(high / low), 0]])
    size = runtime.get_inputs()[0].shape[1]
    normal = np.random.default_rng(0).normal(size=(1, size)).astype(np.float32)
    out = runtime.run(None, {"Noise": 0.5 + 0.5 * normal, "mycond": condition})[0]
    plain = targets.host("generic", GAN, cfg, drawn(GAN, cfg, state))
    cells = answers(GAN, cfg, plain)(state, {"energy": np.float32([energy])}, [normal])["ecal"]
    np.testing.assert_allclose(out * energy, cells, atol=1e-4 * np.abs(cells).max())
    assert out.shape == (1, known.voxels)


def test_gaussino_draws_from_unit_uniform_numbers():
    found = agreement(GAN, TINY_ANGLE, target="gaussino")
    assert found.error <= parity.TOLERANCE


def test_cmssw_reads_its_three_tensors():
    cfg = config(MODELS["additive"])
    content = exported(MLPF, cfg, "cmssw")[-1]
    runtime = parity.session(content)
    assert [i.name for i in runtime.get_inputs()] == ["Xfeat_normed", "mask"]
    assert [o.name for o in runtime.get_outputs()] == ["bid", "id", "momentum"]
    rng = np.random.default_rng(2)
    features = np.abs(rng.normal(size=(1, 13, 55))).astype(np.float32)
    features[..., 0] = rng.integers(1, 3, (1, 13))
    bid, classes, momentum = runtime.run(
        None, {"Xfeat_normed": features, "mask": np.ones((1, 13), np.float32)}
    )
    assert (bid.shape, classes.shape, momentum.shape) == ((1, 13, 2), (1, 13, 9), (1, 13, 5))
    kept = bid[0, :, 1] > bid[0, :, 0]
    energy = np.exp(momentum[0, :, 4]) * features[0, :, 5]  # as MLPFModel.h reads it
    assert np.isfinite(energy).all()
    assert (classes[0, :, [3, 4, 8]] == -100).all()
    assert kept.shape == (13,)


@pytest.mark.parametrize(
    ("workload", "cfg", "target", "words"),
    [
        (GAN, TINY, "ddml", r"expected a generator of 100 normal numbers, as model.latent=100"),
        (GAN, TINY, "fastcalosim", r"expected a calorimeter with rings and sectors, found the box"),
        (GAN, TINY, "cmssw", r"expected a run of mlpf, found one of gan3d"),
        (JETS, TAGGER, "par04", r"expected a run that simulates showers, found one of tagger"),
    ],
)
def test_a_target_that_does_not_fit_says_what_differs(workload, cfg, target, words):
    with pytest.raises(InputError, match=rf"^--target {target}: {words}"):
        targets.host(target, workload, cfg, drawn(workload, cfg, trained(workload, cfg)))


def test_boxes_of_any_edges_are_as_the_run_has_them_in_each_field():
    workload, cfg = CASES["fields"]
    state, _, _, content = exported(workload, cfg)
    dark = np.random.default_rng(0).lognormal(size=(1, 6, 2, 4, 4)).astype(np.float32)
    made = parity.session(content).run(None, {"dark": dark})[0]
    keys = jax.random.split(jax.random.key(0), 1)
    wanted = np.asarray(jax.jit(partial(workload.infer, cfg))(state, {"dark": dark}, keys)["gas"])
    assert made.shape == wanted.shape == (1, 6, 2, 4, 5)
    for k in range(5):  # densities, kelvins and velocities
        scale = np.abs(wanted[..., k]).max()
        np.testing.assert_allclose(made[..., k], wanted[..., k], atol=1e-5 * scale)


def test_resampling_keeps_the_energy_and_the_radius():
    matrix, rings, sectors, width = box_to_cylinder((25, 25), (5.1, 5.1))
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=1e-5)
    bins = matrix.reshape(25, 25, rings, sectors)
    assert bins[12, 12, 0].sum() > 0.99  # the cell in the middle is 2.55 mm around the axis
    right = bins[20, 12].sum(0)  # along x: azimuth 0, in the middle of (-pi, pi)
    assert right[sectors // 2 - 1 : sectors // 2 + 1].sum() > 0.99
    radius = (np.arange(rings) + 0.5) * width
    assert bins[20, 12].sum(1) @ radius == pytest.approx(8 * 5.1, rel=0.03)


# The command line.


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory):
    run = tmp_path_factory.mktemp("toy") / "run"
    hepjax.run.train(TOY, ToyConfig(TrainConfig(batch_size=8, epochs=1)), run)
    return run


@pytest.fixture
def toy(toy_run, monkeypatch):
    in_the_table(monkeypatch)
    return str(toy_run)


def test_the_command_writes_the_model_and_what_it_is(toy, tmp_path, capsys):
    out = tmp_path / "toy.onnx"
    assert main(["export", toy, "--format", "onnx", "--out", str(out), "--opset", "20"]) == 0
    assert "agrees with the run" in capsys.readouterr().out
    about = json.loads(out.with_suffix(".json").read_text())
    assert about["opset"] == 20
    assert about["parity"]["error"] <= 1e-5
    assert about["inputs"] == [
        {"name": "x", "shape": ["batch", 32], "dtype": "float32", "unit": "1"}
    ]
    found = parity.session(out.read_bytes()).run(None, {"x": Line().x})[0]
    expected = np.concatenate([p["y"] for p in hepjax.load(toy).predict([])])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert main(["inspect", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["opsets"] == {"ai.onnx": 20}
    assert json.loads(report["metadata"]["parity"]) == about["parity"]
    assert report["metadata"]["run_sha256"] == about["run_sha256"]


def test_stablehlo_is_run_without_hepjax(toy, tmp_path):
    out = tmp_path / "toy.stablehlo"
    assert main(["export", toy, "--format", "stablehlo", "--out", str(out)]) == 0
    loaded = jax.export.deserialize(bytearray(out.read_bytes()))
    assert set(loaded.platforms) == {"cpu", "cuda", "tpu"}
    found = loaded.call(Line().x[:5], np.int32(0))["y"]
    expected = next(hepjax.load(toy).predict([]))["y"][:5]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_triton_repository(toy, tmp_path, capsys):
    out = tmp_path / "models"
    assert main(["export", toy, "--format", "triton", "--out", str(out)]) == 0
    text = (out / "run" / "config.pbtxt").read_text()
    assert 'input [ { name: "x" data_type: TYPE_FP32 dims: [ 32 ] } ]' in text
    assert (
        'output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] reshape: { shape: [ ] } } ]' in text
    )
    assert (out / "run" / "1" / "model.onnx").is_file()
    assert main(["export", toy, "--format", "triton", "--out", str(out)]) == 2
    assert "expected a new model of the repository" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "onnx", "--opset", "15"], "--opset: expected 16 to 23, found 15"),
        (["--format", "stablehlo", "--opset", "17"], "--opset: expected --format onnx or triton"),
        (["--format", "onnx", "--target", "cmssw"], "--target cmssw: expected a run of mlpf"),
        (["--format", "onnx", "--batch-size", "0"], "--batch-size: expected at least 1, found 0"),
    ],
)
def test_refusals_leave_nothing(toy, tmp_path, capsys, words, said):
    out = tmp_path / "model.onnx"
    assert main(["export", toy, "--out", str(out), *words]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_disagrees_is_not_written(toy, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(parity, "TOLERANCE", 0.0)
    out = tmp_path / "model.onnx"
    assert main(["export", toy, "--format", "onnx", "--out", str(out)]) == 3
    assert "no file was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["truncated", "foreign", "empty"])
def test_damaged_models_are_told(toy, tmp_path, capsys, damage):
    out = tmp_path / "model.onnx"
    main(["export", toy, "--format", "onnx", "--out", str(out)])
    content = {"truncated": out.read_bytes()[:700], "foreign": b"\x89HDF" * 99, "empty": b""}
    out.write_bytes(content[damage])
    capsys.readouterr()
    assert main(["inspect", str(out)]) == 2
    assert f"{out}: expected a whole ONNX model, found: " in capsys.readouterr().err


# Smaller numbers.


def feeds(cfg, n=12):
    rng = np.random.default_rng(4)
    image = np.abs(rng.normal(size=(n, 1, *cfg.data.shape, len(cfg.data.names))))
    return [{"image": (i * (i > 0.8)).astype(np.float32)} for i in image]


def test_int8_is_small_and_close_and_leaves_named_layers_in_float():
    workload, cfg = CASES["tagger"]
    content = exported(workload, cfg)[-1]
    proto = quantised.onnx().load_model_from_string(content)
    names, given = quantised._named(proto), feeds(cfg)
    assert {name.split("_")[0] for name in names} == {"Conv", "MatMul"}
    right = quantised._outputs(content, given)
    ranked = quantised._by_loss(proto, names, given, right)
    assert sorted(ranked) == sorted(names)
    for chosen in (names, names[:1]):
        made = quantised._int8(proto, chosen, given)
        assert len(made) < len(content) + 2000 * len(names)
        found = quantised._outputs(made, given)
        distance = np.square(np.subtract(found, right)).sum() / np.square(right).sum()
        assert 0 < distance < 0.1
        kept = quantised.onnx().load_model_from_string(made)
        inputs = {n.name: n.input[0] for n in kept.graph.node}
        quantise = {n.output[0] for n in kept.graph.node if n.op_type == "DequantizeLinear"}
        assert {n for n in names if inputs[n] in quantise} == set(chosen)


def test_weights_in_16_bits():
    workload, cfg = CASES["gan3d"]
    _, _, _, content = exported(workload, cfg)
    made = halved(content)
    assert len(made) < 0.7 * len(content)
    rng = np.random.default_rng(0)
    given = {"energy": np.float32([50, 200]), "noise": rng.normal(size=(2, 4)).astype(np.float32)}
    first, second = (parity.session(m).run(None, given)[0] for m in (content, made))
    assert 0 < np.abs(first - second).max() < 5e-3 * first.max()


@pytest.mark.slow
def test_a_host_is_timed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hepjax.bench.hosts.CONFIGS", {"par04": "gan3d/demo"})
    monkeypatch.setattr("hepjax.bench.hosts.EVENTS", 3)
    out = tmp_path / "bench"
    assert main(["bench", "gan3d", "--target", "par04", "--out", str(out)]) == 0
    assert "MB a thread" in capsys.readouterr().out
    found = json.loads((out / "gan3d_par04.json").read_text())
    assert found["events"] == 3
    assert min(found[k] for k in ("ms_onnxruntime", "ms_plain", "ms_hepjax")) > 0


def test_a_library_is_what_dd4hep_plays_back(tmp_path):
    known = calorimeters.calorimeter("clic-25")
    rng = np.random.default_rng(0)
    batch = {"ecal": rng.exponential(size=(5, 25, 25, 25)), "energy": np.arange(5.0)}
    path = tmp_path / "library.h5"
    with library(path, 5, known, {"run": "runs/a"}) as write:
        write({k: v[:3] for k, v in batch.items()})
        write({k: v[3:] for k, v in batch.items()})
    with h5py.File(path) as file:
        layers = file["layers"]
        assert (layers.ndim, layers.dtype, layers.attrs["unit"]) == (4, np.float32, "MeV")
        expected = 1000 * batch["ecal"].transpose(0, 3, 1, 2)
        np.testing.assert_allclose(layers[:], expected, rtol=1e-6)
        assert file.attrs["generator"].startswith("hepjax ")
    cylinder = calorimeters.calorimeter("par04")
    words = r"expected a calorimeter that is a box"
    with pytest.raises(InputError, match=words), library(path, 5, cylinder, {}):
        pass
