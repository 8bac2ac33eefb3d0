"""The pages of the curriculum are programs that check their own numbers."""

import ast
import re
from pathlib import Path

import pytest

from docs.curriculum import run

PAGES = Path(__file__).parents[2] / "docs" / "curriculum"


@pytest.mark.parametrize("name", run.pages())
def test_a_page_is_a_notebook_with_exercises_that_ends_with_checks(name):
    text = (PAGES / f"{name}.md").read_text()
    assert text.startswith("---\nfile_format: mystnb\n")
    assert text.count("<summary>Solution</summary>") >= 3
    assert text.count("<details>") == text.count("</details>")
    code = ast.parse(run.program(name))
    last = run.CELL.findall(text)[-1]
    assert "results = {" in last
    assert isinstance(code.body[-1], ast.Assert | ast.Expr)
    assert re.search(r"^assert ", last, re.MULTILINE)


def test_an_error_names_its_line_and_page(tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("[a](broken.md)\n")
    (tmp_path / "broken.md").write_text("# Page\n\n```{code-cell} python\nassert 1 == 2\n```\n")
    monkeypatch.setattr(run, "HERE", tmp_path)
    assert run.pages() == ["broken"]
    with pytest.raises(RuntimeError, match=r"(?s)broken\.py\", line 4.*AssertionError"):
        run.run("broken")


@pytest.mark.slow
@pytest.mark.parametrize("name", run.pages())
def test_a_page_runs(name):
    results, _ = run.run(name)
    assert results


def test_the_worked_example_quotes_the_package_that_is_tested():
    package = Path(__file__).parents[1] / "outside" / "hepjax_pulses"
    files = [*package.rglob("*.py"), package / "pyproject.toml"]
    written = "".join(file.read_text() for file in files)
    blocks = re.findall(
        r"^```(?:python|toml)\n(.*?)^```",
        (PAGES / "add-a-workload.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    assert len(blocks) > 8
    assert not [block for block in blocks if block not in written]
