"""Damaged jet files: cut short, with flipped bits, with sizes that no memory would hold.

Where a checksum guards the numbers they come back right or not at all; where none does, damage may
change a number but neither crash nor change the shape.
"""

import gzip
import re
import struct

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.jet_files import GRID, assert_same, jets, read_all
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.speed import legacy_layouts as legacy
from hepjax import InputError
from hepjax.formats.tfrecord import _masked_crc, parse_example, read_records

MADE = jets()


def checked_parquet(path, *made):
    """The nested layout with page checksums."""
    table = pq.read_table(legacy.write_nested_parquet(path, *made))
    pq.write_table(table, path, row_group_size=4, write_page_checksum=True)
    return path


WRITERS = {
    "nested": legacy.write_nested_parquet,
    "checked parquet": checked_parquet,
    "flat": legacy.write_flat_parquet,
    "hdf5": legacy.write_hdf5,
    "npz": legacy.write_npz,
    "tfrecord": legacy.write_tfrecord,
    "tfrecord plain": lambda *a: legacy.write_tfrecord(*a, compress=False),
}
CHECKED = {"checked parquet", "npz", "tfrecord", "tfrecord plain"}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Bytes of a sound file by layout."""
    folder = tmp_path_factory.mktemp("pristine")
    return {
        name: write(folder / "a.npz", *MADE, GRID).read_bytes() for name, write in WRITERS.items()
    }


@pytest.mark.parametrize("layout", WRITERS)
def test_truncated_files_never_read_as_good(tmp_path, pristine, layout):
    """But for a plain TFRecord cut between two records, which is a shorter sound file."""
    whole = pristine[layout]
    path = tmp_path / "cut.npz"
    for length in np.linspace(0, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"^\S*cut\.npz: expected [^\n]*$"):
            read_all(path)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    layout=st.sampled_from(list(WRITERS)),
    where=st.floats(0, 1),
    bit=st.integers(0, 7),
    zeros=st.sampled_from([0, 0, 0, 8, 64]),
)
def test_changed_bytes_are_an_error_or_leave_the_shape_alone(
    tmp_path, pristine, layout, where, bit, zeros
):
    damaged = bytearray(pristine[layout])
    at = int(where * (len(damaged) - 1))
    damaged[at] ^= 1 << bit
    damaged[at + 1 : at + 1 + zeros] = bytes(len(damaged[at + 1 : at + 1 + zeros]))
    path = tmp_path / "changed.npz"
    path.write_bytes(damaged)
    try:
        read = read_all(path)
    except InputError as error:
        assert re.fullmatch(rf"{path}: expected [^\n]+", str(error))  # noqa: PT017
        return
    assert len(read[0]) == 20
    assert np.isfinite(read[0].value).all()
    if layout in CHECKED:
        np.testing.assert_array_equal(read[0].cell, MADE[0].cell)
        np.testing.assert_array_equal(read[0].value, MADE[0].value)


@settings(max_examples=100)
@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_an_example_or_a_value_error(data):
    try:
        parse_example(data)
    except ValueError:
        return


def test_checksums_of_records(tmp_path, pristine):
    whole = pristine["tfrecord plain"]
    record = len(whole) // 20
    path = tmp_path / "a"
    for at, message in (
        (2 * record + 3, "wrong checksum of the length in record 2"),
        (2 * record + 40, "wrong checksum of the data in record 2"),
    ):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=f"found a {message}; copy it again"):
            list(read_records(path))
    path.write_bytes(whole[: record + 50])
    with pytest.raises(InputError, match="found the end of the file in record 1"):
        list(read_records(path))


def test_a_known_checksum():
    """The record that TensorFlow writes for b"abc" (CRC-32C 0x364B3FB7, masked)."""
    assert _masked_crc(b"abc") == ((0x364B3FB7 >> 15 | 0x364B3FB7 << 17) + 0xA282EAD8) % 2**32


def test_records_of_absurd_length_are_refused_before_reading(tmp_path):
    length = struct.pack("<Q", 2**50)
    head = length + struct.pack("<I", _masked_crc(length))
    with gzip.open(tmp_path / "a", "wb") as file:
        file.write(head + bytes(100))
    with pytest.raises(InputError, match="at most 67108864 bytes, found 1125899906842624 in rec"):
        read_all(tmp_path / "a")


def test_a_file_that_inflates_without_end_stops_at_its_first_record(tmp_path):
    """40 MB of zeros in 40 kB: the first length has no sound checksum."""
    (tmp_path / "a").write_bytes(gzip.compress(bytes(40_000_000)))
    with pytest.raises(InputError, match="wrong checksum of the length in record 0"):
        read_all(tmp_path / "a")


def test_columns_cut_to_another_number_of_events(tmp_path):
    """Two halves of different files put together, as a broken copy may leave them."""
    images, columns = MADE
    path = legacy.write_nested_parquet(tmp_path / "a", images, columns, GRID)
    assert_same(read_all(path), MADE)
    short = legacy.write_nested_parquet(tmp_path / "b", *jets(19), GRID)
    path.write_bytes(path.read_bytes()[:-2000] + short.read_bytes()[-2000:])
    with pytest.raises(InputError, match=r"a: expected sound Parquet data, found them damaged"):
        read_all(path)
