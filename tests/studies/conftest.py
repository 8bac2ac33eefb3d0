"""The toy workload as one of the table, in this process and in commands that a test starts."""

import os
import sys
from pathlib import Path

import pytest
from helpers.toy import in_the_table

ROOT = Path(__file__).parents[2]


@pytest.fixture
def toy_config(tmp_path, monkeypatch) -> Path:
    """A configuration of four epochs of the toy workload."""
    in_the_table(monkeypatch)
    path = tmp_path / "toy.yaml"
    path.write_text("workload: toy\ntrain: {epochs: 4, record_every: 2}\n")
    return path


@pytest.fixture
def toy_space(tmp_path) -> Path:
    """A space of one setting of the toy workload."""
    path = tmp_path / "space.yaml"
    path.write_text("noise: {low: 0.001, high: 2.0, log: true}\n")
    return path


@pytest.fixture
def toy_environment(tmp_path) -> dict[str, str]:
    """Environment in which ``python -m hepjax`` knows the toy workload."""
    site = tmp_path / "site"
    about = site / "hepjax_toy-0.1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hepjax-toy\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[hepjax.workloads]\ntoy = helpers.toy:TOY\n")
    paths = [str(site), str(ROOT / "tests"), str(ROOT), *filter(None, sys.path)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu"}
