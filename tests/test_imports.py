"""The house: who may import whom, downwards only."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hepjax"
LEAVES = {"errors", "progress", "__init__"}
WORKLOADS = {"gan3d", "mlpf", "tagger"}
ENGINE_FOR_WORKLOADS = {f"engine.{name}" for name in ("workload", "config", "mesh", "gradient")}
MAY_IMPORT = {
    "cli": {"run", "workloads", "bench", "simulate", "formats", "engine", "report", "cli"},
    "run": {"workloads", "engine"},
    "workloads": {"engine", *WORKLOADS},
    "engine": {"engine", "ops", "formats"},
    "bench": {"bench", "workloads", "engine", "simulate", "formats"},
    "simulate": {"simulate", "ops", "formats"},
    "formats": {"formats"},
    "ops": {"ops"},
    "report": {"report"},
} | {name: {name, "ops", "formats", "report", *ENGINE_FOR_WORKLOADS} for name in WORKLOADS}


def imports(path: Path):
    """Modules of hepjax that a file imports, as dotted names below the package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.removeprefix("hepjax.") for name in names if name.startswith("hepjax."))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.name))
def test_imports_point_downwards(path):
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if room in LEAVES or room == "__main__":
        return
    allowed = MAY_IMPORT[room] | LEAVES | {"__version__"}
    for name in imports(path):
        parts = name.split(".")
        prefixes = {".".join(parts[: i + 1]) for i in range(len(parts))}
        assert prefixes & allowed, f"{path.name} imports hepjax.{name}"


def test_each_workload_is_in_the_table():
    from hepjax import workloads

    assert set(workloads.NAMES) == WORKLOADS
    for name in workloads.NAMES:
        assert workloads.get(name).name == name
