"""Hits in Parquet: ColliderML's layout and packed sets, whole numbers to the bit, and bad files."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hepjax import InputError
from hepjax.cli import main
from hepjax.formats.tracking import colliderml, pack
from hepjax.formats.tracking.detector import SURFACES
from hepjax.formats.tracking.event import Event
from hepjax.formats.tracking.reader import layout_of, list_events, read_event
from hepjax.formats.tracking.trackml import write_event
from hepjax.simulate.hits.events import simulate_event
from hepjax.workloads.families import family_of

UINT = pa.uint64()
LARGE = 2**60 + 1
"""A whole number that float64 does not have."""
HITS = {
    "event_id": [7, 8],
    "x": [[34.0, 0.0, 60.0], [821.0]], "y": [[0.0, 260.5, 0.0], [0.0]],
    "z": [[10.0, 400.0, -978.0], [3025.5]], "volume_id": [[17, 24, 16], [30]],
    "layer_id": [[2, 2, 8], [2]], "surface_id": [[5, 6, 7], [8]],
    "particle_id": [[LARGE, LARGE, 3], [4]],
}  # fmt: skip
PARTICLES = {
    "event_id": [8, 7], "particle_id": [[4], [3, LARGE]], "charge": [[1.0], [-1.0, 1.0]],
    **{f"v{a}": [[0.0], [1.0, 2.0]] for a in "xyz"},
    **{f"p{a}": [[3.0], [0.5, 4.0]] for a in "xyz"},
}  # fmt: skip
WHOLE = ("particle_id", "volume_id", "layer_id", "surface_id")


def table(columns, whole):
    kinds = {"event_id": pa.uint32()}
    return pa.table({
        name: pa.array(values, kinds.get(name, pa.list_(whole if name in WHOLE else pa.float32())))
        for name, values in columns.items()
    })  # fmt: skip


def written(tmp_path, hits=HITS, particles=PARTICLES, whole=UINT):
    """A folder as the package colliderml downloads it."""
    for name, columns in (("tracker_hits", hits), ("particles", particles)):
        folder = tmp_path / f"ttbar_pu0_{name}"
        folder.mkdir()
        pq.write_table(table(columns, whole), folder / "train-00000-of-00001.parquet")
    return tmp_path / "ttbar_pu0_tracker_hits"


def test_colliderml_events_with_their_particles(tmp_path):
    folder = written(tmp_path)
    first, second = map(read_event, list_events(folder))
    assert layout_of(folder) == "ColliderML"
    assert first.particle.tolist() == [LARGE, LARGE, 3]  # by event_id, in another order there
    assert first.identifier.tolist() == [3, LARGE]
    assert first.of_hits(first.pt).tolist() == pytest.approx([32**0.5] * 2 + [0.5**0.5])
    assert first.module.tolist() == [5, 6, 7]
    assert (second.particle.tolist(), second.charge.tolist()) == ([4], [1])
    known = [SURFACES[k] for k in [*first.surface, *second.surface]]
    assert [(s.volume, s.at) for s in known] == [(8, 32), (13, 260), (7, -960), (18, 2950)]


def test_files_side_by_side_and_files_without_truth(tmp_path):
    for name, columns in (("tracker_hits", HITS), ("particles", PARTICLES)):
        pq.write_table(table(columns, UINT), tmp_path / f"ttbar_{name}_2ev.parquet")
    hits = {name: values for name, values in HITS.items() if name != "particle_id"}
    pq.write_table(table(hits, UINT), tmp_path / "pu200_tracker_hits.parquet")
    pu200, _, ttbar, _ = map(read_event, list_events(tmp_path))
    assert pu200.particle is None
    assert ttbar.identifier is not None


def test_a_particle_called_0_is_no_noise(tmp_path):
    hits = HITS | {"particle_id": [[1, 1, 0], [0]]}
    particles = PARTICLES | {"particle_id": [[5], [0, 1]]}
    first, second = map(read_event, list_events(written(tmp_path, hits, particles)))
    assert (first.particle.tolist(), first.identifier.tolist()) == ([2, 2, 1], [1, 2])
    assert second.particle.tolist() == [0]  # of no particle in its event


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"volume_id": [[17, 24, 99], [29]]}, "expected volumes of the Open Data .* found 99"),
        ({"z": [[10.0, 400.0, -1060.0], [-1.0]]}, "expected hits within 50 mm of a layer"),
        ({"x": [[float("nan"), 0.0, 60.0], [821.0]]}, "expected hits within 50 mm of a layer"),
        ({"x": [[34.0, 0.0], [821.0]]}, "expected lists of one length in row 0, found x 2, y 3"),
        ({"x": [[34.0, None, 60.0], [821.0]]}, "expected a number in every place of column x"),
        ({"particle_id": [[2**63, 1, 1], [4]]}, r"expected whole numbers below 2\^63 in column"),
        ({name: [[], []] for name in HITS if name != "event_id"}, "expected at least one hit"),
    ],
)  # fmt: skip
def test_bad_events_are_told(tmp_path, changed, said):
    places = list_events(written(tmp_path, HITS | changed))
    with pytest.raises(InputError, match=said) as error:
        read_event(places[0])
    assert "train-00000-of-00001.parquet" in str(error.value)


def test_identifiers_as_floating_point_are_refused(tmp_path):
    hits, particles = ({**t, "particle_id": [[1, 1, 3], [4]]} for t in (HITS, PARTICLES))
    folder = written(tmp_path, hits, particles, whole=pa.float64())
    with pytest.raises(InputError, match=r"expected lists of whole numbers in column .*double"):
        list_events(folder)


def test_files_that_are_none_or_end_early(tmp_path):
    path = next(written(tmp_path).iterdir())
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="expected sound Parquet data, found them damaged"):
        list_events(path)
    path.write_bytes(b"PAR0")
    with pytest.raises(InputError, match="expected a Parquet file, found another format"):
        list_events(path.parent)


def same(a, b):
    for name, value in vars(a).items():
        other = vars(b)[name]
        assert (value is None) == (other is None), name
        if value is not None:
            np.testing.assert_array_equal(value, other, err_msg=name)


def test_packed_events_come_back_to_the_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "SHARD_HITS", 500)
    events = [simulate_event(30, 1, k) for k in range(3)]
    bare = events[2]
    events.append(Event(bare.xyz, bare.surface, bare.module))
    made = pack.write_packed(tmp_path / "set", events)
    assert made["events"] == 4
    assert made["shards"] == 2
    places = list_events(tmp_path / "set")
    for place, event in zip(places, events, strict=True):
        same(read_event(place), event)
    with pytest.raises(InputError, match="expected a folder without a packed set"):
        pack.write_packed(tmp_path / "set", events)


def test_pack_reads_csv_and_colliderml(tmp_path, capsys):
    event = simulate_event(20, 3)
    csv = tmp_path / "csv"
    csv.mkdir()
    write_event(csv, 1, event)
    out = tmp_path / "packed"
    assert main(["pack", str(csv), str(written(tmp_path)), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 3
    first, second, third = map(read_event, list_events(out))
    assert third.xyz[0, 2] == 3025.5
    np.testing.assert_array_equal(first.particle, event.particle)
    assert second.particle.tolist() == [LARGE, LARGE, 3]
    assert family_of(out).name == "tracking"
    assert main(["inspect", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layout"] == "packed hits"


def test_simulated_hits_are_the_same_packed_or_not(tmp_path, capsys):
    words = ["--events", "2", "--particles", "20", "--seed", "4", "--quiet"]
    for name in ("csv", "packed"):
        made = ["simulate", "hits", *words, "--format", name, "--out", str(tmp_path / name)]
        assert main(made) == 0
        assert main(made) == 0  # they are there
    one, other = (list(map(read_event, list_events(tmp_path / n))) for n in ("csv", "packed"))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.particle, b.particle)
        np.testing.assert_allclose(a.xyz, b.xyz, rtol=1e-6)
    capsys.readouterr()
    assert main(["simulate", "hits", *words, "--out", str(tmp_path / "packed")]) == 2
    assert "expected a folder without packed files" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["shard", "manifest", "gone"])
def test_damaged_sets_are_told(tmp_path, what):
    pack.write_packed(tmp_path / "set", [simulate_event(10, 1)])
    path = tmp_path / "set" / ("manifest.json" if what == "manifest" else "shard-000000.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    if what == "gone":
        path.unlink()
    said = {
        "shard": "expected the checksum of the manifest", "gone": "expected a shard, found none",
        "manifest": "expected a sound manifest",
    }  # fmt: skip
    with pytest.raises(InputError, match=said[what]):
        list_events(tmp_path / "set")
    assert colliderml.is_hits(tmp_path / "set") is False
