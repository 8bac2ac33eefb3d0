"""A run with angles: trained, applied, judged; and everything that can be wrong with an angle."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from helpers.gan3d import TINY_ANGLE, raw_showers

import hepjax
import hepjax.run
from hepjax import InputError
from hepjax.cli import main
from hepjax.engine import records
from hepjax.formats.showers.writer import ShowerWriter
from hepjax.workloads.gan3d.workload import WORKLOAD

SHAPE = (11, 11, 6)


def write(path, n=48, seed=0, shape=SHAPE, **changes):
    showers = raw_showers(n, seed, shape) | changes
    with ShowerWriter(path, "angle" if "theta" in showers else "fixed") as writer:
        writer.write(showers)
    return path


def config(*files, **data):
    return replace(
        TINY_ANGLE, data=replace(TINY_ANGLE.data, files=tuple(map(str, files)), **data)
    )  # fmt: skip


@pytest.fixture(scope="module")
def showers(tmp_path_factory):
    return write(tmp_path_factory.mktemp("showers") / "a.h5")


@pytest.fixture(scope="module")
def run(showers, tmp_path_factory):
    run = tmp_path_factory.mktemp("run") / "run"
    cfg = config(showers, validation_fraction=0.25)
    hepjax.run.train(WORKLOAD, replace(cfg, train=replace(cfg.train, epochs=1)), run)
    return run


def test_validation_knows_the_angle(run):
    (row,) = [r for r in records.read(run / "metrics.jsonl") if r["event"] == "validation"]
    # The angle head of real showers gives what was measured from them.
    assert row["real_angle"] < 1e-5 < row["fake_angle"]
    assert row["real_counts"] < 1e-3 < row["fake_counts"]
    train = [r for r in records.read(run / "metrics.jsonl") if r["event"] == "train"]
    assert {"gen_angle", "gen_counts", "fake_angle"} <= train[0].keys()
    assert "real_angle" not in train[0]


def test_the_library_takes_energy_and_theta(run):
    model = hepjax.load(run)
    showers = model.generate(energy=[50.0, 60.0, 70.0], theta=np.radians(80))
    assert showers.shape == (3, *SHAPE)
    assert (showers >= 0).all()
    same = model.generate(energy=[50.0, 60.0, 70.0], theta=np.radians([80, 80, 80]), batch_size=2)
    np.testing.assert_allclose(same, showers, rtol=1e-5, atol=1e-8)
    other = model.generate(energy=[50.0, 60.0, 70.0], theta=np.radians(100))
    assert not np.array_equal(other, showers)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"energy": [50.0]}, r"^conditions: expected energy and theta .*found energy$"),
        ({"theta": [1.5]}, r"^conditions: expected energy and theta .*found theta$"),
        (
            {"energy": [50.0], "theta": [90.0]},
            r"^theta: expected polar angles in rad, .*found 90; np\.radians converts degrees$",
        ),
        ({"energy": [50.0], "theta": [np.nan]}, r"^theta: expected polar angles in rad, "),
        ({"energy": [50.0], "theta": [1.5, 1.6]}, r"^theta: expected one polar angle, or 1 "),
        ({"energy": [50.0], "theta": [0.5]}, r"^theta: expected 1\.047 to 2\.094 rad as .*found"),
        ({"energy": [600.0], "theta": [1.5]}, r"^energy: expected 10 to 500 GeV .*\(1 of 1 out"),
    ],
)
def test_wrong_conditions_are_one_line(run, asked, message):
    with pytest.raises(InputError, match=message) as error:
        hepjax.load(run).generate(**asked)
    assert "\n" not in str(error.value)


def test_who_insists_may_extrapolate(run):
    made = hepjax.load(run).generate(energy=[600.0], theta=[0.5], extrapolate=True)
    assert made.shape == (1, *SHAPE)
    # The ends of the ranges are inside, whatever single precision makes of them.
    hepjax.load(run).generate(energy=[10.0, 500.0], theta=np.radians([60, 120]))


def test_generate_draws_angles_or_takes_those_of_a_file(run, showers, tmp_path, capsys):
    out = tmp_path / "out.h5"
    words = ["generate", str(run), f"--out={out}", "--quiet", "--json"]
    assert main([*words, "--events=12", "--energy=50:60", "--angle=70:80"]) == 0
    assert json.loads(capsys.readouterr().out)["showers"] == 12
    with h5py.File(out) as file:
        assert file["ECAL"].shape == (12, *SHAPE)
        assert np.all((file["energy"][:] >= 50) & (file["energy"][:] <= 60))
        degrees = np.degrees(file["theta"][:])
        assert np.all((degrees >= 70) & (degrees <= 80))
        assert np.ptp(degrees) > 1
    assert main([*words, f"--like={showers}", "--events=5"]) == 0
    with h5py.File(out) as file, h5py.File(showers) as like:
        np.testing.assert_array_equal(file["theta"][:], like["theta"][:5])
        np.testing.assert_array_equal(file["energy"][:], like["energy"][:5])


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--events=3", "--angle=1.2:1.9"], "theta: expected 1.047 to 2.094 rad"),
        (["--events=3", "--angle=40:50"], "--extrapolate"),
        (["--events=3", "--energy=600"], "energy: expected 10 to 500 GeV"),
        (["--like={fixed}"], "expected polar angles (theta), found a file without them"),
        (["--like={like}", "--angle=70:80"], "--angle: expected no --like with it"),
    ],
)
def test_generate_refuses_in_one_line(run, showers, tmp_path, capsys, words, found):
    fixed = write(tmp_path / "fixed.h5", 4, shape=(25, 25, 25))
    words = [word.format(fixed=fixed, like=showers) for word in words]
    out = tmp_path / "out.h5"
    assert main(["generate", str(run), f"--out={out}", "--quiet", *words]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("hepjax: error: ")
    assert found in said[0]
    assert not out.exists()


def test_a_run_without_angles_has_none(tiny_run, tmp_path, capsys):
    out = tmp_path / "out.h5"
    words = ["generate", str(tiny_run), f"--out={out}", "--events=2", "--angle=70:80"]
    assert main([*words, "--quiet"]) == 2
    assert "--angle: expected a run with angles" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (25, 25, 25)}, r"expected showers of 11 x 11 x 6 cells \(box\), found 25 x"),
        ({"shape": (15, 15, 6)}, r"found 15 x 15 x 6; data\.crop=\[2,13\] takes the middle"),
        ({"theta": np.full(48, np.pi / 2)}, r"expected true polar angles \(theta\), found a file"),
        ({"theta": np.full(48, 0.9)}, r"expected polar angles of 60 to 120 degrees .*found 51\.57"),
    ],
)
def test_files_that_do_not_go_with_the_model(tmp_path, changes, message):
    path = write(tmp_path / "a.h5", **changes)
    with pytest.raises(InputError, match=message) as error:
        WORKLOAD.sources(config(path))
    assert str(path) in str(error.value)


def test_the_two_reductions_are_not_mixed(tmp_path):
    """All cells and the cropped ones: neither among the files nor between training and after."""
    whole, cropped = write(tmp_path / "a.h5", shape=(15, 15, 6)), write(tmp_path / "b.h5")
    with pytest.raises(InputError, match=r"b\.h5: expected the grid .*use them separately"):
        WORKLOAD.sources(config(whole, cropped))
    cfg = config(whole, crop=(2, 13))
    assert len(WORKLOAD.sources(cfg).train) == 43
    with pytest.raises(InputError, match=r"b\.h5: expected a crop .*inside the 11 x 11 cells"):
        WORKLOAD.sources(replace(cfg, data=replace(cfg.data, validation_files=(str(cropped),))))


def test_showers_that_lean_along_x_are_told_and_turned(tmp_path):
    right = raw_showers(40, shape=SHAPE)
    path = write(tmp_path / "a.h5", 40, ecal=np.swapaxes(right["ecal"], 1, 2))
    with pytest.raises(InputError, match=r"lean along y .*leaning along x; give data\.tilt=x$"):
        WORKLOAD.sources(config(path))
    source = WORKLOAD.open(config(path, tilt="x"), [path])
    rows = np.array([7, 3])
    np.testing.assert_allclose(source[rows]["ecal"], right["ecal"][rows], rtol=1e-6)
    with pytest.raises(InputError, match=r"lean along x .*leaning along y; give data\.tilt=y$"):
        WORKLOAD.sources(config(write(tmp_path / "b.h5", 40), tilt="x"))


def test_angles_from_the_other_side_are_told(tmp_path):
    theta = np.pi - raw_showers(40, shape=SHAPE)["theta"]
    path = write(tmp_path / "a.h5", 40, theta=theta)
    with pytest.raises(InputError, match=r"write pi - theta in their place$"):
        WORKLOAD.sources(config(path))


def test_a_stated_unit_that_is_wrong_is_seen(tmp_path):
    path = write(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file["ECAL"].attrs["unit"]
        file["ECAL"][...] *= 100
    with pytest.raises(InputError, match=r"expected cells in GeV .*found a sum of 1"):
        WORKLOAD.sources(config(path))


def test_angles_outside_the_range_are_left_out(tmp_path):
    theta = np.radians(np.linspace(50, 130, 48)).astype(np.float32)
    path = write(tmp_path / "a.h5", theta=theta)
    source = WORKLOAD.open(config(path), [path])
    inside = (theta >= np.radians(60)) & (theta <= np.radians(120))
    assert len(source) == inside.sum()
    np.testing.assert_array_equal(source[np.arange(len(source))]["theta"], theta[inside])
    assert source.blocks[-1] == len(source)


def test_the_measured_angle_can_be_the_input(tmp_path):
    showers = raw_showers(16, shape=SHAPE)
    path = write(tmp_path / "a.h5", 16)
    cfg = config(path, angle="mtheta")
    batch = WORKLOAD.prepare(cfg, WORKLOAD.spec(cfg, source := WORKLOAD.open(cfg, [path])),
                             source[np.arange(16)])  # fmt: skip
    np.testing.assert_array_equal(batch["theta"], batch["angle"])
    np.testing.assert_allclose(batch["theta"], showers["theta"], atol=0.15)
