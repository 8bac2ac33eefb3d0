"""Every calorimeter from its description to a report: simulated, trained, generated, judged."""

import json

import h5py
import numpy as np
import pytest
from helpers.figures import undrawn

from hepjax.cli import main
from hepjax.formats.showers.calorimeters import calorimeter, names
from hepjax.formats.showers.reader import open_showers
from hepjax.formats.showers.writer import write_showers

QUICK = ("atlas-photons",)


def showers(folder, name, events):
    """By the shower model; it knows no pions, so these are energies without physics."""
    known = calorimeter(name)
    if known.particle != "pion":
        words = ["--geometry", name, "--events", str(events), "--out", str(folder), "--quiet"]
        assert main(["simulate", "showers", *words]) == 0
        return
    rng = np.random.default_rng(0)
    energy = np.exp(rng.uniform(*np.log(known.energy), events)).astype(np.float32)
    cells = rng.exponential(size=(events, known.voxels)) * (rng.random(known.voxels) < 0.5)
    cells *= (0.5 * energy / cells.sum(1))[:, None]
    write_showers(
        folder, [{"ecal": cells, "energy": energy}], layout="calochallenge",
        events_per_file=events, particle="ChPi", calorimeter=known,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in names()]
)
def test_from_the_description_to_the_report(name, tmp_path, capsys):
    data, run, made = tmp_path / "data", tmp_path / "run", tmp_path / "made.h5"
    showers(data, name, 60)
    known = calorimeter(name)
    tilted = not known.normal
    words = [f"data.calorimeter={name}", f"data.files=[{data}]", "train.batch_size=4"]
    words += ["train.steps=3", "data.validation_fraction=0.5", "mesh.devices=1"]
    words += ["model.inputs=energy-angle", "model.heads=[energy,angle,sum]"] * tilted
    assert main(["train", "gan3d/any", *words, "--run", str(run), "--quiet"]) == 0
    low, high = known.energy
    words = [f"--energy={low}:{high}", "--events=24", "--out", str(made), "--quiet"]
    assert main(["generate", str(run), *words]) == 0
    source = open_showers([made])
    assert source.grid == known.shape
    assert len(source) == 24
    assert (source.theta is not None) == tilted
    with h5py.File(made) as file:
        assert ("showers" in file) == (not known.box)
    with undrawn():
        assert main(["evaluate", str(run), "--out", str(tmp_path / "report"), "--quiet"]) == 0
    scores = json.loads((tmp_path / "report" / "scores.json").read_text())
    assert scores["events_reference"] == scores["events_generated"] == 30
    capsys.readouterr()
