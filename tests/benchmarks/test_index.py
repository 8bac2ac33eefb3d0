"""The index of benchmarks/: it names every script, and nothing that is not there."""

import ast
import importlib
import importlib.util
import re
import subprocess
import sys

import pytest

from benchmarks.setting import ROOT, environment

INDEX = (ROOT / "benchmarks/README.md").read_text()
SCRIPTS = {
    *(p for p in (ROOT / "benchmarks").rglob("*.py") if "__main__" in p.read_text()),
    *(ROOT / "benchmarks").rglob("*.sh"),
}


def named(text):
    """Paths of the modules and shell scripts that a text names."""
    modules = re.findall(r"\bbenchmarks((?:\.[a-z_0-9]+)+)", text)
    shell = re.findall(r"\bbenchmarks/[a-z_0-9/]+\.sh", text)
    paths = ["benchmarks" + name.replace(".", "/") + ".py" for name in modules]
    return {ROOT / path for path in paths + shell}


def test_the_index_names_the_scripts_and_nothing_else():
    assert named(INDEX) == SCRIPTS


def test_the_docs_name_scripts_and_modules_that_exist():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    assert named(text) <= SCRIPTS
    modules = {ROOT / path for path in re.findall(r"(?<![/\w])benchmarks/[a-z_0-9/]+\.py", text)}
    assert modules
    assert [path for path in modules if not path.is_file()] == []


def test_what_the_docs_use_has_a_row():
    rows = [line for line in INDEX.splitlines() if line.startswith("|")]
    in_docs = set().union(*(named(p.read_text()) for p in (ROOT / "docs").rglob("*.md")))
    assert in_docs
    assert in_docs <= named("\n".join(rows))


@pytest.mark.parametrize(
    "script", sorted(p.relative_to(ROOT) for p in (ROOT / "benchmarks").rglob("*.py")), ids=str
)
def test_a_script_imports_what_hepjax_has(script):
    """Read, not run: PyTorch, for which some are written, may be missing."""
    for node in ast.walk(ast.parse((ROOT / script).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hepjax":
            module = importlib.import_module(node.module)
            for name in (alias.name for alias in node.names):
                folder = hasattr(module, "__path__")
                submodule = folder and importlib.util.find_spec(f"{node.module}.{name}")
                assert hasattr(module, name) or submodule, f"{node.module} has no {name}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "script", sorted(p.relative_to(ROOT) for p in SCRIPTS if p.suffix == ".py"), ids=str
)
def test_a_script_starts_from_any_folder(script, tmp_path):
    command = [sys.executable, "-m", ".".join(script.with_suffix("").parts), "--help"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage:")
    assert not list(tmp_path.iterdir())
