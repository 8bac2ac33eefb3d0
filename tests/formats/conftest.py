"""What several tests of packed sets begin with."""

import pytest
from helpers.packed_sets import GRID, LABELS, batch

from hepjax.formats.packed.writer import write_packed


@pytest.fixture
def blocks_of_8(monkeypatch):
    """Small blocks, so that a small set has many."""
    for module in ("reader", "shard", "shard_writer"):
        monkeypatch.setattr(f"hepjax.formats.packed.{module}.BLOCK_EVENTS", 8)


@pytest.fixture
def packed(tmp_path):
    return write_packed(tmp_path / "set", [batch(30)], GRID, LABELS, events_per_shard=20)
