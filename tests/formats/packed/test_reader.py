"""Packed sets: bit for bit what was written, and never silently anything else."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import hypothesis.extra.numpy as arrays
import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.packed_sets import GRID, LABELS, batch, bits, dense_of, jets
from hypothesis import given, settings
from hypothesis import strategies as st

from hepjax import InputError
from hepjax.formats.coarse import coarsen, common_grid, expand
from hepjax.formats.images import Channel, Grid, SparseImages, densify, sparsify
from hepjax.formats.packed.manifest import read_manifest
from hepjax.formats.packed.reader import open_packed
from hepjax.formats.packed.writer import write_packed

SMALL = Grid((5, 5), (Channel("d0", "cm"), Channel("HCAL", "GeV")))


def coarsenings(grid):
    return [channel.coarsening for channel in grid.channels]


@settings(max_examples=30)
@given(
    dense=arrays.arrays(
        np.float32, st.tuples(st.integers(1, 6), st.just(5), st.just(5), st.just(2)),
        elements=st.sampled_from([0.0, 0.0, 0.0, -0.0, 1.5, -2.5, 1e-40, -1e-45, 3e38]),
    ),
    events_per_shard=st.integers(1, 4),
    empty=st.booleans(),
)  # fmt: skip
def test_images_come_back_bit_for_bit(tmp_path_factory, dense, events_per_shard, empty):
    if empty:
        dense[0] = 0
    n = len(dense)
    columns = {"label": np.arange(n, dtype=np.int32) % 2, "x": np.arange(n) / 7}
    folder = write_packed(
        tmp_path_factory.mktemp("set"), [(sparsify(dense, SMALL), columns)], SMALL, LABELS,
        events_per_shard=events_per_shard,
    )  # fmt: skip
    source = open_packed(folder)
    order = np.random.default_rng(0).permutation(n)
    raw = source[order]
    assert np.array_equal(bits(dense_of(raw, source.grid)), bits(dense[order]))
    assert np.array_equal(raw["label"], columns["label"][order])
    assert np.array_equal(raw["x"], columns["x"][order])
    assert raw["x"].dtype == np.float64


def test_every_batch_has_one_width_and_is_padded_outside_the_grid(tmp_path, blocks_of_8):
    images, columns = batch(50)
    source = open_packed(write_packed(tmp_path / "set", [(images, columns)], GRID, LABELS))
    raw = source[np.array([3, 49, 3])]
    assert source.width == raw["cell"].shape[1] == 128
    assert raw["cell"].dtype == np.int32
    assert raw["value"].dtype == np.float32
    padding = raw["cell"] == source.grid.size
    assert np.array_equal(raw["value"][padding], np.zeros(padding.sum()))
    assert len(source.blocks) == 8
    assert source.labels == LABELS
    assert source.columns == ("label", "pt", "event")


def test_towers_are_stored_once_and_pixels_are_not(tmp_path):
    images, columns = batch(40)
    folder = write_packed(tmp_path / "set", [(images, columns)], GRID, LABELS)
    source = open_packed(folder)
    assert coarsenings(source.grid) == [1, 1, 5]
    fine = np.searchsorted(images.cell, 2 * 150) and int((images.cell < 300).sum())
    towers = int((images.cell >= 300).sum()) // 25
    assert read_manifest(folder).shards[0].cells == fine + towers
    assert np.array_equal(dense_of(source[np.arange(40)], source.grid), jets(40)[0])


@pytest.mark.parametrize("value", [2.0, -0.0, 0.0])
def test_one_other_pixel_keeps_a_channel_fine(value):
    dense = jets(40)[0]
    event, row, column = np.argwhere(dense[..., 2])[0]
    dense[event, row, column, 2] = value
    images = sparsify(dense, GRID)
    coarse, grid = coarsen(images, GRID)
    assert coarsenings(grid) == [1, 1, 1]
    assert np.array_equal(bits(densify(coarse, grid)), bits(dense))


def test_the_coarsest_blocks_win_and_other_grids_expand():
    grid = Grid((30, 30), (Channel("HCAL", "GeV"), Channel("pT", "GeV")))
    dense = np.zeros((2, 30, 30, 2), np.float32)
    dense[1, 15:, :15, 0], dense[0, 2, 3, 1] = 4, 1
    images = sparsify(dense, grid)
    coarse, found = coarsen(images, grid)
    assert coarsenings(found) == [15, 1]
    assert len(coarse.cell) == 2
    threes = Grid((30, 30), (Channel("HCAL", "GeV", 3), Channel("pT", "GeV", 5)))
    common = common_grid([found, threes])
    assert coarsenings(common) == [3, 1]
    assert np.array_equal(densify(expand(coarse, found, common), common), dense)


def test_shards_of_other_granularity_read_as_one_set(tmp_path):
    pieces = [batch(20, seed=0, tower=5), batch(20, seed=1, tower=1)]
    folder = write_packed(tmp_path / "set", pieces, GRID, LABELS, events_per_shard=20)
    manifest, source = read_manifest(folder), open_packed(folder)
    assert [shard.coarsening for shard in manifest.shards] == [(1, 1, 5), (1, 1, 1)]
    assert coarsenings(source.grid) == [1, 1, 1]
    dense = np.concatenate([jets(20, 0, 5)[0], jets(20, 1, 1)[0]])
    assert np.array_equal(dense_of(source[np.arange(40)], source.grid), dense)
    assert manifest.largest == (dense != 0).sum((1, 2, 3)).max()


def test_several_sets_are_one_source(tmp_path):
    a = write_packed(tmp_path / "a", [batch(20, 0, 5)], GRID, {0: "qcd", 1: "top"})
    b = write_packed(tmp_path / "b", [batch(20, 1, 1)], GRID, {0: "qcd", 1: "top", 2: "w"})
    source = open_packed([a, b])
    assert source.labels == {0: "qcd", 1: "top", 2: "w"}
    dense = np.concatenate([jets(20, 0, 5)[0], jets(20, 1, 1)[0]])
    assert np.array_equal(dense_of(source[np.arange(40)], source.grid), dense)
    other = write_packed(tmp_path / "other", [batch(5)], GRID, {0: "top", 1: "qcd"})
    with pytest.raises(InputError, match="other: expected label 0 to mean 'qcd'"):
        open_packed([a, other])
    images, columns = batch(5)
    few = write_packed(tmp_path / "few", [(images, {"label": columns["label"]})], GRID, LABELS)
    with pytest.raises(InputError, match="few: expected the columns of the first set"):
        open_packed([a, few])


@pytest.mark.parametrize("towers", [(5, 5), (5, 1)])
def test_resident_events_are_those_that_stream(tmp_path, blocks_of_8, towers):
    pieces = [batch(20, 0, towers[0]), batch(20, 1, towers[1])]
    empty = SparseImages(np.zeros(3, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.float32))
    pieces.append((empty, {k: v[:2] for k, v in pieces[0][1].items()}))
    folder = write_packed(tmp_path / "set", pieces, GRID, LABELS, events_per_shard=20)
    source = open_packed(folder)
    resident, take = source.resident()
    indices = np.array([41, 0, 40, 7, 19, 20, 7], np.int32)
    streamed, taken = source[indices], jax.jit(take)(resident, indices)
    assert set(taken) == set(streamed)
    for name, values in streamed.items():
        assert np.array_equal(np.asarray(taken[name]), values)


def test_columns_are_read_without_images_and_by_anyone(tmp_path, blocks_of_8):
    images, columns = batch(30)
    folder = write_packed(
        tmp_path / "set", [(images, columns)], GRID, LABELS, events_per_shard=20,
        units={"pt": "GeV", "absent": "cm"},
    )  # fmt: skip
    source = open_packed(folder)
    assert np.array_equal(source.column("pt"), columns["pt"])
    assert source.column("label").dtype == np.int32
    assert source.units == {"pt": "GeV"}
    with pytest.raises(InputError, match="expected a column 'mass', found label, pt, event"):
        source.column("mass")
    table = pq.read_table(folder / "shard-00001.parquet")
    assert table.column("event").to_pylist() == list(range(20, 30))
    assert [len(cells) for cells in table.column("cell").to_pylist()] == [
        len(values) for values in table.column("value").to_pylist()
    ]


def test_the_same_events_give_the_same_bytes(tmp_path):
    images, columns = batch(40)
    halves = []
    for part in (slice(0, 13), slice(13, 40)):
        first = images.first[part.start : part.stop + 1]
        inside = slice(first[0], first[-1])
        some = SparseImages(first - first[0], images.cell[inside], images.value[inside])
        halves.append((some, {k: v[part] for k, v in columns.items()}))
    a = write_packed(tmp_path / "a", [(images, columns)], GRID, LABELS, events_per_shard=16)
    b = write_packed(tmp_path / "b", halves, GRID, LABELS, events_per_shard=16)
    names = sorted(path.name for path in a.iterdir())
    assert names == ["manifest.json", *(f"shard-0000{k}.parquet" for k in range(3))]
    assert [(a / n).read_bytes() for n in names] == [(b / n).read_bytes() for n in names]


def test_threads_and_processes_share_a_source(tmp_path, blocks_of_8):
    source = open_packed(write_packed(tmp_path / "set", [batch(60)], GRID, LABELS), cache_bytes=1)
    copy = pickle.loads(pickle.dumps(source))
    rng = np.random.default_rng(0)
    chosen = [rng.permutation(60)[:20] for _ in range(20)]
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(copy.__getitem__, chosen))
    for indices, raw in zip(chosen, read, strict=True):
        assert np.array_equal(raw["event"], indices)
        assert np.array_equal(raw["value"], source[indices]["value"])
    with pytest.raises(IndexError):
        source[np.array([60])]


# What may not be written.


def _with_value(value):
    images, columns = batch(10)
    values = images.value.copy()
    values[images.first[7] + 1] = value
    return replace(images, value=values), columns


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_by_event_and_channel(tmp_path, value):
    with pytest.raises(
        InputError, match=rf"set: expected finite values, found {value} in event 27"
    ):
        write_packed(tmp_path / "set", [batch(20), _with_value(value)], GRID, LABELS)
    assert list((tmp_path / "set").iterdir()) == []


def test_what_cannot_be_an_image_or_column_is_refused(tmp_path):
    images, columns = batch(10)
    label = columns["label"].copy()
    label[4] = 7
    cells = images.cell.copy()
    cells[-1] = GRID.size
    refused = {
        "found 7 in event 4; give its meaning": (images, columns | {"label": label}),
        "one number an event in column 'pt'": (images, columns | {"pt": np.zeros((10, 2))}),
        "another name of the column 'value'": (images, columns | {"value": columns["pt"]}),
        "expected cells 0 to 449, found 450 in event 9": (replace(images, cell=cells), columns),
        "ascending order, found others in event 0": (
            replace(images, cell=images.cell[::-1]), columns,
        ),
        "expected as many values as cells": (replace(images, value=images.value[:-1]), columns),
        "expected at least one event": (replace(images, first=np.zeros(1, np.int64)), columns),
    }  # fmt: skip
    for number, (text, piece) in enumerate(refused.items()):
        if "at least one" in text:
            piece = []
        with pytest.raises(InputError, match=text):
            write_packed(tmp_path / str(number), [piece] if piece else [], GRID, LABELS)
    with pytest.raises(InputError, match="columns: expected"):
        write_packed(
            tmp_path / "set", [batch(3), (images, {"label": columns["label"]})], GRID, LABELS
        )


def test_a_folder_that_holds_a_set_is_not_written_to(tmp_path):
    write_packed(tmp_path, [batch(3)], GRID, LABELS)
    with pytest.raises(InputError, match="expected a folder without Parquet files"):
        write_packed(tmp_path, [batch(3)], GRID, LABELS)
