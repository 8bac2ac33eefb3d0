"""How Sphinx makes the site out of the Markdown of the repository: ``make site``.

The pages are those that a forge shows, so nothing in them is for Sphinx alone. Two things are added
while they are read: a page that lists others (``INDEXES``) gets them as its navigation, in the
order of its links, and the headings of ``docs/reference/api.md`` that name a module get what its
docstrings say. The source folder is the repository, so every relative link stays as it is.
"""

import os
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # autodoc imports hepjax
from hepjax import __version__  # noqa: E402

project = "hepjax"
author = "hepjax developers"
copyright = author
version = release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
root_doc = "docs/README"
include_patterns = [
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "docs/**/*.md", "launch/*.md",
    "launch/**/*.md", "benchmarks/README.md", "hepjax/pretrained/*/card.md",
]  # fmt: skip
# Not walked: folders of the user beside the pages.
exclude_patterns = [".*", "build", "dist", "runs", "data", "studies", "tests", "configs"]
INDEXES = ("docs/README", "docs/curriculum/README", "docs/workloads/README", "docs/studies/README")
"""Pages whose links to other pages are the navigation below them."""

myst_heading_anchors = 4
# A page may begin with a comment before its title; a command over several lines lexes badly; words
# in the docstring of a field are taken for types, and two classes may have a field of a name.
suppress_warnings = ["myst.header", "misc.highlighting_failure", "ref.python"]
# A page that runs costs up to a minute. `make site EXECUTE=cache` shows what the pages print.
nb_execution_mode = os.environ.get("EXECUTE", "off")
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_cache_path = str(ROOT / "build" / "notebooks")
nb_execution_excludepatterns: list[str] = []
nb_merge_streams = True
highlight_language = "text"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
copybutton_prompt_text = "$ "
copybutton_here_doc_delimiter = "EOF"

html_theme = "furo"
html_title = f"hepjax {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("versions.js", {"defer": "defer"})]
html_sidebars = {
    "**": [
        "sidebar/brand.html", "versions.html", "sidebar/search.html", "sidebar/scroll-start.html",
        "sidebar/navigation.html", "sidebar/scroll-end.html",
    ],
}  # fmt: skip
templates_path = ["_templates"]
html_additional_pages = {"index": "redirect.html"}
html_copy_source = False
html_show_sphinx = False

LINK = re.compile(r"\]\((?!https?:)([^)\s#]+\.md)(?:#[^)\s]*)?\)")


def _with_navigation(page: str, text: str) -> str:
    """The text with hidden lists of pages: one a section of the first page, else of its folder."""
    here = posixpath.dirname(page)
    if page == root_doc:
        parts = [part.split("\n", 1) for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]]
        sections = [(f":caption: {title}\n", body) for title, body in parts]
    else:
        sections = [("", text)]
    for caption, body in sections:
        links = (posixpath.normpath(posixpath.join(here, link)) for link in LINK.findall(body))
        names = dict.fromkeys(link.removesuffix(".md") for link in links)
        if page != root_doc:
            names = {n: None for n in names if posixpath.dirname(n) == here and n != page}
        pages = "\n".join(f"/{name}" for name in names)
        text += f"\n```{{toctree}}\n:hidden:\n{caption}\n{pages}\n```\n"
    return text


def _with_docstrings(text: str) -> str:
    """Below each heading that is a module, what it offers."""
    return re.sub(
        r"^(##+ `(hepjax[\w.]*)`\n.*?)(?=^#|\Z)",
        lambda m: f"{m[1]}\n```{{eval-rst}}\n.. automodule:: {m[2]}\n   :members:\n```\n\n",
        text, flags=re.MULTILINE | re.DOTALL,
    )  # fmt: skip


def _read(app: Any, page: str, source: list[str]) -> None:
    if page in INDEXES:
        source[0] = _with_navigation(page, source[0])
    if page.endswith("/card"):  # of a packaged model: pages link to it, none lists it
        source[0] = "---\norphan: true\n---\n" + source[0]
    if page == "docs/reference/api":
        source[0] = _with_docstrings(source[0])


def _plain(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are text with ``code``: other characters that mean something are escaped."""
    for at, line in enumerate(lines):
        parts = re.split(r"(``.*?``)", line)
        parts[::2] = [re.sub(r"([*|\\])", r"\\\1", part) for part in parts[::2]]
        lines[at] = "".join(parts)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _plain, priority=100)
