"""The package as others get it: recipes that agree with it, and a wheel that works by itself."""

import contextlib
import importlib.util
import os
import re
import runpy
import shlex
import subprocess
import sys
import tarfile
import tomllib
import types
import zipfile
from pathlib import Path

import pytest
import yaml

import hepjax
from hepjax import cli

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def bounds(requirements: list[str]) -> dict[str, str]:
    """Name to lower bound of ``name>=bound``; names without a bound are left out."""
    split = (re.fullmatch(r"([\w.-]+?)\s*>=([\w.]+).*", r) for r in requirements)
    return {m[1].lower().replace("_", "-"): m[2] for m in split if m}


def test_the_recipe_of_conda_has_the_dependencies_and_the_version():
    recipe = yaml.safe_load((ROOT / "launch/conda-forge/recipe.yaml").read_text())
    found = bounds(recipe["requirements"]["run"])
    assert found.pop("python") == PROJECT["requires-python"].removeprefix(">=")
    assert found == bounds(PROJECT["dependencies"])
    assert recipe["context"]["version"] == hepjax.__version__


def test_the_recipe_of_conda_is_whole():
    """It renders, has the sections of the format, is built as the project, and its tests can be
    typed."""
    text = (ROOT / "launch/conda-forge/recipe.yaml").read_text()
    jinja = pytest.importorskip("jinja2")
    names = jinja.Environment(variable_start_string="${{", undefined=jinja.StrictUndefined)
    recipe = yaml.safe_load(names.from_string(text).render(yaml.safe_load(text)["context"]))
    sections = {"schema_version", "context", "package", "source", "build", "requirements", "tests",
                "about"}  # fmt: skip
    assert recipe.keys() == sections
    assert recipe["package"] == {"name": PROJECT["name"], "version": hepjax.__version__}
    assert recipe["source"]["path"].endswith(f"/dist/hepjax-{hepjax.__version__}.tar.gz")
    system = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    host = bounds(recipe["requirements"]["host"])
    assert host.pop("python") == PROJECT["requires-python"].removeprefix(">=")
    assert host == bounds(system["requires"])
    ((entry, place),) = PROJECT["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [f"{entry} = {place}"]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert (ROOT / recipe["about"]["license_file"]).is_file()
    imports, scripts = recipe["tests"]
    for module in imports["python"]["imports"]:
        assert importlib.util.find_spec(module)
    for line in scripts["script"]:
        command, *words = shlex.split(line)
        assert command == entry
        if words != ["--version"]:
            cli._parser(words).parse_args(words)


def test_the_recipe_of_spack_is_a_class_of_known_directives(monkeypatch):
    """Run with stand-ins for what Spack gives it: each directive is called with known words."""
    called = []

    def directive(name):
        return lambda *words, **named: called.append((name, words, named))

    spack = types.ModuleType("spack.package")
    spack.PythonPackage = type("PythonPackage", (), {})
    for name in ("depends_on", "license", "variant", "version"):
        setattr(spack, name, directive(name))
    spack.default_args = lambda **named: contextlib.nullcontext()
    monkeypatch.setitem(sys.modules, "spack", types.ModuleType("spack"))
    monkeypatch.setitem(sys.modules, "spack.package", spack)
    found = runpy.run_path(str(ROOT / "launch/spack/package.py"))["PyHepjax"]
    assert found.pypi == f"hepjax/hepjax-{hepjax.__version__}.tar.gz"
    assert (("license", (PROJECT["license"],), {})) in called
    dependencies = [words[0] for name, words, _ in called if name == "depends_on"]
    assert len(dependencies) == len(set(dependencies)) > 15
    system = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert {f"py-{name}@{bound}:" for name, bound in bounds(system).items()} <= {*dependencies}


def test_the_recipe_of_spack_has_the_dependencies_and_the_version():
    text = (ROOT / "launch/spack/package.py").read_text()
    always, plot = text.split('when="+plot"')
    pinned = r'depends_on\("py-([\w-]+)@([\w.]+):"\)'
    assert dict(re.findall(pinned, always)) == bounds(PROJECT["dependencies"])
    extras = PROJECT["optional-dependencies"]
    assert dict(re.findall(pinned, plot)) == bounds(extras["plot"])
    assert f'version("{hepjax.__version__}"' in text


def test_the_citation_has_the_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == hepjax.__version__


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.mark.slow  # build makes an environment of its own
def test_sdist_and_wheel_hold_what_they_should(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "docs/conf.py", "tests/conftest.py"} <= names
    assert not [n for n in names if n.startswith((".venv", "runs", "data", "build", ".git/"))]
    (wheel,) = built.glob("*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    assert "hepjax/configs/gan3d/demo.yaml" in files
    assert [f for f in files if f.startswith("hepjax/ops/") and f.endswith((".cc", ".h", ".cpp"))]
    assert not [f for f in files if f.startswith(("tests/", "docs/", "benchmarks/"))]


@pytest.mark.slow
def test_the_wheel_works_outside_the_repository(built, tmp_path):
    """Unpacked before everything else on the path, the dependencies are those that are here."""
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "JAX_PLATFORMS": "cpu"}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "hepjax", *words], cwd=tmp_path, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = "import hepjax, pathlib; print(pathlib.Path(hepjax.__file__).parents[1])"
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert Path(found.stdout.strip()) == tmp_path / "site"
    run("simulate", "showers", "--events", "40", "--energy", "10:50", "--out", "data/train")
    assert "events" in run("inspect", "data/train")
    run("train", "gan3d/demo", "data.files=[data/train]", "train.steps=2", "--run", "runs/a")
    run("generate", "runs/a", "--events", "4", "--energy", "10:50", "--out", "showers.h5")
    assert (tmp_path / "showers.h5").is_file()
