"""The house: who may import whom, downwards only, held by rules about rooms."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hepjax"
FILES = sorted(PACKAGE.rglob("*.py"))
MAY_IMPORT = {
    "cli": [
        "cli",
        "export",
        "run",
        "workloads",
        "bench",
        "studies",
        "serve",
        "physics",
        "engine",
        "formats",
        "simulate",
        "report",
        "ops",
    ],
    "run": ["workloads", "engine", "formats", "report"],
    "studies": [
        "studies",
        "run",
        "workloads",
        "physics",
        "engine",
        "formats",
        "simulate",
        "report",
    ],
    "export": ["export", "run", "workloads", "engine", "formats", "ops"],
    "bench": ["bench", "export", "run", "workloads", "engine", "formats", "simulate"],
    "serve": ["serve", "run", "engine"],
    "workloads": ["workloads", "physics", "nn", "engine", "formats", "report", "ops"],
    "physics": ["physics", "formats", "report", "ops"],
    "nn": ["nn", "ops"],
    "engine": ["engine", "formats", "ops"],
    "simulate": ["simulate", "formats", "ops"],
    "formats": ["formats"],
    "report": ["report", "formats"],
    "ops": ["ops"],
}
"""Rooms of the package, each with those that its files may import; the errors are above all."""


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


def parts(path: Path) -> tuple[str, ...]:
    return path.relative_to(PACKAGE).with_suffix("").parts


def folder_of_workload(dotted: tuple[str, ...]) -> str | None:
    """``gan3d`` of workloads/gan3d/model.py; None for what is no part of a workload."""
    inside = dotted[0] == "workloads" and (PACKAGE / "workloads" / dotted[1]).is_dir()
    return dotted[1] if inside else None


@pytest.mark.parametrize("path", FILES, ids=lambda p: "/".join(parts(p)))
def test_imports_point_downwards(path):
    room, *_ = mine = parts(path)
    if room in ("__init__", "__main__"):
        return
    for name in imports(path):
        there = tuple(name.split("."))
        if not (PACKAGE / there[0]).is_dir() and not (PACKAGE / f"{there[0]}.py").is_file():
            continue  # an error or the version, from the package itself
        assert there[0] in MAY_IMPORT[room], f"{path} imports hepjax.{name}"
        if folder_of_workload(mine) and there[0] == "workloads":
            assert folder_of_workload(there) == folder_of_workload(mine), f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: "/".join(parts(p)))
def test_a_reader_imports_no_writer(path):
    room, stem = parts(path)[0], path.stem
    if room == "formats" and "writer" not in stem and stem != "pack":
        assert not [name for name in imports(path) if "writer" in name]


def test_no_circle():
    """Of modules, imports inside functions and under TYPE_CHECKING included."""
    graph = {}
    for path in FILES:
        dotted = [p for p in parts(path) if p != "__init__"]
        graph[".".join(dotted)] = set(imports(path))
    graph = {module: names for module, names in graph.items() if module}
    # The most specific module: what is imported from inside a package does not need the rest of it.
    graph = {
        module: {
            known
            for name in names
            if (known := name if name in graph else name.rpartition(".")[0]) in graph
            and known != module
        }
        for module, names in graph.items()
    }
    done: set[str] = set()

    def visit(module, way):
        assert module not in way, " -> ".join([*way[way.index(module) :], module])
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, [*way, module])
            done.add(module)

    for module in graph:
        visit(module, [])


def test_the_package_has_few_names():
    assert len([p for p in PACKAGE.iterdir() if p.name != "__pycache__"]) <= 18
