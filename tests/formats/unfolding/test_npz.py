"""The npz layout: what is read, what is filled in, and what is refused."""

import numpy as np
import pytest

from hepjax import InputError
from hepjax.formats.unfolding.npz import holds_levels, list_files, read_arrays, write_arrays


def test_files_are_joined_particles_cut_and_flags_filled_in(tmp_path):
    for k, most in enumerate((3, 7)):
        write_arrays(tmp_path / f"Pythia26_Zjet_pTZ-200GeV_{k}.npz", {
            "sim_jets": np.ones((2, 4)), "sim_particles": np.full((2, most, 4), k + 1.0),
            **({"sim_pass": np.array([0, 1])} if k else {}),
        })  # fmt: skip
    found = read_arrays(list_files(tmp_path), ["sim_jets", "sim_particles"], particles=5)
    assert found["sim_particles"].shape == (4, 5, 4)
    assert found["sim_particles"][0, :, 0].tolist() == [1, 1, 1, 0, 0]
    assert found["sim_pass"].tolist() == [True, True, False, True]
    assert found["weights"].tolist() == [1] * 4
    assert found["sim_jets"].dtype == np.float32
    assert holds_levels(tmp_path)


def test_pickled_arrays_are_refused_not_run(tmp_path):
    path = tmp_path / "bad.npz"
    np.savez(path, sim_x=np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"bad\.npz: expected sound npz data"):
        read_arrays([path], ["sim_x"])


def test_shapes_and_missing_arrays_are_named(tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, {"sim_jets": np.ones((2, 3)), "gen_x": np.ones(2)})
    with pytest.raises(InputError, match=r"expected numbers \(events, 4\) in sim_jets for 2"):
        read_arrays([path], ["sim_jets"])
    with pytest.raises(InputError, match="expected the arrays sim_x, found sim_jets, gen_x"):
        read_arrays([path], ["sim_x"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected a folder with \*\.npz files"):
        list_files(tmp_path / "empty")
