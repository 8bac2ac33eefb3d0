"""ROOT files small enough for tests, written with uproot; their numbers are known."""

from pathlib import Path

import numpy as np
import pytest


def write_tree(path: Path, columns: dict, *, ntuple: bool = False) -> Path:
    """A tree ``events``, or an RNTuple, of flat (arrays) and jagged (lists of lists) branches."""
    uproot = pytest.importorskip("uproot")
    import awkward as ak

    made = {
        key: values if isinstance(values, np.ndarray) else ak.Array(values)
        for key, values in columns.items()
    }
    with uproot.recreate(path) as file:
        if ntuple:
            file["events"] = made
            return path
        kinds = {
            key: np.dtype((a.dtype, a.shape[1:])) if isinstance(a, np.ndarray)
            else f"var * {str(ak.type(a[:1])).split('* ')[-1]}"
            for key, a in made.items()
        }  # fmt: skip
        file.mktree("events", kinds)
        file["events"].extend(made)
    return path


def one_jet_an_entry(path: Path, *, ntuple: bool = False) -> Path:
    """Three jets with constituents at known distances of the axis, one across phi = pi."""
    return write_tree(
        path,
        {
            "jet_pt": np.array([100.0, 200.0, 300.0]),
            "jet_eta": np.array([0.5, -1.0, 0.0]),
            "jet_phi": np.array([0.0, 3.14, 1.0]),
            "jet_label": np.array([0, 1, 1], np.int32),
            "part_pt": [[1.0, 2.0, 4.0], [8.0], [16.0, 32.0]],
            "part_eta": [[0.5, 0.5, 0.7], [-1.0], [0.0, 5.0]],
            "part_phi": [[0.0, 0.001, 0.0], [-3.1331853], [1.0, 1.0]],
            "part_charge": [[1, 0, -1], [0], [1, 1]],
        },
        ntuple=ntuple,
    )
