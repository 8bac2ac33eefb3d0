"""A tiny run of the 3DGAN that several tests of the commands share."""

from pathlib import Path

import pytest
import yaml
from helpers.gan3d import TINY, raw_showers

from hepjax.cli import main
from hepjax.engine.settings import to_settings
from hepjax.formats.showers.writer import write_showers


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory) -> Path:
    """A configuration of the tiny 3DGAN on 40 showers in two files."""
    folder = tmp_path_factory.mktemp("tiny")
    write_showers(folder / "data", [raw_showers(40)], layout="fixed", events_per_file=20)
    settings = {"workload": "gan3d"} | to_settings(TINY)
    settings["data"]["files"] = [str(folder / "data")]
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture(scope="session")
def tiny_run(tiny_config, tmp_path_factory) -> Path:
    """The finished run of that configuration."""
    run = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", str(tiny_config), "--run", str(run), "--quiet"]) == 0
    return run
