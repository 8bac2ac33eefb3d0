"""Which events a tagger gets: files, channels, division into parts, weights, bad input."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.tagger import CHANNELS, GRID, TINY, toy_images, write_toy

from hepjax import InputError
from hepjax.engine.input import for_devices
from hepjax.formats.images import SparseImages
from hepjax.workloads.tagger import data, objective
from hepjax.workloads.tagger.config import DataConfig
from hepjax.workloads.tagger.source import ImagesInMemory
from hepjax.workloads.tagger.workload import WORKLOAD

N = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy") / "packed", N)


@pytest.fixture(scope="module")
def raw_file(tmp_path_factory):
    """The same events as dense images in an npz file that names no channels."""
    path = tmp_path_factory.mktemp("toy") / "jets.npz"
    image, columns = toy_images(N)
    np.savez(path, X_jets=image, y=columns["label"], pt=columns["pt"], event=columns["event"])
    return path


def config(path, **changes):
    return replace(TINY, data=replace(TINY.data, files=(str(path),), **changes))


def images_of(cfg, source):
    raw = for_devices(source[np.arange(len(source))])
    return np.asarray(objective.prepare(cfg, WORKLOAD.spec(cfg, source), raw)["image"])


def test_packed_and_raw_files_give_the_same_images(folder, raw_file):
    packed = WORKLOAD.open(config(folder), [folder])
    raw = WORKLOAD.open(config(raw_file, stored_channels=CHANNELS), [raw_file])
    expected = toy_images(N)[0]
    assert [c.coarsening for c in packed.grid.channels] == [1, 1, 1, 5]
    np.testing.assert_array_equal(images_of(config(folder), packed), expected)
    np.testing.assert_array_equal(images_of(config(raw_file), raw), expected)
    np.testing.assert_array_equal(packed.column("label"), raw.column("label"))


@pytest.mark.parametrize("names", [("HCAL", "d0"), ("pT",), ("HCAL",)], ids="+".join)
def test_channels_are_chosen_by_name_and_order(folder, names):
    cfg = config(folder, channels=names)
    source = WORKLOAD.open(cfg, [folder])
    assert source.grid.names == names
    expected = toy_images(N)[0][..., [CHANNELS.index(name) for name in names]]
    np.testing.assert_array_equal(images_of(cfg, source), expected)


def test_the_signal_is_found_by_name(folder):
    label = toy_images(N)[1]["label"]
    cfg = config(folder, labels=("top", "qcd"), weights="balanced")
    source = WORKLOAD.open(cfg, [folder])
    assert source.labels == {0: "top", 1: "qcd"}
    np.testing.assert_array_equal(source.column("label"), 1 - label)
    np.testing.assert_array_equal(source[np.arange(N)]["label"], 1 - label)
    train = WORKLOAD.sources(cfg).train
    batch = train[np.arange(len(train))]
    heavier = np.argmin(np.bincount(batch["label"]))
    assert batch["weight"][batch["label"] == heavier].min() > 1


def test_jets_of_one_collision_and_label_stay_together(folder):
    cfg = config(folder, fractions=(0.5, 0.25, 0.25))
    sources = WORKLOAD.sources(cfg)
    parts = [sources.train, sources.validation, sources.test]
    keys = [set(zip(p.column("event"), p.column("label"), strict=True)) for p in parts]
    assert sum(map(len, parts)) == N
    assert len(set.union(*keys)) == sum(map(len, keys))
    assert all(len(part) >= 5 for part in parts)


def test_turned_divisions_test_every_event_once(folder):
    tested = [
        WORKLOAD.sources(config(folder, fractions=(0.5, 0.25, 0.25), rotate=turn)).test
        for turn in (0.0, 0.25, 0.5, 0.75)
    ]
    found = np.concatenate([part.column("pt") for part in tested])
    np.testing.assert_array_equal(np.sort(found), np.sort(toy_images(N)[1]["pt"]))


def test_the_division_does_not_depend_on_the_order_of_the_files():
    columns = toy_images(N)[1]
    empty = SparseImages(np.zeros(N + 1, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.float32))
    share = data.split_share(ImagesInMemory(GRID, {}, empty, columns))
    order = np.random.default_rng(0).permutation(N)
    shuffled = {name: values[order] for name, values in columns.items()}
    again = data.split_share(ImagesInMemory(GRID, {}, empty, shuffled))
    np.testing.assert_array_equal(again, share[order])


def test_shares_are_uniform():
    events = np.arange(20_000)
    empty = SparseImages(np.zeros(20_001, np.int64), np.zeros(0, np.uint32), np.zeros(0))
    columns = {"label": events % 2, "event": events}
    share = data.split_share(ImagesInMemory(GRID, {}, empty, columns))
    found = np.histogram(share, 20, (0, 1))[0]
    assert ((found - 1000) ** 2 / 1000).sum() < 45  # chi2 of 19 degrees of freedom: p = 7e-4


def test_balanced_weights_make_the_classes_count_the_same():
    label = np.array([0] * 30 + [1] * 10)
    weight = data.weights(label, None)
    assert weight.mean() == pytest.approx(1)
    assert weight[label == 0].sum() == pytest.approx(weight[label == 1].sum())


def test_pt_flat_weights_make_the_spectra_the_same_and_flat():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 20_000)
    pt = np.where(label, rng.triangular(400, 400, 800, 20_000), rng.uniform(400, 800, 20_000))
    weight = data.weights(label, pt)
    for value in (0, 1):
        spectrum = np.histogram(pt[label == value], 8, (400, 800), weights=weight[label == value])
        # The last bins of the falling spectrum stay below, their weights being limited.
        np.testing.assert_allclose(spectrum[0][:7], 1250, rtol=0.1)


def test_weights_are_for_training_alone(folder):
    sources = WORKLOAD.sources(config(folder, weights="balanced"))
    weight = sources.train[np.arange(len(sources.train))]["weight"]
    assert len(np.unique(weight)) == 2
    assert set(sources.validation[np.arange(4)]["weight"]) == {1.0}


def test_training_events_have_what_the_update_needs_and_others_all_columns(folder):
    sources = WORKLOAD.sources(config(folder))
    image = {"cell", "value", "label", "weight"}
    assert set(sources.train[np.arange(3)]) == image
    for source in (sources.validation, WORKLOAD.open(config(folder), [folder])):
        events = source[np.arange(3)]
        assert set(events) == image | {"pt", "event"}
        assert events["event"].dtype == np.int64
        for name in ("label", "pt", "event"):
            np.testing.assert_array_equal(events[name], source.column(name)[:3])


def test_the_coarsening_of_a_source_is_a_fact_of_its_spec(folder, raw_file):
    cfg = config(folder, channels=("HCAL", "pT"))
    spec = WORKLOAD.spec(cfg, WORKLOAD.sources(cfg).train)
    assert spec.fact("coarsenings") == (5, 1)
    assert spec.names == ("cell", "value")
    assert hash(spec) == hash(WORKLOAD.spec(cfg, WORKLOAD.open(cfg, [folder])))
    cfg = config(raw_file, stored_channels=CHANNELS)
    assert WORKLOAD.spec(cfg, WORKLOAD.open(cfg, [raw_file])).fact("coarsenings") == (1, 1, 1, 1)


def test_resident_events_are_the_same_bits(folder, raw_file):
    subset = {"channels": ("HCAL", "pT"), "weights": "balanced"}
    for cfg in (config(folder, **subset), config(raw_file, stored_channels=CHANNELS, **subset)):
        source = WORKLOAD.sources(cfg).train
        arrays, take = source.resident()
        rows = np.array([3, 0, 11, 3])
        found = jax.jit(take)(jax.tree.map(jnp.asarray, arrays), rows)
        expected = source[rows]
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"channels": ("pT", "ECAL")}, r"expected channel ECAL .* found pT, d0, dz, HCAL"),
        ({"labels": ("quark", "top")}, r"set 'data.labels=\[qcd, top\]'"),
        ({"shape": (32, 32)}, r"set 'data.shape=\[20, 25\]'"),
        ({"fractions": (0.9, 0.0, 0.1)}, "share for validation"),
    ],
)
def test_what_does_not_fit_is_one_line(folder, changes, expected):
    with pytest.raises(InputError, match=expected) as error:
        WORKLOAD.sources(config(folder, **changes))
    assert "\n" not in str(error.value)


def test_a_class_without_events_is_an_error(tmp_path):
    image, columns = toy_images(24)
    path = tmp_path / "jets.npz"
    keep = columns["label"] == 0
    np.savez(path, X_jets=image[keep], y=columns["label"][keep], pt=columns["pt"][keep])
    with pytest.raises(InputError, match=r"none of label 1 \(top\) among .*; give more events, or"):
        WORKLOAD.sources(config(path, stored_channels=CHANNELS))


def test_the_third_party_jets_fall_into_parts(reference_data):
    cfg = DataConfig(
        files=(str(reference_data / "jets_top_qcd_sparse.parquet"),),
        stored_channels=("pT", "d0", "dz", "ECAL", "HCAL", "BPIX1", "BPIX2", "BPIX3"),
    )
    sources = WORKLOAD.sources(replace(TINY, data=cfg))
    assert (len(sources.train), len(sources.validation), len(sources.test)) == (9297, 1136, 1062)
    assert sources.train.grid.shape == (125, 125)
