"""The catalogue that comes with the package, and how it is read."""

import json

import pytest

from hepjax import InputError
from hepjax.formats.catalogue.sets import catalogue, chosen, expanded, find, from_listing
from hepjax.workloads import table

SETS = catalogue()


def test_every_workload_finds_data():
    """Of those that published sets exist for."""
    served = {name for public in SETS.values() for name in public.workloads}
    assert {"gan3d", "tagger", "mlpf", "tracking", "wgan", "calo"} <= served <= set(table.names())


@pytest.mark.parametrize("public", SETS.values(), ids=list(SETS))
def test_entries_say_all(public):
    for name in ("title", "record", "licence", "layout", "units", "events", "train", "stated"):
        assert getattr(public, name), name
    assert public.files or public.listing
    assert public.record.startswith("https://")
    names = [file.name for file in public.files]
    assert len(set(names)) == len(names)
    for file in public.files:
        assert file.url == "" or file.url.startswith("https://")
        assert file.url == "" or file.name in file.url
    assert "{" not in public.train.replace("{out}", "")


def test_numbers_of_the_published_sets():
    """As their records say."""
    assert len(find("mlpf-delphes").files) == 550
    assert find("mlpf-delphes").files[51].name == "tev14_pythia8_ttbar_1_1.pkl.bz2"
    assert len(find("zjets").files) == 4 * 17
    assert find("calochallenge-2").bytes == 1356475617 + 1366708391
    assert find("calochallenge-3").bytes is None


def test_names():
    assert expanded("a_{0..1}_{9..11}.x") == [f"a_{i}_{j}.x" for i in (0, 1) for j in (9, 10, 11)]
    assert expanded("plain") == ["plain"]
    with pytest.raises(InputError, match=r"did you mean calochallenge-2\?"):
        find("calochalenge2")
    with pytest.raises(InputError, match="there are clic-angle, "):
        find("☃")


def test_some_files():
    files = find("zjets").files
    assert len(chosen(files, [])) == 68
    assert [f.name for f in chosen(files, ["Herwig*_1.npz", "Herwig*_3.npz"])] == [
        "Herwig_Zjet_pTZ-200GeV_1.npz", "Herwig_Zjet_pTZ-200GeV_3.npz",
    ]  # fmt: skip
    with pytest.raises(
        InputError, match=r"--files Herwig_Zjet_pTZ-200GeV_99.npz: .*such as Herwig"
    ):
        chosen(files, ["Herwig_Zjet_pTZ-200GeV_99.npz"])


def test_listing_of_a_record():
    item = {
        "key": "a b.tar.gz", "size": 5, "checksum": f"md5:{'0' * 32}",
        "links": {"self": "https://x/a%20b.tar.gz"},
    }  # fmt: skip
    (file,) = from_listing(json.dumps({"files": [item]}), "https://x")
    assert (file.name, file.url, file.bytes) == ("a b.tar.gz", "https://x/a%20b.tar.gz", 5)
    assert file.checksum == ("md5", "0" * 32)
    for wrong in ("{}", "<html>", '{"files": [{"key": "a"}]}', "[]", "3"):
        with pytest.raises(InputError, match="https://x"):
            from_listing(wrong, "https://x")
    for name in ("../a", "/a", ".a", "", "a\\b"):
        with pytest.raises(InputError, match="expected names of files"):
            from_listing(json.dumps({"files": [item | {"key": name}]}), "https://x")
    with pytest.raises(InputError):
        from_listing(json.dumps({"files": [item | {"checksum": "md5:xyz"}]}), "https://x")
