"""Outside addresses are found where they are written, and their answers are told."""

from pathlib import Path

from helpers.web import site

from docs.links import addresses, asked, told

ROOT = Path(__file__).parents[2]


def test_addresses_are_found(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text(
        "See [x](https://arxiv.org/abs/1111.6097), `http://localhost:8000/v2`,\n"
        "<https://ml4sci.org>. https://zenodo.org/records/{name} and https://...\n"
    )
    assert addresses(tmp_path) == {
        "https://arxiv.org/abs/1111.6097": "docs/README.md", "https://ml4sci.org": "docs/README.md",
    }  # fmt: skip
    assert "https://arxiv.org/abs/1911.09107" in addresses(ROOT)
    assert not [a for a in addresses(ROOT) if a[-1] in ".,)*`"]


def test_answers_are_told():
    with site() as made:
        made.files["/there"] = b"x"
        made.moved["/moved"] = "/there"
        made.busy["/shy"] = [403]
        address = made.address
        found = {f"{address}{path}": "a.md" for path in ("/there", "/moved", "/shy", "/gone")}
        answers = list(map(asked, found))
        lines, lost = told(found, answers)
    assert [line.split(":")[0] for line in lines] == ["refused", "lost"]
    assert lines[1] == f"lost: a.md: {address}/gone: 404 Not Found"
    assert lost == 1
    assert asked(f"{address}/there")  # nobody listens any more
