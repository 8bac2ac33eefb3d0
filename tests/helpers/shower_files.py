"""Small made-up showers and files for the tests of reading and writing."""

import h5py
import numpy as np


def showers(n, grid=(5, 5, 4), seed=0):
    """Sparse random showers with a sampling fraction of 2 %."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(10, 500, n).astype(np.float32)
    cells = rng.exponential(size=(n, *grid)) * (rng.random((n, *grid)) < 0.3)
    cells *= (0.02 * energy / cells.sum((1, 2, 3)))[:, None, None, None]
    theta = rng.uniform(1.05, 2.09, n).astype(np.float32)
    return {"ecal": cells.astype(np.float32), "energy": energy, "theta": theta}


def write_hdf5(path, chunk=None, gzip=None, **datasets):
    """Datasets as they are; ``chunk`` events a chunk of ``ECAL``."""
    with h5py.File(path, "w") as file:
        for key, values in datasets.items():
            values = np.asarray(values)
            chunks = (chunk, *values.shape[1:]) if chunk and key == "ECAL" else None
            options = {"chunks": chunks, "compression": gzip} if chunks else {}
            file.create_dataset(key, data=values, **options)
    return path


def write_fixed(path, made, chunk=16, gzip="gzip"):
    """A file as the fixed-angle set has them."""
    target = np.stack([np.full_like(made["energy"], 11), made["energy"]], axis=1)
    return write_hdf5(path, chunk, gzip, ECAL=made["ecal"], target=target)
