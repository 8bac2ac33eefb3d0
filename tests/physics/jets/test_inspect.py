"""``hepjax inspect`` on jet images: channels, labels and checks, with and without their meaning."""

import json
from contextlib import contextmanager

import h5py
import numpy as np
import pytest

from hepjax.cli import main
from hepjax.formats.images import Channel, Grid, SparseImages
from hepjax.formats.packed.writer import write_packed
from hepjax.physics.jets.inspect import inspect

CHANNELS, LABELS = "pT:GeV,ECAL:GeV,HCAL:GeV", "0=quark,1=gluon"
MEANING = ("--channels", CHANNELS, "--labels", LABELS)


@pytest.fixture
def jets(tmp_path):
    """Five jets of 6 x 6 pixels; the last two are copies, and one ECAL cell is negative."""
    images = np.zeros((5, 6, 6, 3), np.float32)
    images[:, 3, 3] = (10.0, 5.0, 2.0)
    images[:3, 1, 2, 0] = (1.0, 2.0, 3.0)
    images[0, 0, 0, 1] = -0.25
    path = tmp_path / "jets.hdf5"
    with h5py.File(path, "w") as file:
        file["X_jets"], file["y"] = images, np.array([0, 0, 0, 1, 1], np.float32)
        file["pt"], file["m0"] = np.arange(70.0, 75.0), np.full(5, 12.0)
        file["event"] = np.array([7, 8, 8, 8, 9])
    return path


def test_what_is_in_the_channels(jets):
    report = inspect(jets, channels=tuple(CHANNELS.split(",")), labels={0: "quark", 1: "gluon"})
    assert (report["events"], report["shape"]) == (5, [6, 6])
    tracks, ecal, _ = report["channels"]
    assert (tracks["name"], tracks["unit"], tracks["cells"]) == ("pT", "GeV", 8 / 5)
    assert tracks["filled"] == pytest.approx(8 / 5 / 36)
    assert (tracks["min"], tracks["max"]) == (1, 10)
    assert tracks["mean"] == pytest.approx(56 / 8)
    assert (ecal["negative"], ecal["min"]) == (1, -0.25)
    assert report["labels"] == {
        "0": {"name": "quark", "events": 3}, "1": {"name": "gluon", "events": 2},
    }  # fmt: skip
    assert report["columns"]["pt"] == {"min": 70, "mean": 72, "max": 74}
    assert sum(map(sum, report["pt_spectrum"]["events"].values())) == 5
    # Of the three jets of event 8 two are quarks; the other has no company.
    assert report["checks"] == {
        "empty_events": 0, "identical_images": 1, "events_with_company": 2,
    }  # fmt: skip
    assert report["problems"][0] == "channel ECAL has 1 negative cells"
    assert len(report["problems"]) == 3


def test_progress_counts_every_event(jets):
    told, counted = [], []

    @contextmanager
    def progress(*about):
        told.append(about)
        yield counted.append

    inspect(jets, progress=progress)
    assert told == [("inspect", 5, "events")]
    assert sum(counted) == 5


def test_without_a_meaning_the_channels_go_by_number(jets, capsys):
    assert main(["inspect", str(jets), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "channel 2" in out
    assert "names of the channels not stored" in out
    assert "(meaning not stored): 3 events, 60.0 %" in out


def test_json_is_one_object(jets, capsys):
    assert main(["inspect", str(jets), *MEANING, "--json", "--quiet"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [c["name"] for c in report["channels"]] == ["pT", "ECAL", "HCAL"]


def test_a_picture_of_the_mean_images(jets, tmp_path, capsys):
    pytest.importorskip("mplhep")
    plot = tmp_path / "jets.png"
    assert main(["inspect", str(jets), *MEANING, "--plot", str(plot), "--quiet"]) == 0
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert str(plot) in capsys.readouterr().out


def test_packed_sets_say_everything_themselves(tmp_path):
    grid = Grid((6, 6), (Channel("pT", "GeV"), Channel("HCAL", "GeV", 3)))
    images = SparseImages(
        np.array([0, 2, 2, 3]), np.array([5, 36, 7], np.uint32), np.array([1, 4, 3], np.float32)
    )
    columns = {"label": np.array([1, 0, 1], np.int32), "pt": np.array([80.0, 90.0, 100.0])}
    write_packed(tmp_path / "set", [(images, columns)], grid, {0: "qcd", 1: "top"})
    report = inspect(tmp_path / "set")
    assert report["layout"] == "packed set"
    assert [c["coarsening"] for c in report["channels"]] == [1, 3]
    assert report["channels"][1]["filled"] == pytest.approx(1 / 3 / 4)
    assert report["labels"]["1"] == {"name": "top", "events": 2}
    assert report["checks"]["empty_events"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--channels", "pT,ECAL"), "expected 2 channels (pT,ECAL), found 3 in the file"),
        (("--labels", "0=quark"), "expected a label out of 0=quark, found 1"),
        (("--labels", "quark,gluon"), "--labels: expected for example 0=qcd,1=top"),
        (("--shape", "6x6"), "--shape: expected ROWS,COLUMNS"),
    ],
)
def test_a_wrong_meaning_is_one_line_and_code_2(jets, capsys, options, message):
    assert main(["inspect", str(jets), *options, "--quiet"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("hepjax: error: ")
    assert message in err
    assert err.count("\n") == 1


def test_showers_need_no_names_of_channels(tmp_path, capsys):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["ECAL"] = np.ones((2, 3, 3, 3))
    assert main(["inspect", str(tmp_path / "a.h5"), "--channels", "ECAL"]) == 2
    assert "expected jet images with --channels" in capsys.readouterr().err


def test_third_party_files(reference_data):
    report = inspect(reference_data / "electron-photon.npz", labels={0: "photon", 1: "electron"})
    assert report["labels"]["0"]["events"] == 98
    assert report["channels"][0]["cells"] == pytest.approx(48.2, abs=0.1)
