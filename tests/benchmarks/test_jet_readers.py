"""Every reader of the benchmark gives the same jets, so that it compares work of one kind."""

import numpy as np

from benchmarks.speed import jet_readers
from hepjax.engine.settings import find_config, read_settings
from hepjax.workloads.table import configure
from hepjax.workloads.tagger.workload import WORKLOAD


def test_readers_give_the_same_images_and_labels(tmp_path):
    images, columns = jet_readers.toy_jets(4, 1)
    folder = jet_readers.write_set(tmp_path / "set", images, columns, 1)
    settings = read_settings(find_config("tagger/top"), ["train.batch_size=2"])
    cfg = configure(settings)[1]
    source = jet_readers.packed_source(cfg, folder)
    packed, spec = source[np.arange(4)], WORKLOAD.spec(cfg, source)
    expected = np.asarray(WORKLOAD.prepare(cfg, spec, packed)["image"])
    assert 1000 < (expected != 0).sum() / 4 < 5000

    for name, (path, read) in jet_readers.write_legacy(tmp_path, images, columns, 1).items():
        batches = list(jet_readers.as_batches(read, path, 2))
        image, label = (np.concatenate([b[k] for b in batches]) for k in ("image", "label"))
        if "nested" in name:
            image = np.moveaxis(image, 1, -1)
        order = np.random.default_rng(0).permutation(4) if "memory" in name else np.arange(4)
        np.testing.assert_array_equal(image, expected[order], err_msg=name)
        np.testing.assert_array_equal(label, columns["label"][order], err_msg=name)
