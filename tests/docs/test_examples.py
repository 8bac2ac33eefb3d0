"""The examples of the guide to own data make files that the readers take."""

import re
from pathlib import Path

import numpy as np

from hepjax.formats.packed.reader import open_packed
from hepjax.formats.particleflow.reader import open_events
from hepjax.formats.showers.reader import open_showers

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "own-data.md"


def test_the_examples_of_own_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for code in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        exec(compile(code, GUIDE.name, "exec"), {})
    showers = open_showers("data/mine")
    assert showers[np.arange(2)]["ecal"].shape == (2, 25, 25, 25)
    assert len(open_packed([Path("data/mine-jets")])) == 100
    assert len(open_events([Path("data/mine.h5")], buckets=[8])) == 2
