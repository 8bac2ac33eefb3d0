"""Settings are checked when they are read, and each error names its key and the way out."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hepjax import InputError
from hepjax.engine.settings import (
    build,
    data_lists,
    find_config,
    flatten,
    put,
    read_settings,
    to_settings,
)
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.table import configure

CONFIGS = Path(__file__).parents[2] / "configs"


@dataclass(frozen=True)
class Inner:
    rate: float = 1e-3
    names: tuple[str, ...] = ("a",)
    pair: tuple[int, int] = (1, 2)
    mode: Literal["x", "y"] = "x"


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    count: int = 1
    on: bool = False


def test_settings_become_frozen_dataclasses():
    cfg = build(Outer, {"inner": {"rate": "1e-4", "names": ["b", "c"], "pair": [3, 4]}, "on": True})
    assert cfg == Outer(Inner(1e-4, ("b", "c"), (3, 4)), on=True)
    assert hash(cfg) == hash(build(Outer, to_settings(cfg)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cuont": 1}, r"^cuont: expected a known setting, found another; did you mean count\?$"),
        (
            {"inner": {"ratte": 1}},
            r"^inner.ratte: expected a known setting, found another; did you mean inner.rate\?$",
        ),
        ({"count": 1.5}, r"^count: expected a whole number, found 1.5$"),
        ({"count": True}, r"^count: expected a whole number, found True$"),
        ({"on": "yes please"}, r"^on: expected true or false"),
        ({"inner": 3}, r"^inner: expected a group of settings, found 3$"),
        ({"inner": {"pair": [1]}}, r"^inner.pair: expected a list of 2"),
        ({"inner": {"mode": "z"}}, r"^inner.mode: expected one of x, y, found 'z'$"),
        ({"inner": {"rate": "fast"}}, r"^inner.rate: expected a number, found 'fast'$"),
        ({"inner": {"names": "a"}}, r"^inner.names: expected a list"),
    ],
)
def test_bad_settings_name_the_key(settings, message):
    with pytest.raises(InputError, match=message):
        build(Outer, settings)


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["train.batch_size=0"], "train.batch_size"),
        (["data.energy_range=[500, 10]"], "data.energy_range"),
        (["mesh.model_devices=2"], "mesh.model_devices"),
        (["optimizer.learning_rate=-1"], "optimizer.learning_rate"),
        (["model.heads=[colour]"], "model.heads"),
        (["train.precision=float16"], "train.precision"),
        (["workload=gan2d"], "workload"),
        (["train"], "train"),
        (["train.batch_size.x=1"], "train.batch_size.x"),
    ],
)
def test_bad_overrides_name_the_key(tmp_path, overrides, key):
    path = tmp_path / "c.yaml"
    path.write_text("workload: gan3d\ntrain: {batch_size: 4}\n")
    with pytest.raises(InputError, match=f"^{key}"):
        configure(read_settings(path, overrides))


def test_one_key_has_one_value(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("workload: gan3d\n")
    with pytest.raises(InputError, match=r"^train.seed: expected one value, found '3 and 4'$"):
        read_settings(path, ["train.seed=3", "train.epochs=2", "train.seed=4"])
    assert read_settings(path, ["train.seed=3", "train.seed=3"])["train"] == {"seed": 3}


def test_lists_of_data_are_found_by_their_type():
    settings = {"workload": "tagger", "data": {"files": ["a", "b"], "test_files": ["c"]}}
    _, cfg = configure(settings | {"train": {"warm_start": "run"}})
    assert data_lists(cfg) == {"data.files": ("a", "b"), "data.test_files": ("c",)}


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "\x00", ""])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"c\.yaml"):
        read_settings(path, [])


@pytest.mark.parametrize(
    "path",
    sorted(set(CONFIGS.rglob("*.yaml")) - set(CONFIGS.glob("calorimeters/*"))),
    ids=lambda path: path.stem,
)
def test_a_packaged_configuration_is_valid_and_saved_as_it_is_read(path):
    workload, cfg = configure(read_settings(path, []))
    assert workload.name == path.parent.name
    # A run goes on only if what it saved equals what it is given again.
    settings = to_settings(cfg)
    assert yaml.safe_load(yaml.safe_dump(settings)) == settings


def test_packaged_configurations_are_found_by_name():
    for name in ("gan3d/published", "gan3d/demo"):
        assert find_config(name).is_file()
    _, published = configure(read_settings(find_config("gan3d/published"), []))
    assert published == Gan3DConfig().resolved()
    with pytest.raises(InputError, match="gan3d/demo"):
        find_config("gan3d/demmo")


@given(
    st.builds(
        Outer,
        st.builds(
            Inner,
            st.floats(allow_nan=False, allow_infinity=False),
            st.lists(st.text(st.characters(codec="ascii")), max_size=3).map(tuple),
            st.tuples(st.integers(), st.integers()),
            st.sampled_from(["x", "y"]),
        ),
        st.integers(),
        st.booleans(),
    )
)
def test_settings_survive_yaml(cfg):
    assert build(Outer, yaml.safe_load(yaml.safe_dump(to_settings(cfg)))) == cfg


def test_flatten():
    assert flatten({"a": {"b": {"c": 1}}, "d": 2}) == {"a.b.c": 1, "d": 2}


@pytest.mark.parametrize(
    ("settings", "key", "value"),
    [
        ({"workload": "mlpf", "input": {"threads": 4}}, "input.window", 1024),
        ({"workload": "mlpf", "optimizer": {"learning_rate": 1}}, "optimizer.decay_every", 10_000),
        ({"workload": "gan3d", "optimizer": {"learning_rate": 1}}, "optimizer.beta2", 0.9),
        ({"workload": "gan3d", "optimizer": {"learning_rate": 1}}, "optimizer.name", "rmsprop"),
        ({"workload": "tagger", "optimizer": {"name": "novograd"}}, "optimizer.decay_first", 9),
    ],
)
def test_one_setting_keeps_the_published_rest(settings, key, value):
    assert flatten(to_settings(configure(settings)[1]))[key] == value


def test_paths_and_tuples_become_plain_settings():
    settings = {"data": {"files": ["a"]}}
    put(settings, "data.files", (Path("b"), "c"))
    put(settings, "train.seed", 3)
    assert settings == {"data": {"files": ["b", "c"]}, "train": {"seed": 3}}
    with pytest.raises(InputError, match=r"^data.files.x: expected files to be a group"):
        put(settings, "data.files.x", 1)
