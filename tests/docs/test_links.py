"""What the pages name is there: pages, headings, files, benchmarks, configurations, imports."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from hepjax.workloads import table

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("launch/**/*.md")),
    *sorted(ROOT.glob("benchmarks/**/*.md")),
]  # fmt: skip
FOLDERS = "hepjax|benchmarks|configs|launch|tests|docs"


def each_page(function):
    names = [str(page.relative_to(ROOT)) for page in PAGES]
    return pytest.mark.parametrize("page", PAGES, ids=names)(function)


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, made as GitHub makes them."""
    found: dict[str, int] = {}
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    names = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        count = found.get(name, 0)
        found[name] = count + 1
        names.add(f"{name}-{count}" if count else name)
    return names


@each_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name} links to {target}"


def test_every_page_is_in_the_navigation_of_the_site():
    """Which docs/conf.py takes from the links of docs/README.md and of the lists in its folders."""
    docs, todo, found = ROOT / "docs", [ROOT / "docs" / "README.md"], set()
    while todo:
        page = todo.pop()
        found.add(page)
        for target in re.findall(r"\]\(([^)\s#:]+\.md)", page.read_text()):
            there = (page.parent / target).resolve()
            if there.parent == page.parent or page.parent == docs:
                todo += [there] if there.name == "README.md" and there not in found else []
                found.add(there)
    assert not [str(page) for page in docs.glob("**/*.md") if page not in found]


@each_page
def test_named_files_exist(page):
    for name in re.findall(rf"(?<![\w./<-])((?:{FOLDERS})/[\w./-]*\w/?)", page.read_text()):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


@each_page
def test_named_benchmarks_exist(page):
    for name in re.findall(r"\bbenchmarks(?:\.\w+)+", page.read_text()):
        path = ROOT / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), f"{page.name} names {name}"


@each_page
def test_named_configurations_exist(page):
    preset = rf"(?<![\w./])(?:{'|'.join(table.OWN)})/[a-z][\w-]*\b(?!-|\.\w|/)"
    for name in re.findall(preset, page.read_text()):
        assert (ROOT / "configs" / f"{name}.yaml").is_file(), f"{page.name} names {name}"


@each_page
def test_examples_import_what_exists(page):
    fenced = re.compile(r"^```(?:{code-cell} )?python\n(.*?)^```", re.DOTALL | re.MULTILINE)
    for code in fenced.findall(page.read_text()):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("hepjax"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")


@each_page
def test_pictures_say_what_they_show(page):
    for text in re.findall(r"!\[([^]]*)\]\(", page.read_text()):
        assert len(text.split()) >= 3, f"{page.name}: {text!r} says little to who cannot see it"


def test_pages_that_the_code_names_exist():
    files = [ROOT / "Makefile", *ROOT.glob("configs/**/*.yaml"), *ROOT.glob("launch/**/*.*")]
    for folder in ("hepjax", "benchmarks", "tests"):
        files += (ROOT / folder).rglob("*.py")
    for file in files:
        for name in re.findall(r"\bdocs/[\w/-]+\.(?:md|png)", file.read_text(errors="ignore")):
            assert (ROOT / name).exists(), f"{file} names {name}"


def test_the_drawn_house_has_every_room():
    drawn = (ROOT / "CONTRIBUTING.md").read_text().split("```")[1]
    rooms = [path for path in (ROOT / "hepjax").iterdir() if path.suffix in ("", ".py")]
    for room in rooms:
        if room.name not in ("__pycache__", "__main__.py"):
            assert re.search(rf"^ +{room.name}\b", drawn, re.MULTILINE), f"no line for {room.name}"
