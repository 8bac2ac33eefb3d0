"""Benchmarks small enough for tests, and one of them done."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hepjax.bench import data, definition
from hepjax.cli import main

TINY = {
    "mlpf": (
        "model={layers: 1, width: 8, head_width: 16, bin_size: 16, max_bins: 16, "
        "distance_hidden: 8, distance_dim: 4, published_slips: true}",
        "data.buckets=[64]",
        "optimizer.learning_rate=3e-3",
    ),
    "gan3d": (
        "model={latent: 4, seed_channels: 1, generator_filters: [2, 2, 2], "
        "discriminator_filters: [2, 2, 2, 2], discriminator_kernel: 3, discriminator_pool: 2}",
    ),
    "tagger": ("data.shape=[20, 25]", "data.channels=[pT, HCAL]"),
}


@pytest.fixture(autouse=True, scope="session")
def tiny_benchmarks():
    """The three benchmarks with tiny networks; events for particle flow without pile-up."""
    with pytest.MonkeyPatch.context() as patch:
        for name, overrides in TINY.items():
            tiny = replace(definition.BENCHMARKS[name], overrides=overrides)
            patch.setitem(definition.BENCHMARKS, name, tiny)
        patch.setattr(data, "PILEUP", 0.0)
        yield


@pytest.fixture(scope="session")
def mlpf_bench(tiny_benchmarks, tmp_path_factory) -> tuple[Path, dict]:
    """Folder and report of the smallest benchmark."""
    out = tmp_path_factory.mktemp("bench")
    words = ["bench", "mlpf", "--events", "11", "--batch-size", "4", "--epochs", "3"]
    assert main([*words, "--devices", "1", "--out", str(out), "--quiet"]) == 0
    return out, json.loads((out / "mlpf_summary.json").read_text())
