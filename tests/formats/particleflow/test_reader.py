"""MLPF events of all layouts: the same events, sound, filled, padded; bad files end in one line."""

import pickle
import re

import h5py
import numpy as np
import pytest
from helpers.event_files import KEYS, events, lists, write_hdf5, write_pickle, write_tfds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hepjax import InputError
from hepjax.formats.particleflow.columns import CLASSES, Particle, Tower, Track
from hepjax.formats.particleflow.reader import (
    describe_all,
    holds_events,
    list_event_files,
    open_events,
)
from hepjax.formats.particleflow.sound import fill_candidates
from hepjax.formats.recognise import recognise

MADE = events(9)
LENGTHS = [len(e["X"]) for e in MADE]
BUCKETS = (4, 8, 12)


def read_all(path, **options):
    source = open_events(path, **{"buckets": BUCKETS, **options})
    return source[np.arange(len(source))]


def assert_same(batch, made, pad=12):
    np.testing.assert_array_equal(batch["n"], [len(e["X"]) for e in made])
    for key in KEYS:
        assert batch[key].dtype == np.float32
        for rows, e in zip(batch[key], made, strict=True):
            np.testing.assert_allclose(rows[: len(e[key])], e[key], rtol=1e-6)
            assert not rows[len(e[key]) :].any()
        assert batch[key].shape[1] == pad


def changed(key, row, column, value):
    """The flat dataset ``key`` with one number changed."""
    values = np.concatenate([e[key] for e in MADE])
    values[row, column] = value
    return {key: values}


def test_all_layouts_give_the_same_events(tmp_path):
    version = write_tfds(tmp_path / "tfds", {"train": MADE})
    for path in (
        write_pickle(tmp_path / "a.pkl.bz2", lists(MADE)),
        write_hdf5(tmp_path / "a.h5", MADE),
        tmp_path / "tfds",
    ):
        assert holds_events(path)
        assert recognise(path) == "mlpf"
        if path.name != "tfds":
            assert_same(read_all(path), MADE)
    # TFDS stores events in an order of its own.
    batch = read_all(version)
    order = [LENGTHS.index(n) if LENGTHS.count(n) == 1 else None for n in batch["n"]]
    assert sorted(batch["n"]) == sorted(LENGTHS)
    assert any(i is not None for i in order)
    for row, i in enumerate(order):
        if i is not None:
            np.testing.assert_array_equal(batch["X"][row, : LENGTHS[i]], MADE[i]["X"])


def test_several_files_follow_one_another(tmp_path):
    write_hdf5(tmp_path / "b.h5", MADE[5:])
    write_hdf5(tmp_path / "a.h5", MADE[:5])
    source = open_events(tmp_path, buckets=BUCKETS)
    assert_same(source[np.arange(9)], MADE)
    assert_same(source[np.array([8, 0, 8, 4])], [MADE[i] for i in (8, 0, 8, 4)])
    np.testing.assert_array_equal(source.blocks, [0, 5, 9])
    assert_same(pickle.loads(pickle.dumps(source))[np.arange(9)], MADE)
    for wrong in ([9], [-1]):
        with pytest.raises(IndexError):
            source.padded(np.array(wrong), 0)


def test_buckets_are_the_smallest_that_hold_an_event(tmp_path):
    source = open_events(write_hdf5(tmp_path / "a.h5", MADE), buckets=BUCKETS)
    np.testing.assert_array_equal(source.bucket, np.searchsorted(BUCKETS, LENGTHS))
    short = np.flatnonzero(source.bucket == 0)[:1]
    assert source[short]["X"].shape == (1, 4, 12)
    assert source.padded(short, 2)["X"].shape == (1, 12, 12)


def test_padded_events_of_tfds_1_0_lose_their_padding(tmp_path):
    """6,400 rows there; seven columns of a particle."""
    version = write_tfds(tmp_path, {"train": MADE}, rows=32, columns=7)
    (file,) = describe_all(version)
    assert sorted(file.elements) == sorted(LENGTHS)
    batch = read_all(version)
    assert (batch["X"][:, :, 0] > 0).sum() == sum(LENGTHS)


def test_splits_of_tfds(tmp_path):
    version = write_tfds(tmp_path, {"train": MADE[:6], "test": MADE[6:]})
    assert len(open_events(f"{version}:train", buckets=BUCKETS)) == 6
    both = open_events([f"{version}:train", f"{version}:test"], buckets=BUCKETS)
    assert [f.layout for f in both.files] == [
        "TFDS delphes_pf 1.1.0, test",
        "TFDS delphes_pf 1.1.0, train",
    ]
    for path in (version, f"{version}:validation"):
        with pytest.raises(
            InputError, match=r"one of its splits after a colon .* test, train, found [nv]"
        ):
            open_events(path, buckets=BUCKETS)


def test_damaged_tfds(tmp_path):
    version = write_tfds(tmp_path, {"train": MADE})
    (shard,) = version.glob("*.array_record*")
    whole = shard.read_bytes()
    flipped = bytearray(whole)
    flipped[2000] ^= 1
    for number, content in enumerate((b"", whole[:4000], whole[: len(whole) // 2], flipped)):
        shard.write_bytes(content)
        other = version.rename(version.with_name(f"{number}.0.0"))  # a folder is opened once
        with pytest.raises(InputError, match=rf"^\S*{number}\.0\.0: expected [^\n]*$"):
            read_all(other)
        other.rename(version)
    shard.write_bytes(whole)
    assert len(read_all(version)["n"]) == 9
    version = version.rename(version.with_name("4.0.0"))
    features = version / "features.json"
    features.write_text(features.read_text().replace('"X"', '"Z"'))
    with pytest.raises(
        InputError, match="expected the features X, ygen, ycand, found Z, ycand, ygen"
    ):
        read_all(version)
    assert not holds_events(version)


def test_folders_and_paths(tmp_path):
    with pytest.raises(InputError, match=r"expected a folder with either of .* found none"):
        list_event_files(tmp_path)
    with pytest.raises(InputError, match="nothing: expected a file or folder, found none"):
        list_event_files(tmp_path / "nothing")
    with pytest.raises(InputError, match="expected at least one file"):
        list_event_files([])
    a = write_hdf5(tmp_path / "a.h5", MADE)
    assert list_event_files([tmp_path, a, str(a)]) == [a]
    write_pickle(tmp_path / "a.pkl.bz2", lists(MADE))
    assert recognise(tmp_path) == "mlpf"
    with pytest.raises(InputError, match=r"found \*\.pkl\.bz2 files and \*\.h5 files"):
        list_event_files(tmp_path)


SOUND = np.concatenate([e["ygen"] for e in MADE])
OFFSETS = np.cumsum([0, *LENGTHS])
BAD = {
    "columns of X": ({"X": SOUND}, r"'X' of shape \(n, 12\), found \(\d+, 7\)"),
    "columns of ygen": ({"ygen": SOUND[:, :6]}, r"'ygen' of shape \(n, 7\), found .*6\)"),
    "rows": ({"ycand": SOUND[1:]}, "as many rows in X, ygen and ycand"),
    "no candidates": ({"ycand": None}, "expected a dataset 'ycand', found"),
    "text": ({"X": np.full((3, 12), b"a")}, "expected numbers in dataset 'X'"),
    "falling offsets": (
        {"offsets": OFFSETS[[0, 2, 1, *range(3, 10)]]},
        r"'offsets' that rise, found \d+ after \d+ in event 1",
    ),
    "short offsets": ({"offsets": OFFSETS[:-1]}, r"'offsets' of events from 0 to \d+"),
    "late offsets": ({"offsets": OFFSETS[1:]}, r"'offsets' of events from 0 to"),
    "one offset": ({"offsets": OFFSETS[:1]}, r"'offsets' of events from 0 to"),
    "broken offsets": ({"offsets": OFFSETS + 0.5}, "whole numbers in 'offsets', found float64"),
    "unassociated": ({"n_unassociated_gen": np.arange(3)}, r"as events \(9\), found 3"),
    "no elements": ({"offsets": np.sort([*OFFSETS, OFFSETS[3]])}, None),
    "NaN": (changed("X", OFFSETS[4], 5, np.nan), "finite numbers, found others in event 4"),
    "infinity": (changed("ygen", OFFSETS[5] - 1, 6, np.inf), "finite .* in event 4"),
    "type 0": (changed("X", OFFSETS[2], 0, 0), r"type 1 \(tower\) .* found type 0 in event 2"),
    "type 3": (changed("X", OFFSETS[2], 0, 3), "found type 3 in event 2"),
    "class 6": (changed("ygen", OFFSETS[8], 0, 6), "in ygen, found class 6 in event 8"),
    "class -1": (changed("ycand", OFFSETS[8], 0, -1), "in ycand, found class -1 in event 8"),
    "class 1.5": (changed("ycand", 0, 0, 1.5), r"in ycand, found class 1\.5 in event 0"),
}


@pytest.mark.parametrize(("datasets", "message"), BAD.values(), ids=BAD)
def test_bad_content(tmp_path, datasets, message):
    path = write_hdf5(tmp_path / "bad.h5", MADE, **datasets)
    if message is None:
        with h5py.File(path, "a") as file:
            del file["n_unassociated_gen"]
        message = "expected elements, found none in event 3"
    with pytest.raises(InputError, match=rf"^\S*bad\.h5: .*{message}") as raised:
        read_all(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("datasets", "message"), [(BAD[k]) for k in ("NaN", "type 3", "class 6")])
def test_bad_content_of_pickles(tmp_path, datasets, message):
    ((key, values),) = datasets.items()
    content = lists(MADE) | {key: np.split(values.astype(float), OFFSETS[1:-1])}
    with pytest.raises(InputError, match=rf"^\S*bad\.pkl\.bz2: .*{message}"):
        read_all(write_pickle(tmp_path / "bad.pkl.bz2", content))


def test_numbers_too_large_for_float32_are_not_finite(tmp_path):
    content = lists(MADE)
    content["X"][2][1, 5] = 1e300
    with pytest.raises(InputError, match="finite numbers, found others in event 2"):
        read_all(write_pickle(tmp_path / "a.pkl.bz2", content))


def test_an_event_larger_than_the_largest_bucket(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", MADE)
    over = [i for i, n in enumerate(LENGTHS) if n > 8]
    assert over
    message = (
        rf"at most 8 elements, .* found {LENGTHS[over[0]]} in event {over[0]} \({len(over)} of 9"
    )
    with pytest.raises(InputError, match=message):
        open_events(path, buckets=(4, 8))
    source = open_events(path, buckets=(4, 8), too_long="truncate")
    assert source.cut_events == len(over)
    assert source.cut_elements == sum(LENGTHS[i] - 8 for i in over)
    assert_same(source[np.arange(9)], [{k: v[:8] for k, v in e.items()} for e in MADE], pad=8)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1), bit=st.integers(0, 7))
def test_a_flipped_bit_of_hdf5_is_an_error_or_leaves_the_shape_alone(tmp_path, where, bit):
    pristine = tmp_path / "pristine.h5"
    if not pristine.exists():
        write_hdf5(pristine, MADE)
    damaged = bytearray(pristine.read_bytes())
    damaged[int(where * (len(damaged) - 1))] ^= 1 << bit
    path = tmp_path / "flipped.h5"
    path.write_bytes(damaged)
    try:
        batch = read_all(path)
    except InputError as error:
        assert re.fullmatch(rf"{path}: [^\n]+", str(error))  # noqa: PT017
        return
    assert batch["n"].sum() == sum(LENGTHS)
    assert np.isfinite(batch["X"]).all()


def test_candidates_are_filled():
    """A charged hadron without energy, a photon without momentum, nothing, and full ones."""
    charge, pt, eta = [1, 0, 0, -1, 0], np.array([3.0, 2.0, 0, 5.0, 7.0]), [1.5, -2.0, 0, 0.5, 1.0]
    classes = [1, 3, 0, 4, 2]
    full = np.zeros((5, 7), np.float32)
    full[:, :4] = np.stack([classes, charge, pt, eta], axis=1)
    full[:, 6] = pt * np.cosh(eta) * [1, 1, 0, 1.001, 1.2]
    raw = full.copy()
    raw[0, Particle.ENERGY] = raw[1, Particle.PT] = 0
    np.testing.assert_allclose(fill_candidates(raw), full, rtol=1e-6)
    slipped = raw.copy()
    slipped[0, Particle.ENERGY] = 3.0 / np.sqrt(1 - np.tanh(1.5))
    np.testing.assert_allclose(fill_candidates(slipped), full, rtol=1e-6)


def test_columns_and_classes_are_the_published_ones():
    assert (Track.P, Track.ETA_OUTER, Track.CHARGE, Track.IS_GEN_ELECTRON) == (5, 6, 9, 11)
    assert (Tower.ET, Tower.ENERGY, Tower.ENERGY_EM, Tower.ENERGY_HAD) == (1, 5, 6, 7)
    assert (Particle.PT, Particle.COS_PHI, Particle.ENERGY) == (2, 5, 6)
    assert CLASSES.index("photon") == 3


KNOWN = {
    "mlpf_ttbar_pu0.h5": (500, 76751, 36542, 365, 191390, 236714.7),
    "mlpf_qcd_pu0.h5": (500, 42651, 20485, 235, 172251, 58732.1),
    "mlpf_ttbar_pu50.h5": (300, 449514, 209327, 2567, 2115420, 638093.7),
    "mlpf_ttbar_pu200.h5": (50, 254996, 126609, 6108, 1025862, 436798.3),
}
"""Events, elements, tracks, largest event, unassociated particles, sum of the targets' pt (GeV)."""


@pytest.mark.parametrize("name", KNOWN)
def test_reference_files(reference_data, name):
    count, elements, tracks, largest, unassociated, pt = KNOWN[name]
    source = open_events(reference_data / name, buckets=(640, 6400))
    (file,) = source.files
    assert (len(source), source.elements.sum(), source.elements.max()) == (count, elements, largest)
    assert file.unassociated.sum() == unassociated
    read = list(source.stream())
    assert sum((e.X[:, 0] == 2).sum() for e in read) == tracks
    assert sum(e.ygen[:, 2].sum(dtype=float) for e in read) == pytest.approx(pt, rel=1e-6)
    for e in read:  # candidates of particles have both
        particles = e.ycand[e.ycand[:, 0] > 0]
        assert particles[:, [2, 6]].min() > 0


def test_the_reference_pickle_has_the_first_events_of_the_hdf5_file(reference_data):
    pickled = open_events(reference_data / "tev14_pythia8_ttbar_0_0.pkl.bz2", buckets=(6400,))
    flat = open_events(reference_data / "mlpf_ttbar_pu200.h5", buckets=(6400,))
    assert len(pickled) == 20
    first, second = pickled[np.arange(20)], flat[np.arange(20)]
    for key in (*KEYS, "n"):
        np.testing.assert_array_equal(first[key], second[key])
