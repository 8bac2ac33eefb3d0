"""The reference leaves nothing out: variables, extras, configurations, families of scores."""

import re
import tomllib
from pathlib import Path

from hepjax.physics.calorimeter.comparison import FAMILIES
from hepjax.workloads.table import OWN

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def named(word: str, page: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", (REFERENCE / page).read_text()) is not None


def test_every_environment_variable_has_a_row():
    files = [*(ROOT / "hepjax").rglob("*.py"), *(ROOT / "launch").glob("*.s*")]
    text = "".join(file.read_text() for file in files)
    variables = set(re.findall(r"""["'](HEPJAX_\w+)["']""", text))
    variables |= set(re.findall(r"\$\{(HEPJAX_\w+)", text))
    assert not [name for name in sorted(variables) if not named(name, "environment.md")]


def test_every_extra_has_a_row():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert not [name for name in extras if not named(name, "environment.md")]


def test_every_packaged_configuration_is_described():
    paths = set((ROOT / "configs").glob("*/*.yaml"))
    calorimeters = {path for path in paths if path.parent.name == "calorimeters"}
    names = [f"{path.parent.name}/{path.stem}" for path in paths - calorimeters]
    assert not [name for name in names if not named(name, "models.md")]
    assert not [p.stem for p in calorimeters if not named(p.stem, "calorimeters.md")]


def test_every_workload_has_a_page_in_the_list():
    folder = ROOT / "docs" / "workloads"
    rows = re.findall(r"^\| \[(.*?)\]\(([\w-]+\.md)\)", (folder / "README.md").read_text(), re.M)
    listed = [name for names, _ in rows for name in re.findall(r"`(\w+)`", names)]
    assert sorted(listed) == sorted(OWN)
    assert not [page for _, page in rows if not (folder / page).is_file()]


def test_every_family_of_shower_scores_has_a_row():
    assert not [name for name in FAMILIES if not named(name, "records.md")]
