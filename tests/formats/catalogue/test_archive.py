"""Archives: what is below their folder is unpacked, everything else is refused whole."""

import io
import tarfile
import zipfile

import pytest

from hepjax import InputError
from hepjax.formats.catalogue.archive import folder_of, unpack


def tarred(path, members, mode="w"):
    with tarfile.open(path, mode) as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                file.addfile(info)
    return path


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
def test_unpacked_below_its_name(tmp_path, suffix):
    archive = tmp_path / f"a.{suffix}"
    members = [("train/äöü 1.root", b"one"), ("train/empty", b"")]
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for name, content in members:
                file.writestr(name, content)
    else:
        tarred(archive, members, "w:gz" if suffix == "tar.gz" else "w")
    sizes = []
    folder = unpack(archive, sizes.append)
    assert folder == tmp_path / "a"
    assert (folder / "train/äöü 1.root").read_bytes() == b"one"
    assert (folder / "train/empty").read_bytes() == b""
    assert sum(sizes) == 3
    (folder / "train/empty").write_bytes(b"mine")
    assert unpack(archive) == folder  # what is there stays
    assert (folder / "train/empty").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("../out", b"x", "climbs out"),
        ("a/../../out", b"x", "climbs out"),
        ("/etc/x", b"x", "climbs out"),
        ("a\\..\\x", b"x", "climbs out"),
        ("link", (tarfile.SYMTYPE, "/etc/passwd"), "a link"),
        ("link", (tarfile.LNKTYPE, "good"), "a link"),
        ("device", (tarfile.CHRTYPE, ""), "a device"),
        ("good", b"again", "the same name twice"),
        ("./good", b"again", "the same name twice"),
    ],
)
def test_what_is_not_below_is_refused(tmp_path, name, content, said):
    archive = tarred(tmp_path / "a.tar", [("good", b"x"), (name, content)])
    with pytest.raises(InputError, match=f"{said}.*nothing was unpacked"):
        unpack(archive)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_zip_that_climbs_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("../../out", b"x")
    with pytest.raises(InputError, match="climbs out"):
        unpack(tmp_path / "a.zip")


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
def test_damage(tmp_path, suffix):
    good = tmp_path / f"a.{suffix}"
    content = bytes(range(256)) * 50
    if suffix == "zip":
        with zipfile.ZipFile(good, "w") as file:
            file.writestr("x", content)
    else:
        tarred(good, [("x", content)], "w:gz" if suffix == "tar.gz" else "w")
    whole = good.read_bytes()
    good.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="expected a whole archive"):
        unpack(good)
    assert [path.name for path in tmp_path.iterdir()] == [good.name]


def test_names_of_folders(tmp_path):
    assert folder_of(tmp_path / "a.b.tar.xz").name == "a.b"
    with pytest.raises(InputError, match="expected an archive"):
        folder_of(tmp_path / "a.root")
    with pytest.raises(InputError, match="expected an archive"):
        folder_of(tmp_path / ".tar")
