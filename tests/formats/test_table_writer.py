"""Tables appear whole or not at all, with what made them in their metadata."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from hepjax import InputError
from hepjax.formats.table_writer import write_table


def pieces(*sizes: int):
    start = 0
    for n in sizes:
        yield {"score": np.linspace(0, 1, n), "index": np.arange(start, start + n)}
        start += n


def test_pieces_follow_one_another(tmp_path):
    assert write_table(tmp_path / "a.parquet", pieces(3, 0, 2), {"run": "runs/a"}) == 5
    table = pq.read_table(tmp_path / "a.parquet")
    assert table["index"].to_pylist() == [0, 1, 2, 3, 4]
    assert table.schema.metadata[b"hepjax.run"] == b"runs/a"
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def test_an_error_on_the_way_keeps_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a.parquet").write_text("old")

    def failing():
        yield from pieces(3)
        raise InputError("damaged")

    with pytest.raises(InputError, match="damaged"):
        write_table(tmp_path / "a.parquet", failing(), {})
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_no_rows_and_no_folder_are_told(tmp_path):
    with pytest.raises(InputError, match="expected events to write about, found none"):
        write_table(tmp_path / "a.parquet", pieces(), {})
    with pytest.raises(InputError, match="expected to write it"):
        write_table(tmp_path / "none" / "a.parquet", pieces(1), {})
    assert list(tmp_path.iterdir()) == []
