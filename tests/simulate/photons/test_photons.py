"""Electrons and photons as crystal images."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.physics.photon_model import FILE, quantities, reference, summary
from hepjax import InputError
from hepjax.simulate.photons.photons import GRID, LABELS, simulate_photons


@pytest.fixture(scope="module")
def sample():
    """Images (1024, 32, 32) and their columns."""
    images, columns = zip(*simulate_photons(1024, (40.0, 60.0), seed=3), strict=True)
    return np.concatenate([dense(some) for some in images]), {
        name: np.concatenate([some[name] for some in columns]) for name in columns[0]
    }


def dense(images):
    full = np.zeros((len(images), GRID.size), np.float32)
    full[np.repeat(np.arange(len(images)), np.diff(images.first)), images.cell] = images.value
    return full.reshape(len(images), *GRID.shape)


def test_columns_and_the_hottest_crystal(sample):
    images, columns = sample
    assert set(np.unique(columns["label"])) == set(LABELS)
    assert 0.4 < columns["label"].mean() < 0.6
    np.testing.assert_array_equal(columns["event"], np.arange(1024))
    assert columns["energy"].min() >= 40.0
    assert columns["energy"].max() <= 60.0
    assert np.abs(columns["tilt"]).max() <= np.radians(3.0) + 1e-6
    assert np.all(images.reshape(1024, -1).argmax(axis=1) == 16 * 32 + 16)


def test_the_energy_is_in_the_image(sample):
    images, columns = sample
    response = images.sum((1, 2)) / columns["energy"]
    assert 0.97 < response.mean() < 1.0
    assert np.mean(response > 0.9) > 0.99


def test_electrons_are_wider_where_they_bend(sample):
    images, columns = sample
    shapes = summary(images, columns["energy"], columns["label"] == 1)
    electrons, _, photons, _, area = shapes["width_bending"]
    assert electrons > photons
    assert 0.62 < area < 0.73
    assert shapes["width_other"][4] < 0.57


def test_means_are_those_of_full_monte_carlo(sample, reference_data):
    images, columns = sample
    ours = summary(images, columns["energy"], columns["label"] == 1)
    theirs = reference(reference_data / FILE)
    assert ours.keys() == theirs.keys()
    for name, (electrons, _, photons, _, area) in theirs.items():
        assert ours[name][0] == pytest.approx(electrons, rel=0.15)
        assert ours[name][2] == pytest.approx(photons, rel=0.15)
        assert ours[name][4] == pytest.approx(area, abs=0.08)


def test_axes_are_those_of_the_monte_carlo_file(reference_data):
    table = pq.read_table(reference_data / FILE)
    images = table["X"].combine_chunks().flatten().flatten().flatten().to_numpy()
    shapes = quantities(images.reshape(-1, 32, 32), table["energy"].to_numpy())
    assert shapes["width_bending"].mean() > 1.3 * shapes["width_other"].mean()


def test_the_first_events_do_not_depend_on_how_many_follow():
    (short, some), *_ = simulate_photons(10, (40.0, 60.0), seed=5)
    (long, more), *_ = simulate_photons(100, (40.0, 60.0), seed=5)
    np.testing.assert_array_equal(dense(short), dense(long)[:10])
    np.testing.assert_array_equal(some["label"], more["label"][:10])
    (other, _), *_ = simulate_photons(10, (40.0, 60.0), seed=6)
    assert np.any(dense(other) != dense(short))


def test_energies_out_of_range_are_refused():
    with pytest.raises(InputError, match="1 to 1000 GeV"):
        next(simulate_photons(1, (0.1, 60.0), seed=0))
