"""Benchmarks small enough for tests, and one of them done."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.tagger import write_toy

from hepjax.bench import data, definition
from hepjax.cli import main
from hepjax.simulate import fixed

TINY = {
    "mlpf": (
        "model={layers: 1, width: 8, head_width: 16, bin_size: 16, max_bins: 16, "
        "distance_hidden: 8, distance_dim: 4, published_slips: true}",
        "data.buckets=[64]",
        "optimizer.learning_rate=3e-3",
    ),
    "gan3d": (
        "model={latent: 4, generator: [{dense: [5, 5, 5, 1], norm: true}, "
        "{upsample: [5, 5, 5], filters: 1, kernel: [3, 3, 3], activation: relu}], "
        "discriminator: [{filters: 2, kernel: [3, 3, 3], activation: leaky, norm: true, "
        "pool: [5, 5, 5]}]}",
    ),
    "tagger": ("data.shape=[20, 25]", "data.channels=[pT, HCAL]"),
}


@pytest.fixture(autouse=True, scope="session")
def tiny_benchmarks():
    """The three benchmarks with tiny networks; events for particle flow without pile-up."""
    published = definition.benchmark

    def tiny(name):
        return replace(published(name), overrides=TINY[name])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(definition, "benchmark", tiny)
        patch.setattr(fixed, "PILEUP", 0.0)
        yield


@pytest.fixture(scope="session")
def event_set(tiny_benchmarks, tmp_path_factory) -> Path:
    """A set of 11 training events for particle flow, as the command makes it."""
    return data.prepare("mlpf", 11, tmp_path_factory.mktemp("data"), quiet=True)


@pytest.fixture(scope="session")
def tagger_bench(tiny_benchmarks, tmp_path_factory) -> tuple[Path, Path, dict]:
    """The smallest benchmark on jets of the user: jets, folder of the report, report."""
    folder = tmp_path_factory.mktemp("bench")
    jets, out = write_toy(folder / "jets", 80), folder / "out"
    words = ["bench", "tagger", "--data", str(jets), "--batch-size", "16", "--epochs", "2"]
    assert main([*words, "--devices", "1", "--out", str(out), "--quiet"]) == 0
    return jets, out, json.loads((out / "tagger_summary.json").read_text())
