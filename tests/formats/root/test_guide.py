"""The data cards of the guide, on real files: CMS NanoAOD and EDM4hep."""

import re
from pathlib import Path

import numpy as np
import pytest

from hepjax.cli import main
from hepjax.engine import records
from hepjax.formats.jets.reader import open_jets
from hepjax.formats.particleflow.columns import TRACK, Particle, Track
from hepjax.formats.particleflow.reader import open_events
from hepjax.formats.root.card import KINDS, read_card
from hepjax.formats.root.tree import read, tree_of, trees

pytest.importorskip("uproot")
GUIDE = Path(__file__).parents[3] / "docs/guides/root-files.md"
CARDS = dict(re.findall(r"```yaml\n# (\w+)\.yaml.*?\n(.*?)```", GUIDE.read_text(), re.DOTALL))


def card(name, folder, reference):
    """The card, its files being those of the reference data."""
    text = re.sub(
        r"files: \[(.*?)\]", lambda found: f"files: [{reference / found[1]}]", CARDS[name]
    )
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_the_guide_has_a_card_of_each_kind():
    assert len(CARDS) == 4
    for kind in KINDS:
        assert any(f"\n  {kind}:" in text for text in CARDS.values())


def test_cms_jets(tmp_path, reference_data):
    """Against the candidates of each jet, summed by hand; pixels hold what is inside 125 x 125."""
    path = card("pfnano", tmp_path, reference_data)
    (file,) = open_jets(path)
    ((images, columns),) = file.stream()
    names = (
        *("FatJet_pt", "FatJet_eta", "FatJet_phi", "FatJetPFCands_jetIdx", "PFCands_pt"),
        *("FatJetPFCands_pFCandsIdx", "PFCands_charge", "PFCands_eta", "PFCands_phi"),
    )
    root = reference_data / "cms_pfnano_10events.root"
    raw = read(root, tree_of(root, "Events"), names, 0, 10)
    expected = []
    for event in range(10):
        own = {name: np.asarray(values[event]) for name, values in raw.items()}
        index = own["FatJetPFCands_pFCandsIdx"]
        for jet, pt in enumerate(own["FatJet_pt"]):
            if pt <= 200:
                continue
            mine = index[own["FatJetPFCands_jetIdx"] == jet]
            eta = own["PFCands_eta"][mine] - own["FatJet_eta"][jet]
            phi = own["PFCands_phi"][mine] - own["FatJet_phi"][jet]
            phi = (phi + np.pi) % (2 * np.pi) - np.pi
            inside = (abs(eta) < 62.5 * 0.0174) & (abs(phi) < 62.5 * np.pi / 180)
            tracks = mine[inside & (own["PFCands_charge"][mine] != 0)]
            expected.append((event, pt, own["PFCands_pt"][tracks].sum()))
    assert file.events == len(expected) > 5
    assert columns["event"].tolist() == [event for event, _, _ in expected]
    assert np.allclose(columns["pt"], [pt for _, pt, _ in expected])
    plane = 125 * 125
    sums = [images.value[a:b][images.cell[a:b] < plane].sum()
            for a, b in zip(images.first[:-1], images.first[1:], strict=True)]  # fmt: skip
    assert np.allclose(sums, [total for _, _, total in expected], rtol=1e-5)


def test_edm4hep_particle_flow(tmp_path, reference_data, capsys):
    """Each reconstructed particle is an element, and nearly all know their Monte Carlo particle."""
    path = card("edm4hep", tmp_path, reference_data)
    source = open_events(path, buckets=[256])
    assert len(source) == 100
    root = reference_data / "fcc_delphes_100events.root"
    charge = read(root, tree_of(root, "events"), ["ReconstructedParticles.charge"], 0, 100)
    lengths = [len(c) for c in charge["ReconstructedParticles.charge"]]
    assert source.elements.tolist() == lengths
    batch = source[np.arange(100)]
    real = batch["X"][..., 0] > 0
    assert real.sum() == sum(lengths)
    kind, target = batch["X"][..., 0][real], batch["ygen"][real]
    some = target[:, Particle.CLASS] > 0
    assert some.mean() > 0.99
    tracks = (kind == TRACK) & some
    assert (target[tracks, Particle.CHARGE] == batch["X"][real][tracks, Track.CHARGE]).mean() > 0.99
    ratio = target[tracks, Particle.PT] / batch["X"][real][tracks, Track.PT]
    assert abs(np.median(ratio) - 1) < 1e-3
    assert main(["inspect", str(path), "--quiet"]) == 0
    assert "100" in capsys.readouterr().out


@pytest.mark.slow
def test_edm4hep_trains_and_predicts(tmp_path, reference_data, capsys):
    """The commands of the guide, with a smaller network: the loss falls, each element is a row."""
    path, run, out = card("edm4hep", tmp_path, reference_data), tmp_path / "run", "tracks.root"
    small = ["model.width=32", "model.head_width=32", "model.layers=1", "data.buckets=[256]"]
    short = [f"data.files=[{path}]", "train.steps=20", "train.record_every=1", "mesh.devices=1"]
    assert main(["train", "mlpf/demo", *small, *short, "--run", str(run), "--quiet"]) == 0
    rows = [row for row in records.read(run / "metrics.jsonl") if row["event"] == "train"]
    loss = [row["loss"] for row in rows]
    assert len(loss) == 20
    assert np.mean(loss[-4:]) < 0.8 * np.mean(loss[:4])
    words = ["--data", str(path), "--out", str(tmp_path / out), "--quiet"]
    assert main(["predict", str(run), *words]) == 0
    assert trees(tmp_path / out)[0].entries == open_events(path, buckets=[256]).elements.sum()


def test_inspect_a_root_file(reference_data, capsys):
    assert main(["inspect", str(reference_data / "fcc_delphes_100events.root")]) == 0
    said = capsys.readouterr().out
    assert "events: 100 entries, 321 branches" in said
    assert "ReconstructedParticles.momentum.x" in said


def test_cards_are_read_as_they_stand(tmp_path):
    for name, text in CARDS.items():
        file = re.search(r"files: \[(.*?)\]", text)[1].replace("*", "a")
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"root\0\0\0\0")
        (tmp_path / f"{name}.yaml").write_text(text)
        assert read_card(tmp_path / f"{name}.yaml").kind in KINDS
