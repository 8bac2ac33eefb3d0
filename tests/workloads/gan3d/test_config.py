"""Networks as settings: lists that fit the calorimeter, errors that name the layer, older runs."""

import dataclasses

import jax
import pytest
from helpers.gan3d import TINY, packaged

from hepjax import InputError
from hepjax.engine import older
from hepjax.engine.settings import (
    build,
    find_config,
    read_settings,
    to_settings,
)
from hepjax.formats.showers import calorimeters
from hepjax.formats.showers.described import Described
from hepjax.workloads import table
from hepjax.workloads.gan3d import layers, objective
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.geometry import image

PACKAGED = ("published", "filters16", "small", "demo", "angle", "any")


@pytest.mark.parametrize("name", PACKAGED)
def test_what_a_run_stores_is_what_it_had(name):
    cfg = packaged(name)
    assert build(Gan3DConfig, to_settings(cfg), stored=True) == cfg


def test_an_own_calorimeter_is_stored_whole(tmp_path):
    text = "name: mine\nenergy: [1, 20]\ncells: [8, 8]\ncell: 5\nlayers: [{repeat: 6}]\n"
    (tmp_path / "mine.yaml").write_text(text)
    cfg = packaged("any", f"data.calorimeter={tmp_path}/mine.yaml")
    stored = to_settings(cfg)
    (tmp_path / "mine.yaml").unlink()
    again = build(Gan3DConfig, stored, stored=True)
    assert again == cfg
    assert again.calorimeter.shape == (8, 8, 6)
    assert again.energies == (1, 20)
    assert to_settings(packaged("any"))["data"]["calorimeter"] == "lead-scintillator"


@pytest.mark.parametrize("name", calorimeters.names())
def test_small_networks_fit_every_calorimeter(name):
    cfg = packaged("any", f"data.calorimeter={name}")
    cells = image(cfg.calorimeter)
    assert cfg.model.generator
    assert cfg.model.discriminator
    shape = layers.shapes(cfg.model.generator, (cfg.model.latent,), "generator")[-1]
    assert shape == ((*cells, 1) if len(cells) == 3 else cells)
    assert cfg.energies == cfg.calorimeter.energy


@pytest.mark.parametrize("cells", [(1, 1, 1), (5, 6, 7), (2, 30, 3), (13, 26, 51)])
def test_small_networks_fit_any_box(cells):
    x, y, _ = cells
    own = dataclasses.replace(
        calorimeters.unknown(cells), name="box", energy=(1.0, 2.0), cells=(x, y)
    )
    data = dataclasses.replace(TINY.data, calorimeter=Described(own))
    free = dataclasses.replace(TINY.model, generator=(), discriminator=())
    conditions = dataclasses.replace(TINY.objective, conditions="batch")
    cfg = dataclasses.replace(TINY, model=free, data=data, objective=conditions).resolved()
    made = layers.shapes(cfg.model.generator, (cfg.model.latent,), "generator")[-1]
    assert made == (*cells, 1)


LAST = "{filters: 1, kernel: [2, 2, 2], padding: [0, 0, 0]}"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            [f"model.generator=[{{dense: [13, 13, 13, 2]}}, {{upsample: [2, 2, 1]}}, {LAST}]"],
            r"^model\.generator\[2\]: expected an output of 25 x 25 x 25, .*found 25 x 25 x 12;",
        ),
        (
            ["model.generator=[{dense: [25, 25, 25, 2]}]"],
            r"^model\.generator\[0\]: expected 1 filter, .*found 2$",
        ),
        (
            [f"model.generator=[{LAST}]"],
            r"^model\.generator\[0\]: expected a dense layer, found none$",
        ),
        (
            [f"model.generator=[{{dense: [8]}}, {LAST}]"],
            r"^model\.generator\[1\]: expected an input of cells .*found 8 features",
        ),
        (
            ["model.discriminator=[{filters: 2, kernel: [26, 3, 3], padding: [0, 0, 0]}]"],
            r"^model\.discriminator\[0\]: expected a kernel that fits 25 x 25 x 25 cells",
        ),
        (
            ["model.discriminator=[{pool: [2, 2, 26]}]"],
            r"^model\.discriminator\[0\]: expected a pool of at most 25 x 25 x 25 cells",
        ),
        (
            ["model.discriminator=[{filters: 2, kernel: [3, 3]}]"],
            r"^model\.discriminator\[0\]\.kernel: expected a list of 3, found \[3, 3\]$",
        ),
        (
            ["model.discriminator=[{filter: 2}]"],
            r"^model\.discriminator\[0\]\.filter: expected a known .*did you mean .*filters\?",
        ),
        (
            ["model.discriminator=[{filters: -2}]"],
            r"^model\.discriminator\[0\]\.filters: expected 0 or more, found -2$",
        ),
        (
            ["model.generator=[{dense: [25, 25, 25, 1], filters: 1}]"],
            r"^model\.generator\[0\]\.dense: expected no filters beside it",
        ),
        (
            ["data.calorimeter=lead-scintillator", "objective.conditions=batch"],
            r"^model\.generator\[4\]: expected an output of 21 x 21 x 20, .*found 25 x 25 x 25;",
        ),
        (
            ["data.calorimeter=par04", "model.generator=[]", "model.discriminator=[]"],
            r"^objective\.conditions: expected batch with par04",
        ),
        (
            ["model.inputs=energy-angle", "objective.conditions=batch"],
            r"^data\.angle_range: expected low < high, as clic-25 knows one angle only",
        ),
        (
            ["model.energy_power=1"],
            r"^model\.energy_power: expected 0 with model\.inputs=product",
        ),
        (["data.calorimeter=clic"], r"^clic: expected a YAML file.*did you mean clic-"),
        (["data.calorimeter=3"], r"^data\.calorimeter: expected the name or file"),
        (
            ["model.generator_filters=[1, 2]"],
            r"^model\.generator_filters: expected a known .*layers in model\.generator",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(overrides, message):
    with pytest.raises(InputError, match=message) as error:
        packaged("published", *overrides)
    assert "\n" not in str(error.value)


OLD = {
    "latent": 200, "seed_channels": 8, "generator_filters": [64, 6, 6],
    "discriminator_filters": [32, 8, 8, 8], "discriminator_kernel": 5,
    "discriminator_pool": 1, "dropout": 0.2,
}  # fmt: skip
SMALL = {
    "generator_filters": [32, 6, 6], "discriminator_filters": [8, 16, 16, 16],
    "discriminator_kernel": 3, "discriminator_pool": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({}, "published"),
        ({"generator_filters": [64, 16, 16], "discriminator_filters": [32, 16, 16, 16]},
         "filters16"),
        (SMALL, "small"),
    ],
)  # fmt: skip
def test_numbers_of_older_runs_are_the_lists_of_now(change, name):
    settings = older.translated({"workload": "gan3d", "model": OLD | change})
    _, cfg = table.configure(settings | {"objective": {"conditions": "batch"}})
    assert cfg.model == packaged(name).model


def test_numbers_of_older_configurations_are_understood(tmp_path):
    """Each alone too, beside the former defaults of the others."""
    path = tmp_path / "mine.yaml"
    path.write_text(f"workload: gan3d\nmodel: {SMALL}\n".replace("'", ""))
    cfg = table.configure(read_settings(path, []))[1]
    assert cfg.model == packaged("small").model
    assert (
        packaged("published", "model.discriminator_kernel=5").model == packaged("published").model
    )
    assert (
        packaged("published", "model.generator_filters=[1, 2, 3]").model.generator[3].filters == 3
    )


def test_parameters_have_the_names_that_older_checkpoints_have():
    state = jax.eval_shape(lambda: objective.init(Gan3DConfig(), jax.random.key(0)))
    assert set(state.generator.params) == {
        "Dense_0", "Conv3D_0", "Conv3D_1", "Conv3D_2", "Conv3D_3", "BatchNorm_0", "BatchNorm_1"
    }  # fmt: skip
    assert set(state.discriminator.params) == {
        "Conv3D_0", "Conv3D_1", "Conv3D_2", "Conv3D_3", "BatchNorm_0", "BatchNorm_1",
        "BatchNorm_2", "generation", "auxiliary",
    }  # fmt: skip


def test_the_angle_networks_are_the_published_lists():
    cfg = packaged("angle")
    found = layers.shapes(cfg.model.generator, (256,), "generator")
    assert [shape[:3] for shape in found] == [
        (9, 9, 8), (49, 49, 41), (50, 50, 38), (51, 51, 35), (52, 52, 32), (52, 52, 28),
        (52, 52, 26), (51, 51, 25),
    ]  # fmt: skip
    found = layers.shapes(cfg.model.discriminator, (51, 51, 25, 1), "discriminator")
    assert found == [(51, 51, 25, 16), (47, 46, 22, 8), (43, 41, 19, 8), (19, 18, 7, 8)]
    weights = cfg.objective
    assert (weights.weight_generation, weights.weight_energy) == (3, 0.1)
    assert (weights.weight_angle, weights.weight_sum) == (25, 0.1)


def test_yaml_of_the_packaged_lists_says_only_what_differs():
    settings = to_settings(packaged("small"))["model"]["discriminator"]
    written = read_settings(find_config("gan3d/small"), [])["model"]["discriminator"]
    assert settings == written
