"""Data cards: jets, particle flow and showers of small trees, by hand; mistakes in one line."""

import numpy as np
import pytest
import yaml
from helpers.root_files import one_jet_an_entry, write_tree

from hepjax import InputError
from hepjax.formats.images import densify
from hepjax.formats.jets.reader import open_jets
from hepjax.formats.particleflow.columns import Particle, Tower, Track
from hepjax.formats.particleflow.reader import open_events
from hepjax.formats.recognise import recognise
from hepjax.formats.root import tree as trees
from hepjax.formats.root.card import Piece, Pieces, is_card, read_card
from hepjax.formats.showers.reader import open_showers

pytest.importorskip("uproot")
JETS = {
    "columns": {"eta": "jet_eta", "phi": "jet_phi", "pt": "jet_pt", "label": "jet_label"},
    "constituents": {"eta": "part_eta", "phi": "part_phi"},
    "channels": {"pT:GeV": "part_pt * (part_charge != 0)", "ECAL:GeV": "part_pt"},
    "labels": ["qcd", "top"],
    "shape": [5, 5],
    "pixel": [0.1, 0.1],
}


def card(folder, kind, settings, files="*.root", **more):
    path = folder / "card.yaml"
    text = yaml.safe_dump({"root": {"files": files, kind: settings} | more}, sort_keys=False)
    path.write_text(text)
    return path


def images(path, **asked):
    (file,) = open_jets(path, **asked)
    parts = list(file.stream())
    dense = np.concatenate([densify(image, file.grid) for image, _ in parts])
    return file, dense, {k: np.concatenate([c[k] for _, c in parts]) for k in parts[0][1]}


@pytest.mark.parametrize("ntuple", [False, True])
def test_one_jet_an_entry(tmp_path, ntuple):
    one_jet_an_entry(tmp_path / "a.root", ntuple=ntuple)
    path = card(tmp_path, "jets", JETS)
    assert is_card(path)
    assert recognise(path) == "jets"
    file, dense, columns = images(path)
    assert (file.events, file.labels, file.grid.shape) == (3, {0: "qcd", 1: "top"}, (5, 5))
    assert columns["label"].tolist() == [0, 1, 1]
    assert columns["pt"].tolist() == [100, 200, 300]
    expected = np.zeros((3, 5, 5, 2))
    expected[0, 2, 2] = [1, 3]  # the second is neutral
    expected[0, 4, 2] = 4  # 0.2 in eta: two pixels
    expected[1, 2, 2] = [0, 8]  # 0.01 across phi = pi
    expected[2, 2, 2] = 16  # the other is outside of the image
    assert np.allclose(dense, expected)


def test_cuts_of_entries_and_files_in_turn(tmp_path, monkeypatch):
    one_jet_an_entry(tmp_path / "a.root")
    one_jet_an_entry(tmp_path / "b.root")
    path = card(tmp_path, "jets", JETS, cut="jet_pt > 150 and count(part_pt) < 3")
    monkeypatch.setattr(trees, "CHUNK_BYTES", 1)  # an entry at a time
    file, _, columns = images(path)
    assert len(file.pieces.pieces) == 6
    assert columns["pt"].tolist() == [200, 300, 200, 300]
    ((image, some),) = file.stream(start=1, stop=2)
    assert some["pt"].tolist() == [300]
    assert image.value.tolist() == [16, 16]
    assert [len(c["pt"]) for _, c in file.stream(batch=1)] == [1, 1, 1, 1]


@pytest.mark.parametrize("way", ["number", "radius"])
def test_several_jets_an_entry(tmp_path, way):
    """Their constituents by a number, or by distance; jets cut one by one; events told apart."""
    write_tree(
        tmp_path / "a.root",
        {
            "J_pt": [[50.0, 60.0], [], [70.0]],
            "J_eta": [[0.0, 2.0], [], [-1.0]],
            "J_phi": [[0.0, 3.0], [], [-3.14]],
            "C_jet": [[0, 1, 1, -1], [0], [0]],
            "C_i": [[3, 2, 0, 1], [0], [0]],
            "P_pt": [[1.0, 2.0, 4.0, 8.0], [9.0], [16.0]],
            "P_eta": [[2.1, 5.0, 2.0, 0.0], [0.0], [-1.0]],
            "P_phi": [[3.0, 0.0, 3.0, 0.0], [0.0], [3.14]],
        },
    )
    links = {"eta": "take(P_eta, C_i)", "phi": "take(P_phi, C_i)", "jet": "C_jet"}
    near = {"eta": "P_eta", "phi": "P_phi"}
    settings = JETS | {
        "columns": {"eta": "J_eta", "phi": "J_phi", "pt": "J_pt", "label": "1"},
        "constituents": links if way == "number" else near,
        "channels": {"ECAL:GeV": "take(P_pt, C_i)" if way == "number" else "P_pt"},
        "where": "J_pt > 55",
    }
    settings |= {} if way == "number" else {"radius": 0.15}
    _, dense, columns = images(card(tmp_path, "jets", settings))
    assert columns["event"].tolist() == [0, 2]
    assert columns["pt"].tolist() == [60, 70]
    expected = np.zeros((2, 5, 5, 1))
    expected[0, 2, 2], expected[0, 3, 2], expected[1, 2, 2] = 4, 1, 16
    assert np.allclose(dense, expected)
    if way == "radius":
        without = {k: v for k, v in settings.items() if k != "radius"}
        with pytest.raises(InputError, match=r"constituents\.jet or root"):
            images(card(tmp_path, "jets", without))


FLOW = {
    "tracks": {"pt": "T_pt", "eta": "T_eta", "phi": "T_phi", "charge": "T_q"},
    "track_targets": {
        "class": "particle_class(take(G_id, T_g))", "charge": "take(G_q, T_g)",
        "pt": "take(G_pt, T_g)", "eta": "take(G_eta, T_g)", "phi": "take(G_phi, T_g)",
        "energy": "take(G_pt, T_g) * cosh(take(G_eta, T_g))",
    },
    "towers": {
        "et": "C_e / cosh(C_eta)", "eta": "C_eta", "phi": "C_phi", "energy": "C_e",
        "energy_em": "C_e",
    },
    "tower_targets": dict.fromkeys(("class", "charge", "pt", "eta", "phi", "energy"), "0"),
}  # fmt: skip


def flow_tree(path):
    return write_tree(
        path,
        {
            "T_pt": [[5.0, 6.0], [], [7.0]], "T_eta": [[0.1, 0.2], [], [0.3]],
            "T_phi": [[0.5, -0.5], [], [3.0]], "T_q": [[1, -1], [], [1]],
            "T_g": [[1, -1], [], [0]],
            "G_id": [[22, 211], [], [-11]], "G_q": [[0, 1], [], [1]],
            "G_pt": [[1.0, 5.5], [], [7.5]], "G_eta": [[0.0, 0.1], [], [0.3]],
            "G_phi": [[0.0, 0.5], [], [3.0]],
            "C_e": [[10.0], [], []], "C_eta": [[1.0], [], []], "C_phi": [[2.0], [], []],
        },
    )  # fmt: skip


def test_particle_flow(tmp_path, monkeypatch):
    """Tracks before towers in each event; the entry without elements is no event."""
    flow_tree(tmp_path / "a.root")
    path = card(tmp_path, "particleflow", FLOW)
    assert recognise(path) == "mlpf"
    for size in (2**24, 1):
        monkeypatch.setattr(trees, "CHUNK_BYTES", size)
        source = open_events(path, buckets=[4])
        batch = source[np.array([0, 1])]
        assert batch["n"].tolist() == [3, 1]
        X, y = batch["X"], batch["ygen"]
        assert X[0, :, Track.TYPE].tolist() == [2, 2, 1, 0]
        assert np.allclose(X[0, :3, Track.PT], [5, 6, 10 / np.cosh(1)])
        assert np.allclose(X[0, 0, [Track.P, Track.SIN_PHI]], [5 * np.cosh(0.1), np.sin(0.5)])
        assert np.allclose(X[0, 2, [Tower.ENERGY, Tower.ENERGY_EM]], 10)
        assert y[:, :3, Particle.CLASS].tolist() == [[1, 0, 0], [4, 0, 0]]
        assert np.allclose(y[0, 0, [Particle.PT, Particle.ETA]], [5.5, 0.1])
        assert not y[0, 1:].any()
        assert source.blocks.tolist() == ([0, 2] if size > 1 else [0, 1, 2])


def test_events_without_targets(tmp_path, capsys):
    flow_tree(tmp_path / "a.root")
    settings = {"towers": FLOW["towers"]}
    source = open_events(card(tmp_path, "particleflow", settings), buckets=[4])
    assert len(source) == 1
    assert "no targets of towers: these events can only be predicted" in capsys.readouterr().err
    with pytest.raises(InputError, match="expected targets of towers to train on"):
        source.require_targets()


def shower_tree(path):
    rng = np.random.default_rng(0)
    cells = rng.exponential(size=(4, 25, 25, 25)).astype(np.float32)
    cells[rng.random(cells.shape) < 0.9] = 0
    hits = [np.argwhere(c) for c in cells]
    values = [c[tuple(h.T)] for c, h in zip(cells, hits, strict=True)]
    # The first hit in two halves, and one outside.
    for k in range(4):
        values[k] = np.concatenate([[values[k][0] / 2] * 2, values[k][1:], [7]])
        hits[k] = np.concatenate([hits[k][:1], hits[k], [[25, 0, 0]]])
    write_tree(
        path,
        {
            "E": np.array([10.0, 20.0, 30.0, 40.0]), "theta": np.full(4, 1.2), "ecal": cells,
            "hit_E": [v.tolist() for v in values],
            "hit_x": [(h[:, 0] * 5.0 + 0.1).tolist() for h in hits],
            "hit_y": [h[:, 1].tolist() for h in hits], "hit_z": [h[:, 2].tolist() for h in hits],
        },
    )  # fmt: skip
    return cells


@pytest.mark.parametrize("kind", ["arrays", "hits"])
def test_showers(tmp_path, capsys, kind):
    cells = shower_tree(tmp_path / "a.root")
    hits = {"energy": "hit_E", "x": "floor(hit_x / 5)", "y": "hit_y", "z": "hit_z"}
    settings = {"energy": "E", "theta": "theta", "unit": "MeV", "calorimeter": "clic-25"}
    settings |= {"ecal": "ecal"} if kind == "arrays" else {"cells": hits}
    path = card(tmp_path, "showers", settings, cut="E > 15")
    assert recognise(path) == "clic"
    source = open_showers(path)
    batch = source[np.arange(3)]
    assert batch["energy"].tolist() == [20, 30, 40]
    assert np.allclose(batch["theta"], 1.2)
    assert np.allclose(batch["ecal"], cells[1:] / 1000, rtol=1e-6)
    assert ("hits outside the calorimeter are left out" in capsys.readouterr().err) == (
        kind == "hits"
    )
    settings["cells" if kind == "hits" else "ecal"] = (
        hits | {"x": "hit_x"} if kind == "hits" else "E"
    )
    with pytest.raises(InputError, match=r"whole numbers of cells|25 x 25 x 25 numbers an entry"):
        open_showers(card(tmp_path, "showers", settings))[np.arange(1)]


def test_mistakes(tmp_path):
    one_jet_an_entry(tmp_path / "a.root")

    def refused(match, kind="jets", settings=JETS, **more):
        with pytest.raises(InputError, match=match) as caught:
            open_jets(card(tmp_path, kind, settings, **more))
        assert "\n" not in str(caught.value)

    refused("expected branch jet_p in events, found none; did you mean jet_pt", cut="jet_p > 1")
    refused("expected ROOT files none.root, found none", files=["none.root"])
    refused("expected names of ROOT files, found 3", files=3)
    refused("expected tree 'tree', found events", tree="tree")
    refused("found none of 3", cut="jet_pt > 1e9")
    refused("expected one truth value an entry", cut="part_pt > 1")
    refused("root.cut: expected an expression", cut="jet_pt >")
    refused("expected root.files, root.tree, .*found root.cuts", cuts="x")
    refused("expected one group of root.jets", kind="jet")
    refused("expected a card of jets, found one of showers", kind="showers")
    refused("found root.jets.channel$", settings=JETS | {"channel": {}})
    refused("channels by name, found none", settings=JETS | {"channels": {}})
    refused("found 'pt'", settings=JETS | {"channels": {"pt": "part_pt"}})
    refused("columns: expected eta, found none", settings=JETS | {"columns": {"phi": "jet_phi"}})
    refused("expected eta, phi, jet, found pt", settings=JETS | {"constituents": {"pt": "a"}})
    refused("shape: expected two numbers above 0, found 'a'", settings=JETS | {"shape": "a"})
    refused("radius: expected a number above 0", settings=JETS | {"radius": -1})
    refused("one number a jet", settings=JETS | {"columns": JETS["columns"] | {"pt": "part_pt"}})
    refused("a group of expressions", settings=JETS | {"columns": [1]})
    refused("found \\[1\\]", settings=JETS | {"channels": {"pT": [1]}})
    with pytest.raises(InputError, match=r"expected a data card .* found a ROOT file"):
        open_jets(tmp_path / "a.root")
    (tmp_path / "b.yaml").write_text("root: 3\n")
    with pytest.raises(InputError, match="expected a group root, found int"):
        read_card(tmp_path / "b.yaml")
    (tmp_path / "no.root").write_bytes(b"PAR1")
    refused("no.root: expected a ROOT file, found another format", files="no.root")


@pytest.mark.parametrize("end", [4, 60, 300, 2000])
def test_files_cut_off(tmp_path, end):
    whole = one_jet_an_entry(tmp_path / "a.root").read_bytes()
    (tmp_path / "a.root").write_bytes(whole[: min(end, len(whole) - 200)])
    with pytest.raises(InputError, match=r"a\.root: expected a .*ROOT file|expected .*tree"):
        images(card(tmp_path, "jets", JETS))


def test_pieces():
    pieces = Pieces(tuple(Piece(None, None, 0, 9, n) for n in (3, 0, 2)))
    assert len(pieces) == 5
    found = [(p.events, low, high) for p, low, high in pieces.between(1, 4)]
    assert found == [(3, 1, 3), (2, 0, 1)]
    assert list(pieces.between(5, 9)) == []
