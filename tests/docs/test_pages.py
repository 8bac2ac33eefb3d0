"""What the site is made of, without Sphinx."""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_pages_link_to_pages_of_the_site_alone(monkeypatch):
    """Sphinx fails on others, and it runs only where the extra docs is installed."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = runpy.run_path(str(ROOT / "docs" / "conf.py"))
    pages = {path.resolve() for pattern in known["include_patterns"] for path in ROOT.glob(pattern)}
    assert len(pages) > 60
    for page in pages:
        for link in known["LINK"].findall(page.read_text()):
            assert (page.parent / link).resolve() in pages, f"{page.name}: {link}"
