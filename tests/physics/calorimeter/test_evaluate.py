"""Two files of any known layout against one another: scores, and everything that is refused."""

import json
import re
from dataclasses import replace

import h5py
import numpy as np
import pytest

pytest.importorskip("mplhep")
pytest.importorskip("sklearn")

from helpers.shower_files import showers, write_fixed, write_hdf5

from hepjax import InputError
from hepjax.cli import main
from hepjax.formats.showers.calorimeters import calorimeter, unknown
from hepjax.formats.showers.geometry import written
from hepjax.formats.showers.layout import GEOMETRY
from hepjax.physics.calorimeter import classifier, evaluate, field


def challenge(path, seed=0, n=80, voxels=368, energy=None, scale=1.0):
    """A file of the CaloChallenge: energies and voxels in MeV."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(1e3, 1e5, n) if energy is None else energy
    cells = rng.gamma(0.3, size=(n, voxels)) * (rng.random((n, voxels)) < 0.5)
    cells *= (0.8 * scale * energy / cells.sum(1))[:, None]
    return write_hdf5(path, incident_energies=energy[:, None], showers=cells.astype(np.float32))


def box(path, seed=0, n=80, scale=1.0, grid=(5, 5, 4), **changes):
    made = showers(n, grid, seed) | changes
    return write_fixed(path, made | {"ecal": np.float32(scale) * made["ecal"]}, chunk=min(n, 16))


def test_files_of_the_challenge_from_the_command_line(tmp_path, capsys):
    pair = [challenge(tmp_path / f"{k}.hdf5", seed=k) for k in (0, 1)]
    out = tmp_path / "report"
    argv = ["evaluate", "--reference", str(pair[0]), "--generated", str(pair[1])]
    assert main([*argv, f"--out={out}", "--json", "--quiet"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["calorimeter"] == "atlas-photons"
    assert scores["separation"]["total"] < 0.01
    assert {"profile_r", "profile_alpha", "profile_z"} <= set(scores["families"])
    assert scores["tests"]["rejected"] == 0
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "layers 0-0 (R1), 1-1 (R2) and 2 on (R3)" in page
    assert "CLIC" not in json.dumps(scores)


def test_angles_give_their_family_and_figures(tmp_path):
    made = showers(150, (7, 7, 5))
    paths = [
        write_hdf5(tmp_path / f"{k}.h5", ECAL=50 * made["ecal"], energy=made["energy"],
                   theta=made["theta"] + 1e-3 * k) for k in (0, 1)
    ]  # fmt: skip
    report = evaluate.compared(paths[:1], paths[1:])
    assert report.scores["families"]["angle"] == pytest.approx(0, abs=1e-6)
    sections = (parts() if callable(parts) else parts for _, parts in report.sections)
    names = [p.name for parts in sections for p in parts if not isinstance(p, str)]
    assert {"measured_angle", "measured_angle_theta", "concentration"} <= set(names)


def test_metrics_of_the_field_have_their_halves(tmp_path):
    """A scale of 2 is found by every classifier and distance, and not between halves."""
    pair = [box(tmp_path / f"{k}.h5", k, n=240, scale=s) for k, s in ((0, 1.0), (1, 2.0))]
    network = classifier.Settings(width=32, epochs=25, batch=32)
    more = field.Settings(network, seeds=2, events=240, manifold_events=200, kpd_events=200)
    report = evaluate.compared(pair[:1], pair[1:], evaluate.Asked(more=more))
    found = report.scores["field"]
    for name in ("high", "high_boosted"):
        assert found[name]["value"] > 0.9
        assert found[name]["halves"]["value"] < 0.75
    for name in ("fpd", "kpd"):
        assert found[name]["value"] > found[name]["halves"]["value"]
    assert 0 <= found["coverage"]["value"] <= 1
    assert "Boosted trees" in field.table(found)


def test_a_threshold_empties_cells_of_both(tmp_path):
    pair = [box(tmp_path / f"{k}.h5", k) for k in (0, 1)]
    low, high = (
        evaluate.compared(pair[:1], pair[1:], evaluate.Asked(threshold=t)).scores["bins"][0]
        for t in (0.0, 0.05)
    )
    for name in ("reference", "generated"):
        assert high[f"sampling_fraction_{name}"] < low[f"sampling_fraction_{name}"]


def test_as_many_showers_as_asked_for(tmp_path):
    pair = [challenge(tmp_path / f"{k}.hdf5", seed=k) for k in (0, 1)]
    scores = evaluate.compared(pair[:1], pair[1:], evaluate.Asked(events=30)).scores
    assert (scores["events_reference"], scores["events_generated"]) == (30, 30)


def bad_cells(value):
    def make(path):
        made = showers(80, seed=1)
        made["ecal"][7, 0, 0, 0] = value
        return write_fixed(path, made)

    return make


ENERGIES = np.repeat([20.0, 40.0], 40).astype(np.float32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: box(p, grid=(5, 5, 6)),
         r"g\.h5: expected the geometry of .*r\.h5, 5 x 5 x 4 cells, found 5 x 5 x 6 cells"),
        (challenge, r"expected the geometry of .*, 5 x 5 x 4 cells, found 368 cells"),
        (lambda p: box(p, energy=ENERGIES),
         r"g\.h5: expected a range of incident energies, .* found 2 incident energies"),
        (bad_cells(-1e-3), r"expected finite, non-negative cells, found -0.001\d* in event 7"),
        (bad_cells(np.nan), r"expected finite, non-negative cells, found nan in event 7"),
        (lambda p: box(p, energy=np.linspace(900, 950, 80, dtype=np.float32)),
         r"expected showers between .* GeV as in .*r\.h5, found 900 to 950 GeV"),
        (lambda p: box(p, n=1), r"g\.h5: expected at least 2 showers to compare, found 1"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_one_line(make, message, tmp_path, capsys):
    reference, generated = box(tmp_path / "r.h5"), make(tmp_path / "g.h5")
    argv = ["evaluate", "--reference", str(reference), "--generated", str(generated)]
    assert main([*argv, f"--out={tmp_path / 'out'}", "--quiet"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(message, err), err
    assert not (tmp_path / "out").exists()


def test_a_reference_of_one_shower_is_named(tmp_path):
    pair = [box(tmp_path / "r.h5", n=1)], [box(tmp_path / "g.h5")]
    with pytest.raises(InputError, match=r"r\.h5: expected at least 2 showers .*, found 1; "):
        evaluate.compared(*pair)


def test_bad_voxels_of_the_challenge_are_named(tmp_path):
    good = challenge(tmp_path / "r.hdf5")
    rng = np.random.default_rng(0)
    cells = rng.random((80, 368)).astype(np.float32) * 10
    cells[61, 5] = -2.0
    bad = write_hdf5(tmp_path / "g.hdf5", incident_energies=np.full((80, 1), 300.0)
                     + np.arange(80)[:, None] * 50, showers=cells)  # fmt: skip
    with pytest.raises(InputError, match=r"g\.hdf5: .*non-negative .*found -0.00\d* in event 61"):
        evaluate.compared([good], [bad])


def test_another_unit_is_named(tmp_path):
    """Of boxes whose cells are in MeV by what the file says, and of the challenge."""
    made = showers(80, seed=1)
    target = np.stack([np.full(80, 11), made["energy"]], axis=1)
    paths = [
        write_hdf5(tmp_path / f"{k}.h5", ECAL=np.float32(k) * made["ecal"], target=target)
        for k in (1, 50)
    ]
    asked = evaluate.Asked(units=("auto", "GeV"))
    with pytest.raises(InputError, match=r"sum to 1 of .* as if in 0.02 GeV; say --generated-unit"):
        evaluate.compared(paths[:1], paths[1:], asked)
    assert evaluate.compared(paths[:1], paths[1:]).scores["sampling_fraction_mre"] < 1e-4
    pair = [challenge(tmp_path / f"{s}.hdf5", seed=1, scale=s) for s in (1.0, 1e-3)]
    with pytest.raises(InputError, match=r"looks like GeV; say it: .*--generated-unit \(evaluate"):
        evaluate.compared(pair[:1], pair[1:])
    assert evaluate.compared(pair[:1], pair[1:], asked).scores["sampling_fraction_mre"] < 1e-4


def test_a_geometry_that_is_not_theirs(tmp_path):
    pair = [challenge(tmp_path / f"{k}.hdf5", seed=k, voxels=100) for k in (0, 1)]
    with pytest.raises(InputError, match=r"found 100 voxels without one; .*evaluate"):
        evaluate.compared(pair[:1], pair[1:])
    with pytest.raises(InputError, match="expected showers of 6480 voxels as par04 has, found 100"):
        evaluate.compared(pair[:1], pair[1:], evaluate.Asked(calorimeter("par04")))


def test_cells_of_another_size_are_another_geometry(tmp_path):
    """Two files of 5 x 5 x 4 cells of which one says that they are larger."""
    one, other = (box(tmp_path / f"{k}.h5", k) for k in (0, 1))
    larger = replace(unknown((5, 5, 4)), cell_mm=(8.0, 8.0), name="mine")
    with h5py.File(other, "a") as file:
        file.attrs[GEOMETRY] = written(larger)
    with pytest.raises(InputError, match=r"of other sizes \(mine\); if they are the same, say"):
        evaluate.compared([one], [other])
    scores = evaluate.compared([one], [other], evaluate.Asked(larger)).scores
    assert scores["calorimeter"] == "mine"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--events=1", "--events: expected at least 2, found 1"),
        ("--threshold=-1", "--threshold: expected 0 or more GeV, found -1.0"),
        ("--geometry=par05", "did you mean par04?"),
        ("--generated-unit=furlong", "--generated-unit: expected one of GeV"),
    ],
)
def test_bad_options_are_one_line(option, message, tmp_path, capsys):
    reference = str(box(tmp_path / "r.h5"))
    argv = ["evaluate", "--reference", reference, "--generated", reference, option, "--quiet"]
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_options_of_files_are_refused_with_a_run(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path), "--geometry=par04"]) == 2
    assert "--geometry: expected --reference and --generated" in capsys.readouterr().err


def test_all_plots_of_angles_have_scores_and_files_of_their_own(tmp_path):
    """Each quantity in each bin of energy, and of energy and angle; names are unique."""
    made = showers(400, (7, 7, 5))
    paths = [
        write_hdf5(tmp_path / f"{k}.h5", ECAL=(50 + 5 * k) * made["ecal"], energy=made["energy"],
                   theta=made["theta"]) for k in (0, 1)
    ]  # fmt: skip
    report = evaluate.compared(paths[:1], paths[1:], evaluate.Asked(gallery_workers=1))
    names = [plot.name for plot in report.gallery]
    assert len(set(names)) == len(names) > 150
    bins = {plot.where for plot in report.gallery}
    assert {"all energies", "all energies, 62°", "all energies, 118°"} <= bins
    families = {plot.family for plot in report.gallery}
    assert {"angle", "profiles", "mean showers", "layers: energy", "correlations"} <= families
    worst = report.scores["plots"][0]
    assert worst["adjusted"] < 1e-3
    scalars = [p for p in report.scores["plots"] if p["name"].startswith("sampling_fraction")]
    assert all(p["adjusted"] < 1e-3 for p in scalars)
