"""What a path in a setting or option is, and where a run finds its files again."""

import os
from pathlib import Path

import pytest

from hepjax import InputError
from hepjax.engine.paths import expand, given, located, same
from hepjax.engine.settings import find_config, path_keys, read_settings
from hepjax.run import configured
from hepjax.workloads import table


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EXPERIMENT", "cms")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cms").mkdir()
    for name in ("b.h5", "a.h5", "c.txt"):
        (tmp_path / "cms" / name).touch()
    return tmp_path


@pytest.mark.parametrize("text", ["~/cms", "$HOME/cms", "${HOME}/$EXPERIMENT", "~/c*"])
def test_a_path_is_expanded_as_by_a_shell(home, text):
    assert expand(text, "data.files") == [f"{home}/cms"]


def test_a_pattern_stands_for_the_files_that_match_sorted(home):
    assert expand("cms/*.h5", "k") == ["cms/a.h5", "cms/b.h5"]
    assert expand("~/cms/[ab].h5", "k") == [f"{home}/cms/a.h5", f"{home}/cms/b.h5"]
    assert expand("**/a.h5", "k") == ["cms/a.h5"]


@pytest.mark.parametrize("name", ["~", "$x", "a*b", "[1]"])
def test_a_name_that_exists_is_taken_as_it_is(home, name):
    (home / name).mkdir()
    assert expand(name, "k") == [name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$NOBODY_SET_THIS/x", "^data.files: .* variable NOBODY_SET_THIS of .* to be set"),
        ("~nobody-of-this-name/x", "^data.files: expected a known user, found '~nobody"),
        ("cms/*.root", r"^data.files: expected files that match 'cms/\*\.root', found none"),
        ("a\0b", "^data.files: .* NUL"),
    ],
)
def test_what_cannot_be_expanded_names_the_setting(home, text, message):
    with pytest.raises(InputError, match=message):
        expand(text, "data.files")


OTHER_NAMES = {"nsbi": "reference", "unfold": "measured"}
"""Workloads whose samples have names of their own, and one of these settings."""


@pytest.mark.parametrize("workload", OTHER_NAMES)
def test_samples_with_names_of_their_own_are_expanded_too(home, workload):
    key = OTHER_NAMES[workload]
    path = home / "c.yaml"
    path.write_text(f"workload: {workload}\ndata: {{{key}: [~/cms/a.h5, $HOME/cms/b*]}}\n")
    _, cfg = configured("~/c.yaml", [])
    assert getattr(cfg.data, key) == (f"{home}/cms/a.h5", f"{home}/cms/b.h5")
    assert f"data.{key}" in path_keys(cfg)


@pytest.mark.parametrize("workload", [name for name in table.OWN if name not in OTHER_NAMES])
def test_every_setting_that_is_a_path_is_expanded(home, workload):
    path = home / "c.yaml"
    files = "[~/cms/a.h5, $HOME/cms/b*]"
    path.write_text(f"workload: {workload}\ndata: {{files: {files}}}\n")
    overrides = ["train.warm_start=~/run", "data.validation_files=[cms/*.h5]"]
    _, cfg = configured("~/c.yaml", overrides)
    assert cfg.data.files == (f"{home}/cms/a.h5", f"{home}/cms/b.h5")
    assert cfg.data.validation_files == ("cms/a.h5", "cms/b.h5")
    assert cfg.train.warm_start == f"{home}/run"
    assert {"data.files", "data.validation_files", "train.warm_start"} == set(path_keys(cfg))


def test_settings_that_name_files_are_paths():
    """A new setting of this kind has to say so: its annotation is FilePath."""
    for name in table.OWN:
        cfg = table.get(name).Config
        hints = type(cfg().data).__annotations__
        paths = {k for k, v in hints.items() if "FilePath" in str(v) or "'path'" in str(v)}
        assert {k for k in hints if k.endswith("files")} <= paths


def test_options_are_expanded_by_their_type(home):
    assert given(Path("~/new"), "--out") == home / "new"
    assert given([Path("cms/*.h5")], "--data") == [Path("cms/a.h5"), Path("cms/b.h5")]
    assert given(Path("new*"), "--out") == Path("new*")  # a file still to be written
    for value in (None, [], ["~"], 3):
        assert given(value, "--x") == value


def test_a_run_finds_relative_paths_from_itself_upwards(tmp_path, monkeypatch):
    run = tmp_path / "project" / "runs" / "a"
    run.mkdir(parents=True)
    (tmp_path / "project" / "data").mkdir()
    (tmp_path / "elsewhere" / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert located("data", run) == str(tmp_path / "project" / "data")
    assert located("none", run) == "none"


def test_data_that_moved_with_the_run_or_back_are_found(tmp_path):
    before, now = tmp_path / "before", tmp_path / "now"
    (now / "data").mkdir(parents=True)
    (now / "run").mkdir()
    old = str(before / "data")
    assert located(old, now / "run", str(before / "run")) == str(now / "data")
    assert located(old, now / "run", None, [str(tmp_path / "x"), str(now)]) == str(now)
    assert located(str(now), now / "run", str(before / "run")) == str(now)
    assert located(old, now / "run") == old


def test_spellings_of_one_path_are_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    os.symlink("a", "b")
    for spelling in ("./a", "a/", "b", str(tmp_path / "a"), "a/../a"):
        assert same("a", spelling)
    assert not same("a", "c")


def test_a_configuration_that_is_no_file_says_what_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"found a folder; there are .*gan3d/demo"):
        find_config("folder")
    with pytest.raises(InputError, match="no such file"):
        find_config("x" * 5000)
    with pytest.raises(InputError, match="expected a readable file, found: No such file"):
        read_settings(tmp_path / "none.yaml", [])


def test_a_pattern_in_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    shut = tmp_path / "private"
    shut.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: path != shut)
    for pattern in ("private/*.h5", "private/[ab].h5", "private/**/a.h5"):
        with pytest.raises(InputError, match=r"^private: expected a readable folder, found: Perm"):
            expand(pattern, "data.files")
    with pytest.raises(InputError, match=r"^data.files: expected files that match 'other/\*', fou"):
        expand("other/*", "data.files")
