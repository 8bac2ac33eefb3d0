"""Geant4 itself: known numbers, seeds, tilts, binning, and workers that abort."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from hepjax.cli import main
from hepjax.formats.showers.calorimeters import calorimeter
from hepjax.formats.showers.clock import clock_of
from hepjax.simulate.showers.geant4 import pool
from hepjax.simulate.showers.geant4.data import FILES, elements, is_installed
from hepjax.simulate.showers.geometry import active_centres_mm

needs_geant4 = pytest.mark.skipif(not is_installed(), reason="geant4-pybind is not installed")
NORMAL = np.pi / 2
CLIC = calorimeter("clic-25")


@pytest.fixture(autouse=True)
def _no_data(monkeypatch, tmp_path):
    """Tables from formulas, whatever this machine has."""
    for name in ("G4LEDATA", "GEANT4_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def run(of, energy, theta=NORMAL, **options):
    energy = np.asarray(energy, np.float32)
    theta = np.broadcast_to(np.asarray(theta, np.float32), energy.shape)
    particle, seed = options.pop("particle", "electron"), options.pop("seed", 1)
    with pool.simulate(of, energy, theta, particle, seed, **options) as simulation:
        parts = [fields for _, fields in simulation.batches()]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def test_shots_depend_on_their_number_alone():
    energy, theta = np.full(5, 2.0), np.full(5, NORMAL)
    all_five = pool.shots(CLIC, energy, theta, seed=7)
    assert pool.shots(CLIC, energy[3:], theta[3:], seed=7, first=3) == all_five[3:]
    assert len({shot.seed for shot in all_five}) == 5
    impact = np.array([shot.impact for shot in pool.shots(CLIC, *np.full((2, 400), 2.0), seed=0)])
    assert np.abs(impact).max() < 2.55  # the central one of 25 cells of 5.1 mm
    assert np.abs(impact.mean(0)).max() < 0.3
    even = replace(CLIC, cells=(24, 24))
    impact = np.array([shot.impact for shot in pool.shots(even, *np.full((2, 400), 2.0), seed=0)])
    assert 0 <= impact.min() < impact.max() < 5.1
    assert {shot.impact for shot in pool.shots(calorimeter("par04"), energy, theta, 0)} == {(0, 0)}


@needs_geant4
def test_twenty_showers_in_clic_see_what_full_simulation_sees():
    found = run(CLIC, np.full(20, 5.0))
    fraction = found["ecal"].sum((1, 2, 3)) / 5.0
    assert fraction.mean() == pytest.approx(0.0252, rel=0.06)  # EGSnrc, towards low energies
    assert found["absorber"].shape == (20, 25)
    inside = found["ecal"].sum((1, 2, 3)) + found["absorber"].sum(1) + found["outside"]
    np.testing.assert_allclose(inside + found["leaked"], 5.0, rtol=1e-5)
    assert 0 < found["leaked"].mean() < 0.1
    assert 0 < found["outside"].mean() < 0.05 * found["ecal"].sum() / 20
    depth = found["ecal"].sum((0, 1, 2)) @ np.arange(25) / found["ecal"].sum()
    assert depth == pytest.approx(9.0, abs=0.7)
    assert np.all(found["cpu_seconds"] > 0)
    assert np.array_equal(run(CLIC, np.full(3, 5.0))["ecal"], found["ecal"][:3])


@needs_geant4
def test_showers_are_the_same_with_one_worker_and_with_two():
    of = calorimeter("lead-scintillator")
    energy = np.linspace(0.5, 1.0, 41)
    one, two = (run(of, energy, particle="photon", workers=n) for n in (1, 2))
    for key in set(one) - {"cpu_seconds"}:
        np.testing.assert_array_equal(one[key], two[key])
    assert np.all(one["ecal"].sum((1, 2, 3)) > 0)


@needs_geant4
def test_the_axis_follows_the_tangent_of_the_angle_and_the_window_the_axis():
    wide = replace(calorimeter("clic-51"), cells=(31, 41))
    theta = np.radians(np.repeat([65.0, 110.0], 8))
    found = run(wide, np.full(16, 4.0), theta)["ecal"]
    in_yz = found.sum(1, dtype=np.float64)
    y = np.arange(41) + 0.5
    barycentre = np.einsum("nyz,y->nz", in_yz, y) / np.maximum(in_yz.sum(1), 1e-9)
    depth = active_centres_mm(wide) / wide.cell_mm[1]
    slope = np.polyfit(depth[3:15], barycentre[:, 3:15].T, 1)[0]
    assert slope[:8].mean() == pytest.approx(np.tan(np.radians(25.0)), abs=0.08)
    assert slope[8:].mean() == pytest.approx(-np.tan(np.radians(20.0)), abs=0.08)
    assert (in_yz.sum((0, 2)) @ y) / in_yz.sum() == pytest.approx(20.5, abs=0.6)


PROGRAM = """
import sys, tempfile
from dataclasses import replace
from pathlib import Path
import numpy as np
from hepjax.formats.showers.calorimeters import calorimeter
from hepjax.simulate.showers.geant4.engine import Engine, Setup, Shot

par04 = calorimeter("par04")
layers = tuple(
    layer._replace(rings=(0, 5, 9, 14), sectors=1) if number == 7 else layer
    for number, layer in enumerate(par04.layers)
)
mixed = replace(par04, layers=layers)
with tempfile.TemporaryDirectory() as scratch:
    engine = Engine(Setup(mixed, "electron", 0.0, 0.7, None), Path(scratch))
    shots = [Shot(2.0, np.pi / 2, (6.0, -8.0), seed) for seed in (1, 2, 3, 4, 5, 6)]
    np.savez(sys.argv[1], **engine.run(shots)._asdict())
"""


@needs_geant4
def test_voxels_of_a_cylinder_lie_where_the_particle_goes(tmp_path):
    """A shower 10 mm from the axis at atan2(-8, 6), in layers of two binnings."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "a.npz")]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    found = np.load(tmp_path / "a.npz")
    cells = found["ecal"].sum(0)
    assert cells.shape == (6480 - 144 + 3,)
    first = cells[: 7 * 144].reshape(7, 16, 9).sum(0)  # sector, ring
    sector, ring = np.unravel_index(first.argmax(), first.shape)
    assert ring == 2  # 9.3 to 13.95 mm
    assert sector == int((np.arctan2(-8, 6) + np.pi) / (2 * np.pi) * 16)
    odd = cells[7 * 144 : 7 * 144 + 3]
    assert odd.argmax() == 2  # 9 to 14 mm
    fraction = (found["ecal"].sum(1) / 2.0).mean()
    assert 0.6 < fraction < 1.1  # of deposits over the sampling fraction
    assert found["absorber"].shape == (6, 45)


@needs_geant4
def test_a_worker_that_aborts_is_one_line(tmp_path, monkeypatch, capsys):
    needed = elements(CLIC)
    for name in (name.format(z=z) for z in needed for name in FILES):
        path = tmp_path / "broken" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not a table\n")
    monkeypatch.setenv("G4LEDATA", str(tmp_path / "broken"))
    command = ["simulate", "showers", "--engine", "geant4", "--events", "2", "--energy", "1"]
    assert main([*command, "--workers", "1", "--out", str(tmp_path / "out"), "--quiet"]) in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("hepjax: error: Geant4: ")
    assert error.count("\n") == 1
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


@needs_geant4
def test_the_command_writes_truth_engine_and_clock(tmp_path, capsys):
    out = tmp_path / "a"
    command = ["simulate", "showers", "--engine", "geant4", "--events", "6", "--energy", "1:2"]
    options = ["--geometry", "lead-scintillator", "--workers", "1", "--seed", "5"]
    assert main([*command, *options, "--out", str(out)]) == 0
    assert "electromagnetic tables: built-in formulas (not G4EMLOW)" in capsys.readouterr().err
    (path,) = out.glob("*.h5")
    with h5py.File(path) as file:
        assert file.attrs["engine"].startswith(b"Geant4 11.")
        assert b"cut 0.7 mm" in file.attrs["physics"]
        assert b"formulas" in file.attrs["tables"]
        shapes = {key: file[key].shape for key in ("impact", "absorber", "outside", "leaked")}
    assert shapes == {"impact": (6, 2), "absorber": (6, 20), "outside": (6,), "leaked": (6,)}
    clock = clock_of(out)
    assert clock.engine.startswith("Geant4")
    assert clock.seconds_per_gev == pytest.approx(clock.seconds.sum() / clock.energy.sum())
    speed_up = clock.speed_up(np.full(10, 5.0), cpu_seconds=0.5)
    assert speed_up == pytest.approx(clock.seconds_per_gev * 50 / 0.5)
    settings = json.loads((out / "simulation.json").read_text())
    assert (settings["engine"], settings["cut_mm"]) == ("geant4", 0.7)
    # Showers of the model have no clock.
    assert main(["simulate", "showers", "--events", "2", "--energy", "1", "--out",
                 str(tmp_path / "b"), "--quiet"]) == 0  # fmt: skip
    assert clock_of(tmp_path / "b") is None


def test_without_the_extra_it_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pool, "is_installed", lambda: False)
    command = ["simulate", "showers", "--engine", "geant4", "--events", "2"]
    assert main([*command, "--out", str(tmp_path / "a"), "--quiet"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("hepjax: error: showers from Geant4: needs an optional package")
    assert "hepjax[geant4]" in error
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "geant4", "--workers", "0"], "--workers: expected at least 1"),
        (["--engine", "geant4", "--cut-mm", "-1"], "cut: expected 0.001 to 100 mm, found -1"),
        (["--workers", "2"], "--workers: expected none without --engine geant4"),
        (["--cut-mm", "1"], "--cut-mm: expected none without --engine geant4"),
        (["--engine", "geant4", "--geometry", "atlas-pions"], "atlas-pions: particle"),
    ],
)
def test_wrong_options_are_one_line(tmp_path, capsys, options, said):
    command = ["simulate", "showers", "--events", "2", "--out", str(tmp_path / "a"), "--quiet"]
    assert main([*command, *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"hepjax: error: {said}")
    assert error.count("\n") == 1
    assert not (tmp_path / "a").exists()


def test_the_parent_never_imports_geant4():
    code = (
        "import sys, hepjax.cli.simulate_showers, hepjax.simulate.showers.geant4.pool\n"
        "assert 'geant4_pybind' not in sys.modules and 'jax' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=Path.cwd())
