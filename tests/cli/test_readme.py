"""What the README shows works as it stands."""

import re
from pathlib import Path

import matplotlib as mpl

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_python_example(tiny_run, tmp_path, monkeypatch, capsys):
    mpl.use("agg")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(tiny_run)
    monkeypatch.chdir(tmp_path)
    code = re.search(r"<!-- example.*?```python\n(.*?)```", README, re.DOTALL)[1]
    exec(compile(code, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert "published for CLIC 0.018" in out or "published for CLIC 0.019" in out
    assert "shower maximum in layer" in out


def test_every_command_shown_exists():
    from hepjax.cli import VERBS

    shown = re.findall(r"^\$ hepjax (\w+)", README, re.MULTILINE)
    assert set(shown) == set(VERBS)
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    targets = re.findall(r"^\$ make (\w+)", README, re.MULTILINE)
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_every_linked_page_exists():
    paths = re.findall(r"\]\(([\w./-]+)\)", README)
    assert paths
    assert [path for path in paths if not (Path(__file__).parents[2] / path).is_file()] == []
