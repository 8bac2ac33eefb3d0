"""Small made-up MLPF events, and files of them in the three layouts."""

import bz2
import pickle

import h5py
import numpy as np
import tensorflow_datasets as tfds

KEYS = ("X", "ygen", "ycand")


def event(elements, rng):
    """Tracks, then towers; tracks are charged hadrons and electrons, towers photons or nothing."""
    tracks = elements // 2
    X = np.zeros((elements, 12), np.float32)
    X[:, 0] = np.where(np.arange(elements) < tracks, 2, 1)
    X[:, 1:9] = rng.normal(size=(elements, 8))
    X[:, [1, 5]] = np.abs(X[:, [1, 5]])
    X[tracks:, 6:8] = np.abs(X[tracks:, 6:8])
    X[:, [3, 4, 7, 8]] = np.clip(X[:, [3, 4, 7, 8]], -1, 1)
    X[:tracks, 9] = rng.choice([-1, 1], tracks)
    y = np.zeros((elements, 7), np.float32)
    y[:, 0] = np.where(X[:, 0] == 2, rng.choice([1, 4], elements), rng.choice([0, 3], elements))
    y[:, 1] = X[:, 9]
    pt, eta, phi = (
        rng.exponential(5, elements),
        rng.normal(size=elements),
        rng.normal(size=elements),
    )
    kinematics = np.stack([pt, eta, np.sin(phi), np.cos(phi), pt * np.cosh(eta)], axis=1)
    y[:, 2:] = kinematics * (y[:, :1] > 0)
    return {"X": X, "ygen": y, "ycand": y * np.float32([1, 1, 1.1, 1, 1, 1, 1.1])}


def events(n=9, seed=0, longest=12):
    """``n`` events of 2 to ``longest`` elements."""
    rng = np.random.default_rng(seed)
    return [event(elements, rng) for elements in rng.integers(2, longest + 1, n)]


def lists(made):
    """As the published pickles have them: float64, one array an event."""
    return {key: [e[key].astype(np.float64) for e in made] for key in KEYS}


def write_pickle(path, content, protocol=4):
    path.write_bytes(bz2.compress(pickle.dumps(content, protocol)))
    return path


def write_hdf5(path, made, **changes):
    """Flat, in chunks of 16 rows; ``changes`` replace datasets, None leaves one out."""
    datasets = {key: np.concatenate([e[key] for e in made]) for key in KEYS}
    datasets["offsets"] = np.cumsum([0, *(len(e["X"]) for e in made)])
    datasets["n_unassociated_gen"] = np.arange(len(made), dtype=np.int32)
    with h5py.File(path, "w") as file:
        for key, values in (datasets | changes).items():
            if values is not None:
                values = np.asarray(values)
                chunks = (16, *values.shape[1:]) if values.ndim == 2 and len(values) > 16 else None
                options = {"chunks": chunks, "compression": "gzip"} if chunks else {}
                file.create_dataset(key, data=values, **options)
    return path


class DelphesPf(tfds.core.GeneratorBasedBuilder):
    """The published data set; ``rows`` pads all events, ``columns`` are those of y."""

    VERSION = tfds.core.Version("1.1.0")
    made, rows, columns = {}, None, 8

    def _info(self):
        def table(width):
            return tfds.features.Tensor(shape=(self.rows, width), dtype=np.float32)

        features = {"X": table(12), "ygen": table(self.columns), "ycand": table(self.columns)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.made}

    def _generate_examples(self, split):
        for number, e in enumerate(self.made[split]):
            rows = len(e["X"]) if self.rows is None else self.rows
            widths = {"X": 12, "ygen": self.columns, "ycand": self.columns}
            padded = {key: np.zeros((rows, w), np.float32) for key, w in widths.items()}
            for key in KEYS:
                padded[key][: len(e[key]), : e[key].shape[1]] = e[key]
            yield number, padded


def write_tfds(folder, made, rows=None, columns=8):
    """A data set with the splits of ``made``; return the folder of its version."""
    DelphesPf.made, DelphesPf.rows, DelphesPf.columns = made, rows, columns
    builder = DelphesPf(data_dir=folder, file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(verify_ssl=False))
    return folder / "delphes_pf" / "1.1.0"
