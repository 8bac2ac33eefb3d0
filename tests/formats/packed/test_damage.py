"""Packed sets that were damaged, interrupted or made elsewhere: what may not be read is refused."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.packed_sets import GRID, LABELS, batch

from hepjax import InputError
from hepjax.formats.packed import shard
from hepjax.formats.packed.manifest import read_manifest, seal
from hepjax.formats.packed.reader import open_packed
from hepjax.formats.packed.shard_writer import write_shard


def _read_all(folder):
    source = open_packed(folder)
    return source[np.arange(len(source))]


@pytest.mark.parametrize("share", np.linspace(0, 1, 15, endpoint=False))
def test_a_flipped_bit_of_a_shard_is_found(packed, share):
    path = packed / "shard-00001.parquet"
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1 << int(8 * share)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"shard-00001\.parquet: expected the checksum"):
        _read_all(packed)
    with pytest.raises(InputError, match=r"shard-00001\.parquet: expected the checksum"):
        open_packed(packed).column("label")


def test_a_flipped_bit_of_the_manifest_is_found(packed):
    path = packed / "manifest.json"
    whole, before = path.read_bytes(), read_manifest(packed)
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        if whole[at] in b" \n":
            continue  # white space means nothing
        with pytest.raises(InputError, match=r"manifest\.json: expected"):
            read_manifest(packed)
    path.write_bytes(whole)
    assert read_manifest(packed) == before


def test_a_page_that_rots_after_the_check_is_found(packed, monkeypatch):
    source = open_packed(packed)
    source[np.arange(20)]
    path = packed / "shard-00001.parquet"
    entry = pq.read_metadata(path).row_group(0).column(1)
    file = source._files[1]
    file.reader()
    content = bytearray(path.read_bytes())
    content[entry.data_page_offset + entry.total_compressed_size - 9] ^= 4
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"shard-00001\.parquet: expected sound Parquet data"):
        source[np.array([25])]


def test_missing_and_shortened_shards_are_found_at_once(packed):
    path = packed / "shard-00001.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"shard-00001\.parquet: expected a shard of \d+ bytes"):
        open_packed(packed)
    path.unlink()
    with pytest.raises(InputError, match=r"shard-00001\.parquet: expected a shard, found No such"):
        open_packed(packed)


def resealed(path, change):
    """Change the content of a manifest and make its checksum anew."""
    content = json.loads(path.read_text())
    content.pop("sha256")
    change(content)
    path.write_text(json.dumps(content | {"sha256": seal(content)}))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["shards"][0].update(file={}),
        lambda m: m["shards"][0].update(file="../set/shard-00000.parquet"),
        lambda m: m["shards"][0].update(events=-20),
        lambda m: m["shards"][0].update(bytes="many"),
        lambda m: m["shards"][0].update(coarsening=[0, 1, 1]),
        lambda m: m["shards"][0].update(label_events=[1]),
        lambda m: m["shards"].clear(),
        lambda m: m.update(largest=None),
        lambda m: m.update(largest=10**30),
        lambda m: m["meaning"]["grid"].update(shape=[]),
        lambda m: m["meaning"]["grid"].update(shape=[10, -15]),
        lambda m: m["meaning"]["grid"].update(channels=[]),
        lambda m: m["meaning"]["grid"]["channels"][0].update(coarsening=7),
        lambda m: m["meaning"]["grid"]["channels"][0].update(name=5),
        lambda m: m["meaning"].update(columns={"label": "no type"}),
        lambda m: m["meaning"].update(columns={"label": "O"}),
        lambda m: m["meaning"].update(labels=[1, 2]),
        lambda m: m["meaning"].update(units=None),
    ],
)
def test_a_manifest_of_other_values_with_a_right_checksum(packed, change):
    path = packed / "manifest.json"
    resealed(path, lambda content: None)
    read_manifest(packed)
    resealed(path, change)
    with pytest.raises(InputError, match=r"manifest\.json: expected a sound manifest, found"):
        read_manifest(packed)


def test_a_manifest_of_other_pixels_than_its_shards(packed):
    resealed(packed / "manifest.json", lambda m: m["meaning"]["grid"].update(shape=[10, 15, 5]))
    with pytest.raises(InputError, match=r"expected images of \(10, 15, 5\) pixels .* as the man"):
        _read_all(packed)


def test_no_set_is_not_an_interrupted_one(tmp_path):
    with pytest.raises(InputError, match="none: expected a file or folder, found none"):
        open_packed(tmp_path / "none")


def test_a_set_without_manifest_was_interrupted(packed):
    (packed / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"found none; interrupted\? run again: hepjax pack"):
        open_packed(packed)


def test_a_set_of_another_version_is_refused(packed):
    path = packed / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "packed 9"}))
    with pytest.raises(InputError, match="expected 'hepjax packed images 1', found 'packed 9'"):
        open_packed(packed)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda i: replace(i, cell=i.cell[::-1]), "ascending order"),
        (lambda i: replace(i, cell=i.cell + np.uint32(200)), r"cells 0 to 449, found \d+"),
        (lambda i: replace(i, value=i.value * np.float32(np.nan)), "finite values, found nan"),
    ],
)
def test_a_shard_made_elsewhere_is_checked_as_well(tmp_path, change, text):
    images, columns = batch(5)
    with pytest.raises(InputError, match=rf"shard-0.*{text}"):
        write_shard(tmp_path / "shard-0.parquet", change(images), columns, GRID, LABELS, {})
    assert list(tmp_path.iterdir()) == []


def test_lists_of_different_lengths_are_refused(tmp_path):
    images, columns = batch(5)
    path = tmp_path / "shard.parquet"
    write_shard(path, images, columns, GRID, LABELS, {})
    table = pq.read_table(path)
    other = table.column("value").combine_chunks().take([1, 0, 2, 3, 4])
    field = table.schema.field("value")
    pq.write_table(table.set_column(1, field, other.cast(field.type)), path)
    with pytest.raises(InputError, match="another number of values than of cells"):
        shard.describe_shard(path)
