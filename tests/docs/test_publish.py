"""Versions of the site side by side, and the choice between them on every page."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from docs.publish import publish

ROOT = Path(__file__).parents[2]


def built(tmp_path, text: str) -> Path:
    folder = tmp_path / "built"
    (folder / "docs").mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(text)
    (folder / ".doctrees").mkdir(exist_ok=True)
    return folder


def test_versions_lie_side_by_side_newest_first(tmp_path):
    site = tmp_path / "site"
    for version in ("0.9.0", "0.10.0", "0.2.0"):
        publish(built(tmp_path, version), site, version)
    assert json.loads((site / "versions.json").read_text()) == ["0.10.0", "0.9.0", "0.2.0"]
    for folder, text in (("0.9.0", "0.9.0"), ("0.2.0", "0.2.0"), ("stable", "0.10.0")):
        assert (site / folder / "index.html").read_text() == text
    publish(built(tmp_path, "again"), site, "0.9.0")
    assert (site / "0.9.0" / "index.html").read_text() == "again"
    assert (site / "stable" / "index.html").read_text() == "0.10.0"
    named = {"0.9.0", "0.10.0", "0.2.0", "stable", "versions.json", "index.html"}
    assert {path.name for path in site.iterdir()} == named
    assert not list(site.rglob(".doctrees"))


@pytest.mark.parametrize(("version", "said"), [("0.1", "MAJOR.MINOR.PATCH"), ("0.1.0", "a site")])
def test_what_cannot_be_published(version, said, tmp_path):
    folder = built(tmp_path, "x") if version == "0.1" else tmp_path / "none"
    with pytest.raises(ValueError, match=f"expected {said}, found"):
        publish(folder, tmp_path / "site", version)
    assert not (tmp_path / "site").exists()


PAGE = """
const said = {options: [], went: null}, heard = {};
const select = {
  dataset: {version: "0.1.0"}, value: "",
  replaceChildren: (...options) => { said.options = options; },
  addEventListener: (name, call) => { heard[name] = call; },
};
globalThis.Option = class { constructor(text, value, before, selected) {
  this.text = text; this.selected = selected; } };
globalThis.document = {
  getElementById: () => select, documentElement: {dataset: {content_root: "../"}},
};
globalThis.location = {
  href: "https://hep.test/hepjax/stable/docs/glossary.html#mesh",
  assign: (to) => { said.went = String(to); },
};
const files = FILES;
globalThis.fetch = async (url, how) => {
  if (files === null) throw new TypeError("no server");
  const path = new URL(url).pathname;
  return {ok: path in files, json: async () => files[path]};
};
CODE
setTimeout(async () => {
  select.value = "0.2.0";
  await heard.change();
  console.log(JSON.stringify(said));
}, 50);
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node runs the script of the pages")
@pytest.mark.parametrize(
    ("files", "names", "went"),
    [
        (None, ["0.1.0"], "0.2.0/"),
        ({}, ["0.1.0"], "0.2.0/"),
        ({"/hepjax/versions.json": ["0.2.0", "0.1.0"]}, ["0.2.0", "0.1.0"], "0.2.0/"),
        (
            {"/hepjax/versions.json": ["0.2.0", "0.1.0"], "/hepjax/0.2.0/docs/glossary.html": ""},
            ["0.2.0", "0.1.0"], "0.2.0/docs/glossary.html#mesh",
        ),
    ],
)  # fmt: skip
def test_pages_offer_the_versions_that_are_there(files, names, went):
    """The same page of the other version, if it has it, else its first page."""
    code = (ROOT / "docs/_static/versions.js").read_text()
    script = PAGE.replace("FILES", json.dumps(files)).replace("CODE", code)
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert [option["text"] for option in said["options"]] == names
    assert [option["selected"] for option in said["options"]] == [n == "0.1.0" for n in names]
    assert said["went"] == f"https://hep.test/hepjax/{went}"
