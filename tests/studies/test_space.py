"""Spaces that a configuration takes, and those that it refuses, in one line."""

import pytest
from helpers.toy import ToyConfig

from hepjax import InputError
from hepjax.engine.settings import to_settings
from hepjax.studies import space
from hepjax.studies.space import Axis


@pytest.fixture
def settings(toy_config):
    return {"workload": "toy"} | to_settings(ToyConfig())


def read(tmp_path, text, settings):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return space.read(path, settings)


def test_a_space_is_read(tmp_path, settings):
    text = "noise: {low: 0.1, high: 1.0, log: true}\ntrain.batch_size: {low: 4, high: 16, step: 4}"
    noise, size = read(tmp_path, text, settings)
    assert (noise.low, noise.high, noise.log, noise.whole) == (0.1, 1.0, True, False)
    assert size.values() == (4, 8, 12, 16)
    assert all(isinstance(value, int) for value in size.values())
    assert space.from_json(space.to_json((noise, size))) == (noise, size)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nose: {low: 0.1, high: 1.0}", "nose: expected a known setting"),
        ("train.batch_size: {low: 0, high: 8}", "train.batch_size: expected at least 1, found 0"),
        ("mesh.layout: {choice: [replicated, round]}", "mesh.layout: expected one of"),
        ("noise: {low: 1.0}", "expected {low: .., high: ..}"),
        ("noise: {low: 2.0, high: 1.0}", "low not above high"),
        ("noise: {low: 0.0, high: 1.0, log: true}", "low above 0 with log"),
        ("noise: {low: a, high: 1.0}", "expected numbers"),
        ("noise: {low: .nan, high: 1.0}", "expected numbers"),
        ("noise: {choice: []}", "with a value or more"),
        ("noise: 3", "expected {low: .., high: ..}"),
        ("train.epochs: {low: 1, high: 2}", "that the study does not set itself"),
        ("[1, 2]", "expected settings with their ranges, found none"),
        ("", "expected settings with their ranges, found none"),
        ("noise: {", "space.yaml"),
    ],
)
def test_bad_spaces_are_refused(tmp_path, settings, text, said):
    with pytest.raises(InputError) as error:
        read(tmp_path, text, settings)
    assert said in str(error.value)
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_share_and_its_value_belong_together():
    axes = (
        Axis("a", 1e-4, 1e-1, log=True), Axis("b", -1.0, 3.0), Axis("c", choice=("x", "y", "z")),
        Axis("d", 2, 9, whole=True),
    )  # fmt: skip
    for axis in axes:
        for share in (0.0, 0.3, 0.99):
            value = axis.inside(share)
            assert axis.inside(axis.share(value)) == pytest.approx(value)
    assert axes[0].inside(0.5) == pytest.approx(10**-2.5)


def test_a_grid_has_all_points():
    points = list(space.grid((Axis("a", 0, 1, whole=True), Axis("b", choice=("x", "y", "z")))))
    assert len(points) == 6
    assert points[0] == {"a": 0, "b": "x"}
    assert points[1] == {"a": 0, "b": "y"}
