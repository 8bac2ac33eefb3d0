"""``hepjax inspect``: layouts are named, numbers are right, problems are told."""

import json

import h5py
import numpy as np
import pytest

from hepjax.cli import main
from hepjax.formats.showers.writer import ShowerWriter
from hepjax.physics.calorimeter.inspect import inspect


def showers(n=40, grid=(6, 6, 5), fraction=0.02):
    """Flat showers that fill a fifth of the cells, with this sampling fraction."""
    rng = np.random.default_rng(3)
    energy = rng.uniform(50, 150, n).astype(np.float32)
    cells = (rng.random((n, *grid)) < 0.2) * 1.0
    cells *= (fraction * energy / cells.sum((1, 2, 3)))[:, None, None, None]
    theta = np.linspace(1.05, 2.09, n, dtype=np.float32)
    return {"ecal": cells.astype(np.float32), "energy": energy, "theta": theta}


def write(path, layout, made):
    with ShowerWriter(path, layout) as writer:
        writer.write(made)
    return path


def test_the_report_of_a_fixed_angle_file(tmp_path):
    made = showers()
    report = inspect([write(tmp_path / "EleEscan_1_001.h5", "fixed", made)])
    assert report["layout"] == "CLIC, fixed angle"
    assert (report["events"], report["grid"]) == (40, [6, 6, 5])
    assert report["files"][0]["datasets"]["ECAL"] == {
        "shape": [40, 6, 6, 5], "dtype": "float32", "chunks": [16, 6, 6, 5],
        "compression": "gzip", "unit": "GeV",
    }  # fmt: skip
    assert report["energy_gev"]["max"] == pytest.approx(made["energy"].max())
    assert report["occupancy"]["0.0"] == pytest.approx((made["ecal"] > 0).mean())
    # The published curve has 0.02085 at 50 GeV and 0.01967 at 150 GeV (r = 2.0846 and 1.9663).
    low, *_, high = report["sampling_fraction"]
    assert (low["mean"], high["mean"]) == pytest.approx((0.02, 0.02), rel=1e-4)
    assert 0.0205 < low["published"] < 0.02085
    assert 0.0196 < high["published"] < 0.0203
    assert low["ratio"] == pytest.approx(0.02 / low["published"], rel=1e-4)
    assert sum(row["events"] for row in report["sampling_fraction"]) == 40
    assert report["problems"] == []


def test_json_is_one_object_and_both_layouts_say_the_same_physics(tmp_path, capsys):
    made = showers()
    reports = {}
    for layout in ("fixed", "angle"):
        write(tmp_path / f"{layout}.h5", layout, made)
        assert main(["inspect", str(tmp_path / f"{layout}.h5"), "--json", "--quiet"]) == 0
        reports[layout] = json.loads(capsys.readouterr().out)
    assert reports["angle"]["layout"] == "CLIC, variable angle"
    assert reports["angle"]["files"][0]["cell_unit"] == "0.02 GeV"
    assert reports["angle"]["theta_rad"]["min"] == pytest.approx(1.05)
    for key in ("visible_gev", "energy_gev"):
        assert reports["angle"][key] == pytest.approx(reports["fixed"][key], rel=1e-5)


def test_the_text_and_the_picture(tmp_path, capsys):
    path = write(tmp_path / "a.h5", "angle", showers())
    assert main(["inspect", str(path), "--plot", str(tmp_path / "a.png"), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "CLIC, variable angle" in out
    assert "0.02 GeV: written in the file" in out
    assert "published CLIC fit" in out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert max(map(len, out.splitlines())) <= 150


def test_showers_that_tilt_in_the_plane_of_mtheta_follow_theta(tmp_path):
    theta = np.linspace(1.1, 2.0, 30)
    cells = np.zeros((30, 51, 51, 25), np.float32)
    for event, angle in enumerate(theta):
        z = np.arange(25)
        cells[event, 25, np.round(25 + (z - 12) / np.tan(angle)).astype(int), z] = 0.04
    energy = np.full(30, 50.0)
    along_y = {"ecal": cells, "energy": energy, "theta": theta}
    report = inspect(write(tmp_path / "y.h5", "angle", along_y))
    assert report["mtheta_minus_theta_rad"]["correlation"] > 0.99
    assert report["problems"] == []
    along_x = along_y | {"ecal": cells.transpose(0, 2, 1, 3)}
    report = inspect(write(tmp_path / "x.h5", "angle", along_x))
    assert "does not follow the true one" in report["problems"][0]


def test_bad_cells_are_counted_and_end_with_code_2(tmp_path, capsys):
    made = showers()
    made["ecal"][7, 0, 0, 0] = np.nan
    made["ecal"][9, 1, :, 0] = -1.0
    made["ecal"][11] = 0.0
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file["ECAL"] = made["ecal"]
        file["energy"] = made["energy"]
        file["ECAL"].attrs["unit"] = np.bytes_("GeV")
    assert main(["inspect", str(tmp_path / "bad.h5"), "--json", "--quiet"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["checks"] == {
        "cells_not_finite": 1, "cells_negative": 6, "empty_events": 1, "first_bad_event": 7,
    }  # fmt: skip
    assert len(report["problems"]) == 2
    assert np.isfinite(report["visible_gev"]["mean"])


def test_calochallenge_files_are_told_by_their_voxels_and_read_in_mev(tmp_path, capsys):
    incident = np.array([[1e3], [1e4], [1e6]])
    voxels = np.zeros((3, 6480))
    voxels[:, :10] = 0.08 * incident
    with h5py.File(tmp_path / "ds2.h5", "w") as file:
        file.create_dataset("incident_energies", data=incident, compression="gzip")
        file.create_dataset("showers", data=voxels, compression="gzip")
    report = inspect(tmp_path / "ds2.h5")
    assert report["layout"] == "CaloChallenge, data set 2, electrons"
    assert report["grid_layer_angle_radius"] == [45, 16, 9]
    assert report["energy_gev"] == pytest.approx({"min": 1, "mean": 337, "max": 1000})
    assert report["visible_over_incident"]["mean"] == pytest.approx(0.8)
    assert report["occupancy"]["1.515e-05"] == pytest.approx(10 / 6480)
    assert main(["inspect", str(tmp_path / "ds2.h5"), "--quiet"]) == 0
    assert "6480, 45 x 16 x 9 (layer, angle, radius)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "datasets", "message"),
    [
        ("none.h5", None, "none.h5: expected a file or folder"),
        ("other.h5", {"Z": 3}, "other.h5: expected ECAL (CLIC), incident_energies and showers"),
        ("short.h5", {"incident_energies": 3, "showers": 3}, "of shape (n, voxels), found (3,)"),
    ],
)
def test_errors_are_one_line_and_code_2(tmp_path, capsys, name, datasets, message):
    if datasets is not None:
        with h5py.File(tmp_path / name, "w") as file:
            for key, n in datasets.items():
                file[key] = np.ones(n)
    assert main(["inspect", str(tmp_path / name)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("hepjax: error: ")
    assert message in err
    assert err.count("\n") == 1


def test_third_party_files(reference_data):
    report = inspect(reference_data / "clic_ele_angle_10events.h5")
    assert report["layout"] == "CLIC, variable angle"
    assert report["files"][0]["cell_unit"] == "0.02 GeV"
    assert report["occupancy"]["0.0"] == pytest.approx(0.023, abs=0.002)
    assert report["energy_gev"] is None
