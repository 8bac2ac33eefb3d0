"""YAML means what it says: a key once, a number as it is written."""

import pytest

from hepjax import InputError
from hepjax.engine.settings import read_settings
from hepjax.formats.strict_yaml import read, read_value
from hepjax.workloads.table import configure


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {epochs: 1}\nmodel: {}\ntrain: {epochs: 2}\n", r"train: .* \(lines 1 and 3\)"),
        ("train:\n  epochs: 1\n  seed: 1\n  epochs: 2\n", r"epochs: .* \(lines 2 and 4\)"),
        ("train: {seed: 1, seed: 1}\n", r"seed: expected once, found twice \(line 1\)"),
        ("data:\n- {a: 1, a: 2}\n", r"a: expected once, found twice"),
        ('train: {seed: 1}\n"train": {}\n', r"train: .* \(lines 1 and 2\)"),
        ("train: {<<: {seed: 1, seed: 2}}\n", r"seed: expected once, found twice \(line 1\)"),
        ("a: &a {n: 1}\nb:\n  <<: *a\n  <<: *a\n", r"<<: .* \(lines 3 and 4\)"),
        ("x: {<<: [{a: 1}, {b: 1, b: 2}]}\n", r"b: expected once, found twice \(line 1\)"),
        ("train:\n  epochs: 010\n", "line 2: expected a number without leading zeros .* 010"),
        ("x: -007", "line 1: expected a number without leading zeros or colons, found -007"),
        ("x: 00.5", "found 00.5"),
        ("x: 1:30", "found 1:30"),
        ("x: [1, 08.5]", "found 08.5"),
        ("x: 2026-13-45", "expected YAML"),
        ("x: " + "[" * 2000, "expected YAML"),
    ],
)
def test_what_yaml_would_misread_is_refused_with_its_line(text, message):
    with pytest.raises(InputError, match=rf"^c\.yaml: .*{message}"):
        read(text, "c.yaml")


def test_plain_numbers_texts_and_merges_are_read_as_before():
    text = "a: &a {n: 10, x: 0.5, e: 0e3, z: 0}\nb: {<<: *a, n: 0x10}\nc: '010'\nd: 007/data\n"
    assert read(text, "c.yaml") == {
        "a": {"n": 10, "x": 0.5, "e": "0e3", "z": 0},
        "b": {"n": 16, "x": 0.5, "e": "0e3", "z": 0},
        "c": "010", "d": "007/data",
    }  # fmt: skip


def test_a_merged_mapping_may_be_merged_again():
    text = (
        "a: &a {rate: 1, size: 2}\nb: &b {<<: *a, rate: 3}\nc: {<<: *b, depth: 4}\n"
        "d: {<<: [*a, *b]}\ne: {<<: [*b, *a], depth: 5}\n"
    )
    assert read(text, "c.yaml") == {
        "a": {"rate": 1, "size": 2}, "b": {"rate": 3, "size": 2},
        "c": {"rate": 3, "size": 2, "depth": 4}, "d": {"rate": 1, "size": 2},
        "e": {"rate": 3, "size": 2, "depth": 5},
    }  # fmt: skip


@pytest.mark.parametrize("text", ["a: {<<: 3}", "a: {<<: [{b: 1}, 3]}"])
def test_what_is_no_mapping_cannot_be_merged(text):
    with pytest.raises(InputError, match=r"^c\.yaml: line 1: <<: expected a mapping, found a "):
        read(text, "c.yaml")


def test_a_pattern_in_an_override_needs_no_quotes():
    assert read_value("[*.h5, a/*.h5]", "data.files") == ["*.h5", "a/*.h5"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs=010", "^train.epochs: expected a number without leading zeros"),
        ("train.epochs=08", "^train.epochs: expected a whole number, found '08'"),
        ("optimizer.learning_rate=08", "^optimizer.learning_rate: .* without leading zeros"),
        ("optimizer.drops=[[065, 0.1]]", "^optimizer.drops: .* found 065"),
        ("train={epochs: 1, epochs: 2}", "^train: epochs: expected once, found twice"),
        (f"optimizer.learning_rate=1{'0' * 400}", "^optimizer.learning_rate: expected a number"),
    ],
)
def test_overrides_are_as_strict(tmp_path, override, message):
    path = tmp_path / "c.yaml"
    path.write_text("workload: gan3d\n")
    with pytest.raises(InputError, match=message):
        configure(read_settings(path, [override]))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_read_in_any_encoding_of_yaml(tmp_path, encoding):
    path = tmp_path / "c.yaml"
    path.write_bytes("name: Brücke".encode(encoding))
    assert read_settings(path, []) == {"name": "Brücke"}


def test_what_a_few_lines_of_yaml_blow_up_to_is_shown_short(tmp_path):
    path = tmp_path / "c.yaml"
    lines = ["workload: gan3d", "model:", "  latent: &a0 [x]"]
    anchors = [f"  k{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    path.write_text("\n".join([*lines, *anchors, "train: {seed: *a11}"]))
    for override in ("train=3", "model={latent: 1}"):
        with pytest.raises(InputError) as found:
            configure(read_settings(path, [override]))
        assert len(str(found.value)) < 500
    with pytest.raises(InputError, match=r"x\.\.\."):
        configure(read_settings(path, [f"model={{latent: {'x' * 1000}}}", "train={}"]))
