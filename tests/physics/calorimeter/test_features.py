"""Cells of boxes and cylinders on axes and by layer, and the high-level features of the
CaloChallenge: against a plain loop over cells, and answers on paper.
"""

import numpy as np
import pytest

from hepjax.formats.showers.calorimeter import Calorimeter, Layer
from hepjax.formats.showers.calorimeters import calorimeter
from hepjax.physics.calorimeter import features, grids, layers, metrics

UNEVEN = Calorimeter(
    "uneven",
    (Layer(rings=(0, 10, 40), sectors=1), Layer(rings=(0, 20, 40, 80), sectors=4, number=7)),
)


def spread(shape, seed=0, n=3):
    rng = np.random.default_rng(seed)
    return (rng.gamma(0.3, size=(n, *shape)) * 1e-2).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "count"),
    [("atlas-photons", 30), ("atlas-pions", 46), ("par04", 362), ("par04-fine", 362)],
)
def test_published_numbers_of_features(name, count):
    assert len(features.columns(calorimeter(name))) == count


def test_order_of_the_features():
    """Incident, layers, centres and widths of layers with sectors, total, sparsity, radii."""
    groups = [group for group, _ in features.columns(calorimeter("atlas-photons"))]
    expected = [1, 5, 2, 2, 2, 2, 1, 5, 5, 5]
    assert [groups.count(g) for g in dict.fromkeys(groups)] == expected
    assert [n for g, n in features.columns(calorimeter("atlas-pions")) if g == "centre_y"] == [
        1, 2, 12, 13,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["atlas-photons", "par04"])
def test_features_of_a_cylinder_against_a_loop(name):
    cal = calorimeter(name)
    showers, energy = spread(cal.shape), np.array([10.0, 20.0, 30.0], np.float32)
    showers[1, : cal.offsets[1]] = 0  # an empty layer
    found = np.asarray(features.high_level(showers, energy, cal))
    column = {key: i for i, key in enumerate(features.columns(cal))}
    for i, layer in enumerate(cal.layers[:3]):
        cells = showers[:, cal.offsets[i] : cal.offsets[i + 1]].astype(float) * 1e3
        cells = cells.reshape(3, layer.sectors, -1)
        alpha = -np.pi + (np.arange(layer.sectors) + 0.5) * 2 * np.pi / layer.sectors
        radius = np.array([(a + b) / 2 for a, b in zip(layer.rings, layer.rings[1:], strict=False)])
        x = np.cos(alpha)[:, None] * radius
        total = cells.sum((1, 2))
        mean = (cells * x).sum((1, 2)) / (total + 1e-16)
        width = np.sqrt(np.maximum((cells * x**2).sum((1, 2)) / (total + 1e-16) - mean**2, 0))
        got = {g: found[:, column[g, layer.number]] for g in ("layer", "sparsity", "centre_r")}
        np.testing.assert_allclose(got["layer"], np.log10(total + 1e-8), rtol=1e-4)
        np.testing.assert_allclose(got["sparsity"], (cells == 0).mean((1, 2)), atol=1e-6)
        r = (cells * radius).sum((1, 2)) / (total + 1e-16)
        np.testing.assert_allclose(got["centre_r"], r / 100, rtol=1e-4, atol=1e-6)
        if layer.sectors > 1:
            np.testing.assert_allclose(
                found[:, column["centre_x", layer.number]], mean / 100, atol=1e-5
            )
            np.testing.assert_allclose(
                found[:, column["width_x", layer.number]], width / 100, rtol=1e-3
            )
    np.testing.assert_allclose(found[:, 0], np.log10(energy * 1e3), rtol=1e-6)


def test_features_of_two_cells_of_a_box():
    """Equal energies 30 mm apart along x: the centre between them, a width of 15 mm."""
    cal = Calorimeter("box", tuple(Layer() for _ in range(2)), cells=(5, 3), cell_mm=(10.0, 10.0))
    shower = np.zeros((1, 5, 3, 2), np.float32)
    shower[0, 1, 1, 1] = shower[0, 4, 1, 1] = 0.5
    found = np.asarray(features.high_level(shower, np.array([100.0]), cal))[0]
    groups = [group for group, _ in features.columns(cal)]
    column = {g: [i for i, k in enumerate(groups) if k == g] for g in features.GROUPS}
    assert found[column["centre_x"]] == pytest.approx([0, 0.05])
    assert found[column["width_x"]] == pytest.approx([0, 0.15])
    assert found[column["width_y"]] == pytest.approx([0, 0])
    assert found[column["layer"]] == pytest.approx([-8, 3])
    assert found[column["sparsity"]] == pytest.approx([1, 1 - 2 / 15])
    assert found[column["centre_r"]] == pytest.approx([0, 0.15])


def test_grid_of_uneven_layers_keeps_energy_and_spreads_by_area():
    showers = spread(UNEVEN.shape)
    grid = np.asarray(grids.on_grid(showers, UNEVEN))
    assert grid.shape == (3, 4, 4, 2)
    np.testing.assert_allclose(grid.sum((1, 2)), np.stack(
        [showers[:, :2].sum(1), showers[:, 2:].sum(1)], axis=1), rtol=1e-5)  # fmt: skip
    # The ring 10 to 40 mm has 300 of its 1500 mm^2 (over pi) below 20 mm.
    np.testing.assert_allclose(grid[:, 1, :, 0].sum(1), showers[:, 1] * 0.2, rtol=1e-5)
    np.testing.assert_allclose(grid[:, 0, 0, 0], showers[:, 0] / 4, rtol=1e-5)


@pytest.mark.parametrize("cal", [UNEVEN, calorimeter("par04"), calorimeter("clic-25")])
def test_places_agree_with_the_grid(cal):
    """A single filled cell is hottest on the grid where ``places`` says it is."""
    for cell in (0, cal.voxels // 3, cal.voxels - 1):
        shower = np.zeros((1, cal.voxels), np.float32)
        shower[0, cell] = 1.0
        grid = np.asarray(grids.on_grid(shower.reshape(1, *cal.shape), cal))[0]
        assert grid[tuple(grids.places(cal)[cell])] == grid.max()


def test_layers_of_every_kind_sum_to_the_shower():
    for cal in (UNEVEN, calorimeter("par04"), calorimeter("lead-scintillator")):
        showers = spread(cal.shape)
        by_layer = np.asarray(grids.by_layer(showers, cal))
        assert by_layer.shape[1] == len(cal.layers)
        np.testing.assert_allclose(by_layer.sum((1, 2)), showers.reshape(3, -1).sum(1), rtol=1e-5)


def test_low_level_is_over_the_incident_energy_or_over_the_layer():
    showers, energy = spread(UNEVEN.shape), np.array([1.0, 10.0, 100.0], np.float32)
    showers[0, :2] = 0
    plain = features.low_level(showers, energy, UNEVEN)
    assert plain.shape == (3, 15)
    np.testing.assert_allclose(plain[:, 0], [3, 4, 5])
    np.testing.assert_allclose(plain[:, 1:], showers / energy[:, None], rtol=1e-6)
    normed = features.low_level(showers, energy, UNEVEN, normalised=True)
    np.testing.assert_allclose(normed[:, 1:3].sum(1), [0, 1, 1], rtol=1e-5)
    np.testing.assert_allclose(normed[:, 3:15].sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(normed[:, 16], np.log10(showers[:, 2:].sum(1) * 1e3), rtol=1e-4)


def test_separation_of_the_energy_scale_is_seen_in_its_groups():
    """All cells 5 % up: layers and total move, centres, widths and sparsity cannot."""
    cal = calorimeter("par04")
    rng = np.random.default_rng(1)
    energy = np.geomspace(1, 1000, 400).astype(np.float32)
    showers = spread(cal.shape, n=400) * rng.normal(1, 0.01, (400, 1)).astype(np.float32)
    showers *= (0.8 * energy / showers.sum(1))[:, None]
    pair = [np.asarray(features.high_level(s, energy, cal)) for s in (showers, 1.05 * showers)]
    axes = layers.axes(pair[0], 400, cal)
    power = layers.separations(*(layers.counts(layers.codes(s, axes, cal)) for s in pair), axes)
    assert power["total"] == pytest.approx(1)
    assert power["layer"] > 1e-3
    assert max(power[g] for g in ("centre_x", "width_y", "sparsity", "width_r")) < 1e-3


def test_codes_are_the_bins_of_numpy():
    cal = calorimeter("atlas-photons")
    sample = np.asarray(features.high_level(spread(cal.shape, n=50), np.full(50, 5.0), cal))
    axes = layers.axes(sample, 50, cal)
    counts = layers.counts(layers.codes(sample, axes, cal))
    for k, axis in enumerate(axes):
        if axis.group == "sparsity":
            column = features.columns(cal).index(("sparsity", axis.layer))
            expected = np.histogram(sample[:, column], 20, (0, 1))[0]
            np.testing.assert_array_equal(counts[k, :20], expected)
    assert metrics.separation(counts[0], counts[0]) == 0


def test_trees_see_energies_over_the_incident_one():
    """A scale of the cells moves the same columns by the same number at every incident energy."""
    box = Calorimeter("box", tuple(Layer() for _ in range(2)), cells=(5, 3), cell_mm=(10.0, 10.0))
    cells = spread(box.shape, n=6)
    energy = np.array([1.0, 2, 4, 8, 16, 32])
    once, twice = (
        features.relative_energies(np.asarray(features.high_level(c, energy, box)), box)
        for c in (cells, 2 * cells)
    )
    of_energies = [g in ("layer", "total") for g, _ in features.columns(box)]
    moved = np.where(of_energies, np.log10(2), 0)
    np.testing.assert_allclose(twice - once, np.tile(moved, (6, 1)), atol=2e-4)
    total = [g for g, _ in features.columns(box)].index("total")
    np.testing.assert_allclose(10 ** once[:, total], cells.sum((1, 2, 3)) / energy, rtol=1e-3)
