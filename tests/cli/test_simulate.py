"""``hepjax simulate showers``: layouts, bytes, refusals."""

import json

import h5py
import numpy as np
import pytest

from hepjax.cli import main

COMMAND = ["simulate", "showers", "--events", "12", "--events-per-file", "5", "--quiet"]


def simulate(out, *more):
    return main([*COMMAND, "--energy", "10:20", "--out", str(out), *more])


def test_fixed_layout_in_files_of_the_chosen_size(tmp_path, capsys):
    assert simulate(tmp_path / "a", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    files = sorted((tmp_path / "a").glob("EleEscan_1_*.h5"))
    assert report["files"] == [str(path) for path in files]
    sizes = []
    for path in files:
        with h5py.File(path) as file:
            sizes.append(len(file["ECAL"]))
            assert file["ECAL"].shape[1:] == (25, 25, 25)
            energy = file["target"][:, 1]
            assert np.all((energy >= 10) & (energy <= 20))
            fraction = file["ECAL"][:].sum((1, 2, 3)) / energy
            assert np.all((fraction > 0.015) & (fraction < 0.035))
    assert sizes == [5, 5, 2]


def test_same_command_same_bytes_whatever_the_files(tmp_path):
    assert simulate(tmp_path / "a") == simulate(tmp_path / "b") == 0
    a, b = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in "ab")
    assert a == b
    assert len(a) > 1
    assert simulate(tmp_path / "one", "--events-per-file", "100") == 0
    with h5py.File(next((tmp_path / "one").glob("*.h5"))) as whole:
        parts = []
        for path in sorted((tmp_path / "a").glob("*.h5")):
            with h5py.File(path) as file:
                parts.append(file["ECAL"][:])
        np.testing.assert_array_equal(np.concatenate(parts), whole["ECAL"][:])


def test_angle_layout_holds_radians_and_its_own_unit(tmp_path):
    assert simulate(tmp_path / "a", "--angle", "60:120", "--particle", "photon") == 0
    files = sorted((tmp_path / "a").glob("GammaEscan_RandomAngle_1_*.h5"))
    assert len(files) == 3
    with h5py.File(files[0]) as file:
        assert file["ECAL"].shape == (5, 51, 51, 25)
        theta = file["theta"][:]
        assert np.all((theta > np.radians(60)) & (theta < np.radians(120)))
        np.testing.assert_allclose(file["sum"][:], file["ECAL"][:].sum((1, 2, 3)), rtol=1e-4)
        assert np.all(file["sum"][:] / file["energy"][:] > 0.5)  # GeV x 50
        np.testing.assert_allclose(file["mtheta"][:], theta, atol=0.2)


def test_the_same_command_again_finds_its_showers(tmp_path, capsys):
    simulate(tmp_path / "a")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}
    assert simulate(tmp_path / "a") == 0
    assert "already" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "a").iterdir()}


def test_a_folder_with_other_showers_is_left_alone(tmp_path, capsys):
    simulate(tmp_path / "a")
    assert simulate(tmp_path / "a", "--seed", "1") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"hepjax: error: {tmp_path / 'a'}: expected")
    assert error.count("\n") == 1


def test_an_interrupted_run_leaves_no_incomplete_file(tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("hepjax.simulate.showers.showers.simulate_showers", interrupted)
    assert simulate(tmp_path / "a") == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        ["--events", "0"],
        ["--events-per-file", "0"],
        ["--seed", "-1"],
        ["--energy", "100:10"],
        ["--energy", "0.1:10"],
        ["--energy", "ten"],
        ["--energy", "10,ten"],
        ["--angle", "10:170"],
        ["--particle", "pion"],
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(wrong, tmp_path, capsys):
    assert simulate(tmp_path / "a", *wrong) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"hepjax: error: {wrong[0]}: expected")
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--geometry", "clic"], "clic: expected a YAML file, a binning XML, or one of"),
        (["--geometry", "atlas-pions"], "atlas-pions: particle: expected one of electron, photon"),
        (["--geometry", "par04", "--angle", "60:120"], "--angle: expected 90:90 for par04"),
    ],
)
def test_a_calorimeter_that_cannot_be_simulated_is_one_line(tmp_path, capsys, options, said):
    assert simulate(tmp_path / "a", *options) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"hepjax: error: {said}")
    assert error.count("\n") == 1
    assert not (tmp_path / "a").exists()


def test_a_cylinder_from_a_file_in_the_layout_of_the_challenge(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(
        "particle: photon\nenergy: [1, 50]\nlayers:\n  - repeat: 12\n"
        "    slabs: [{tungsten: 4}, {silicon: 0.5, active: true}]\n"
        "    sectors: 4\n    rings: [0, 5, 10, 20]\n"
    )
    geometry = ["--geometry", str(tmp_path / "mine.yaml")]
    assert simulate(tmp_path / "a", *geometry, "--energy", "2,8", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["spectrum"], report["particle"]) == ("discrete", "photon")
    with h5py.File(report["files"][0]) as file:
        assert file["showers"].shape == (5, 12 * 4 * 3)
        assert set(file["incident_energies"][:, 0]) == {2000.0, 8000.0}
        assert b"tungsten" in file.attrs["geometry"]
    assert main(["inspect", str(tmp_path / "a"), "--quiet"]) == 0
    assert "calorimeter           mine" in capsys.readouterr().out
