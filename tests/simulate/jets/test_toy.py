"""The toy: sparsity and order of the classes, nothing finer."""

from itertools import pairwise

import numpy as np
import pytest

from hepjax.simulate.jets.images import jet_grid
from hepjax.simulate.jets.toy import CROWDED, simulate_toy_jets


def sample(task, jets=1024, **options):
    """Images as one list of cells per jet, and columns."""
    images, columns = zip(*simulate_toy_jets(task, jets, 1, **options), strict=True)
    cells = [part.cell[a:b] for part in images for a, b in pairwise(part.first)]
    return cells, {name: np.concatenate([c[name] for c in columns]) for name in columns[0]}


def mean_cells(cells, resolution=1):
    grid = jet_grid(resolution)
    counts = np.histogram(np.concatenate(cells), grid.starts)[0]
    return dict(zip(grid.names, counts / len(cells), strict=True))


@pytest.mark.parametrize("resolution", [1, 3])
def test_images_are_as_sparse_as_real_ones(resolution):
    cells, _ = sample("top", resolution=resolution)
    mean = mean_cells(cells, resolution)
    for name in ("pT", "d0", "dz", "BPIX1", "BPIX2", "BPIX3"):
        assert 18 < mean[name] < 40
    assert 8 < mean["ECAL"] < 30
    assert 5 < mean["HCAL"] < 14  # towers, of 25 pixels each


def test_crowded_images_have_1200_cells():
    cells, _ = sample("top", jets=256, soft=CROWDED)
    assert np.mean([len(c) for c in cells]) == pytest.approx(1220, rel=0.1)


def test_tops_are_heavy_and_contained():
    _, columns = sample("top")
    top = columns["label"] == 1
    assert 0.45 < top.mean() < 0.55
    assert np.median(columns["mass"][top]) == pytest.approx(178, abs=12)
    assert np.median(columns["mass"][~top]) < 100
    assert columns["pt"].min() >= 400
    assert columns["pt"].max() <= 1200


def test_gluons_have_more_tracks_than_quarks():
    _, columns = sample("quark-gluon")
    gluon = columns["label"] == 1
    assert columns["n_tracks"][gluon].mean() > 1.2 * columns["n_tracks"][~gluon].mean()


def test_the_seed_decides_and_the_number_asked_for_is_kept():
    a, b, c = (next(iter(simulate_toy_jets("top", 30, seed))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a[0].value, b[0].value)
    assert len(a[0]) == 30
    assert not np.array_equal(a[1]["pt"], c[1]["pt"])
