"""The fixed sets: one for each kind of event, the same whenever they are made."""

import hashlib

import numpy as np
import pytest

from hepjax.formats.fields.boxes import list_boxes
from hepjax.formats.fields.cosmoflow import list_samples
from hepjax.formats.packed.reader import open_packed
from hepjax.formats.particleflow.reader import open_events
from hepjax.formats.showers.reader import open_showers
from hepjax.formats.waveforms.hdf5 import open_waveforms
from hepjax.ops.boxes import Setting
from hepjax.simulate import fixed
from hepjax.simulate.fixed import FIXED
from hepjax.workloads.cosmoflow.data import SampleSource
from hepjax.workloads.fields.data import CropSource
from hepjax.workloads.tracking.config import TrackingConfig
from hepjax.workloads.tracking.data import open_events as open_graphs

OPEN = {
    "showers": open_showers,
    "jets": open_packed,
    "events": lambda out: open_events(out, buckets=[6400]),
    "waveforms": open_waveforms,
    "hits": lambda out: open_graphs(TrackingConfig(), [out]),
    "boxes": lambda out: CropSource(list_boxes(out)),
    "universes": lambda out: SampleSource(list_samples(out), 8),
}


def made(kind, out, events, seed):
    done = []
    FIXED[kind](out, events, seed, done.append)
    assert sum(done) == events
    batch = OPEN[kind](out)[np.arange(events)]
    total = hashlib.sha256()
    for name in sorted(batch):
        total.update(np.ascontiguousarray(batch[name]).tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("kind", sorted(FIXED))
def test_a_set_is_its_number_and_seed(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(fixed, "PILEUP", 0.0)
    monkeypatch.setattr(fixed, "BOX", Setting(8, 6.25, steps=2))
    monkeypatch.setattr(fixed, "UNIVERSE", Setting(8, 64.0, steps=4))
    first, again, other = (
        made(kind, tmp_path / name, 4, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again != other
