"""The fits of the guide to inference find the strength that the events were made with."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from hepjax.simulate.mixture import toy

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "unfolding.md"
SAMPLES = ("signal", "background", "interference", "background_up", "background_down")


def exact(x):
    """The columns of ``hepjax predict`` with ratios that are exactly right."""
    logs, sign = toy.log_densities(x), toy.sign(x)
    draw = np.random.default_rng(1).normal(size=(400_000, 2)) * np.sqrt(2 * toy.BETWEEN)
    of_normalisation = toy.sign(draw + toy.CENTRE / (1 + toy.VARIANCE))
    between = logs["between"] - logs["reference"]
    columns = {name: logs[name] - logs["reference"] for name in ("signal", "background")}
    for name, way in (("interference", 1), ("interference_negative", -1)):
        share = np.maximum(way * of_normalisation, 0).mean()
        columns[name] = between + np.log(np.maximum(way * sign, 1e-30) / share)
    return {f"log_r_{name}": values for name, values in columns.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Samples, and tables of their ratios."""
    folder = tmp_path_factory.mktemp("fits")
    toy.write_mixture(folder / "data" / "mixture", 20_000, 3)
    for name in SAMPLES:
        made = np.load(folder / "data" / "mixture" / f"{name}.npz")
        columns = exact(np.stack([made["sim_x0"], made["sim_x1"]], axis=1))
        parquet.write_table(pa.table(columns), folder / f"ratios-{name}.parquet")
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pyhf reads a version as of old
@pytest.mark.parametrize(("number", "package", "width"), [(0, "iminuit", 0.15), (1, "pyhf", 0.25)])
def test_fits_find_the_strength(folder, number, package, width, monkeypatch, capsys):
    pytest.importorskip(package)
    monkeypatch.chdir(folder)
    page = GUIDE.read_text().partition("### A fit of your own")[2]
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[number]
    exec(compile(code, GUIDE.name, "exec"), {})
    printed = re.findall(r"\d+\.\d+", capsys.readouterr().out)
    strength, *errors = (float(number) for number in printed)
    assert strength == pytest.approx(1, abs=0.05)
    assert all(0.7 * width < error < 1.3 * width for error in errors)
