"""Packed showers: the same source as the files they were packed from."""

import pickle

import jax
import numpy as np
import pytest
from helpers.shower_files import showers

from hepjax import InputError
from hepjax.formats.packed.writer import write_packed
from hepjax.formats.showers.files import open_shower_files
from hepjax.formats.showers.images import ShowerImages
from hepjax.formats.showers.reader import open_showers, with_cells
from hepjax.formats.showers.writer import write_showers
from hepjax.ops.densify import densify


def _pack_showers(folder, made, layout):
    write_showers(folder / "h5", [made], layout=layout, events_per_file=30)
    sets = []
    for number, path in enumerate(sorted((folder / "h5").iterdir())):
        file = ShowerImages(open_shower_files(path))
        sets.append(write_packed(folder / f"set{number}", file.stream(16), file.grid, {}))
    return sets


@pytest.mark.parametrize("layout", ["fixed", "angle"])
def test_packed_showers_open_as_the_files_do(tmp_path, blocks_of_8, layout):
    sets = _pack_showers(tmp_path, showers(50, grid=(9, 9, 4)), layout)
    rows = np.random.default_rng(1).permutation(50)
    for cuts in (
        {},
        {"energy_window": (100.0, 300.0), "crop": (2, 7)},
        {"min_sum": 3.0},
    ):
        files, packed = open_showers(tmp_path / "h5", **cuts), open_showers(sets, **cuts)
        assert packed.grid == files.grid
        assert len(packed) == len(files)
        assert np.array_equal(packed.energy, files.energy)
        chosen = rows[rows < len(files)]
        a, b = files[chosen], packed[chosen]
        assert set(a) == set(b)
        for name, values in a.items():
            assert np.array_equal(values, b[name]), name
        assert packed.blocks[-1] == len(packed)
        assert sum(len(b["energy"]) for b in packed.stream()) == len(packed)


@pytest.mark.parametrize("cuts", [{}, {"energy_window": (100.0, 300.0), "crop": (1, 14)}])
def test_sparse_showers_are_the_dense_ones_bit_for_bit(tmp_path, blocks_of_8, cuts):
    made = showers(50, grid=(15, 15, 4))
    made["ecal"][:, :, :, ::2] = 0  # otherwise they would be larger sparse
    sets = _pack_showers(tmp_path, made, "fixed")
    expected, found = open_showers(sets, **cuts), open_showers(sets, sparse=True, **cuts)
    rows = np.random.default_rng(1).permutation(len(expected))
    dense, sparse = expected[rows], found[rows]
    assert set(sparse) == set(dense) - {"ecal"} | {"cell", "value"}
    assert sparse["cell"].shape == sparse["value"].shape == (len(rows), found.packed.width)
    on_host = with_cells(sparse, found.grid)
    on_device = densify(sparse["cell"], sparse["value"], found.grid, (1,))[..., 0]
    assert np.array_equal(on_host["ecal"], dense["ecal"])
    assert np.array_equal(on_device, dense["ecal"])
    assert np.array_equal(on_host["energy"], dense["energy"])

    arrays, take = found.resident()
    taken = jax.jit(take)(arrays, rows)
    assert set(taken) == set(sparse)
    for name, values in sparse.items():
        assert np.array_equal(taken[name], values), name
    assert isinstance(pickle.loads(pickle.dumps(found))[rows], dict)


def test_dense_showers_and_files_stay_dense(tmp_path):
    made = showers(20)
    made["ecal"] += 1e-3
    sets = _pack_showers(tmp_path, made, "fixed")
    for source in (open_showers(sets, sparse=True), open_showers(tmp_path / "h5", sparse=True)):
        assert np.array_equal(source[np.arange(20)]["ecal"], made["ecal"])
        assert not hasattr(source, "resident")


def test_packed_images_are_no_showers(tmp_path, packed):
    with pytest.raises(InputError, match="expected packed showers, found images"):
        open_showers(packed)
    sets = _pack_showers(tmp_path, showers(5), "fixed")
    with pytest.raises(InputError, match="expected showers after the cuts, found none of 5"):
        open_showers(sets, energy_window=(1e4, 2e4))
    with pytest.raises(InputError, match=r"expected a crop \(data.crop\) inside the 5 x 5 cells"):
        open_showers(sets, crop=(0, 9))
    with pytest.raises(InputError, match="expected unit auto or GeV"):
        open_showers(sets, unit="0.02 GeV")
