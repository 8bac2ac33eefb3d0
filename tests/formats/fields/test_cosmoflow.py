"""Samples of CosmoFlow as HDF5 and TFRecord, and what is refused."""

import gzip
import io
import struct

import h5py
import numpy as np
import pytest

from hepjax import InputError
from hepjax.formats.fields import cosmoflow
from hepjax.formats.tfrecord import write_record

N = 4


def sample(seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(2.0, (N, N, N, 4)).astype(np.int16)
    return cosmoflow.Sample(counts, rng.uniform(-1, 1, 4).astype(np.float32))


def _field(number, content):
    def varint(value):
        out = b""
        while value > 127:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        return out + bytes([value])

    return varint(number << 3 | 2) + varint(len(content)) + content


def example(x, y):
    """A tf.train.Example with the features x (bytes) and y (floats)."""
    floats = _field(1, struct.pack(f"<{len(y)}f", *y))
    entries = [(b"x", _field(1, _field(1, x))), (b"y", _field(2, floats))]
    return _field(1, b"".join(_field(1, _field(1, k) + _field(2, v)) for k, v in entries))


def records(path, samples, *, zipped=False):
    buffer = io.BytesIO()
    for s in samples:
        write_record(buffer, example(s.counts.astype("<i2").tobytes(), s.parameters))
    content = buffer.getvalue()
    path.write_bytes(gzip.compress(content) if zipped else content)
    return path


def same(found, made):
    for a, b in zip(found, made, strict=True):
        np.testing.assert_array_equal(a.counts, b.counts)
        np.testing.assert_array_equal(a.parameters, b.parameters)


def test_hdf5(tmp_path):
    made = sample()
    cosmoflow.write_sample(tmp_path / "a.h5", made, [0.3, 0.8, 0.96, 0.7], np.arange(4))
    assert cosmoflow.is_samples(tmp_path)
    same(cosmoflow.read_samples(tmp_path / "a.h5"), [made])


@pytest.mark.parametrize("zipped", [False, True])
def test_tfrecord(tmp_path, zipped):
    made = [sample(k) for k in range(3)]
    path = records(tmp_path / "a.tfrecord", made, zipped=zipped)
    assert cosmoflow.is_samples(path)
    same(cosmoflow.read_samples(path), made)


def test_bad_samples_are_refused(tmp_path):
    made = sample()
    beyond = made._replace(parameters=np.float32([0, 0, 0, 3.1]))
    with pytest.raises(InputError, match=r"expected parameters from -1 to 1 \(unitPar\), found"):
        list(cosmoflow.read_samples(records(tmp_path / "a.tfrecord", [beyond])))
    negative = made._replace(counts=made.counts - 10)
    with pytest.raises(InputError, match=r"expected counts of 0 and more"):
        list(cosmoflow.read_samples(records(tmp_path / "b.tfrecord", [negative])))
    short = records(tmp_path / "c.tfrecord", [made])
    buffer = io.BytesIO()
    write_record(buffer, example(made.counts.tobytes()[:-2], made.parameters))
    short.write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match=r"expected int16 counts of a cube at 4 redshifts in x"):
        list(cosmoflow.read_samples(short))
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["full"], file["unitPar"] = np.ones((N, N, N, 2), np.int16), np.zeros(4)
    with pytest.raises(InputError, match=r"expected \(n, n, n, 4\) in 'full'"):
        list(cosmoflow.read_samples(tmp_path / "d.h5"))
