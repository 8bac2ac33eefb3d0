"""What the README shows works as it stands."""

import re
from pathlib import Path

import matplotlib as mpl
import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_python_example(tmp_path, monkeypatch, capsys):
    mpl.use("agg")
    monkeypatch.chdir(tmp_path)
    code = re.search(r"<!-- example.*?```python\n(.*?)```", README, re.DOTALL)[1]
    exec(compile(code, "README.md", "exec"), {})
    out = capsys.readouterr().out
    # Of the packaged generator: EGSnrc has 0.0235 visible, and its maximum in layers 9 to 11.
    fraction = float(re.search(r"sampling fraction (0\.\d+)", out)[1])
    assert fraction == pytest.approx(0.0235, rel=0.05)
    assert int(re.search(r"shower maximum in layer (\d+)", out)[1]) in range(8, 13)


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
