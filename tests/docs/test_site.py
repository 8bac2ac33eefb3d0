"""The site is made out of the pages without a warning and without a network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import hepjax

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", "."]
    done = subprocess.run([*command, str(out)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_the_first_page_leads_to_all(site):
    assert "docs/README.html" in (site / "index.html").read_text()
    home = (site / "docs" / "README.html").read_text()
    for page in ("guides/first-shower-gan", "curriculum/one-device", "studies/faults"):
        assert f'href="{page}.html"' in home


@pytest.mark.slow
def test_functions_are_on_the_page_of_the_library_and_in_the_search(site):
    page = (site / "docs" / "reference" / "api.html").read_text()
    assert 'id="hepjax.physics.calorimeter.sampling_fraction"' in page
    assert "sampling_fraction" in (site / "searchindex.js").read_text()


@pytest.mark.slow
def test_solutions_are_below_a_fold(site):
    page = (site / "docs" / "curriculum" / "data-parallel.html").read_text()
    assert page.count("<details>") == 3
    assert "averaged_gradient" in page.partition("<details>")[2]


@pytest.mark.slow
def test_every_page_offers_versions_and_says_what_its_figures_show(site):
    pages = [p for p in site.rglob("*.html") if p.parent != site and "_static" not in p.parts]
    assert len(pages) > 60
    figures = 0
    for page in pages:
        text = page.read_text()
        assert f'data-version="{hepjax.__version__}"' in text, page
        assert "_static/versions.js" in text, page
        for image in re.findall(r"<img [^>]*>", text):
            alt = re.findall(r'alt="([^"]*)"', image)
            assert len("".join(alt).split()) >= 3, f"{page}: {image}"
            figures += 1
    assert figures > 20
