"""Files of hits: written and read back to the bit, and what is wrong with others."""

import gzip

import numpy as np
import pytest

from hepjax import InputError
from hepjax.formats.tracking.detector import SURFACES, surface_of
from hepjax.formats.tracking.event import score_weights
from hepjax.formats.tracking.trackml import list_events, read_event, write_event
from hepjax.simulate.hits.events import simulate_event


@pytest.fixture(scope="module")
def event():
    return simulate_event(40, seed=1)


@pytest.fixture
def hits(event, tmp_path):
    return write_event(tmp_path, 7, event)


def rewrite(path, change):
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(change(text).encode()))


def test_identifiers_keep_their_64_bits(event, hits):
    read = read_event(hits)
    assert event.identifier.max() > 2**53
    np.testing.assert_array_equal(read.particle, event.particle)
    np.testing.assert_array_equal(read.identifier, event.identifier)
    np.testing.assert_allclose(read.xyz, event.xyz, rtol=1e-6)
    np.testing.assert_array_equal(read.surface, event.surface)
    np.testing.assert_allclose(read.pt, event.pt, rtol=1e-5)
    assert list_events(hits.parent) == [hits]


def test_tables_may_be_plain_or_lack_the_truth(event, hits):
    plain = hits.with_name("event000000008-hits.csv")
    plain.write_bytes(gzip.decompress(hits.read_bytes()))
    read = read_event(plain)
    assert len(read) == len(event)
    assert read.particle is None


def test_the_detector_has_48_surfaces():
    assert len(SURFACES) == 48
    assert sum(s.disc for s in SURFACES) == 38
    volumes, layers = np.array([8, 7, 18, 8, 99]), np.array([2, 2, 12, 3, 2])
    found = surface_of(volumes, layers)
    assert SURFACES[found[0]].at == 32.0
    assert SURFACES[found[1]].at == -1500.0
    assert SURFACES[found[2]].at == 2950.0
    assert (found[3:] == -1).all()


def test_weights_of_the_score():
    particle = np.array([1] * 4 + [2] * 3 + [0] * 2 + [3] * 4)
    pt = np.array([3.0] * 4 + [3.0] * 3 + [0.0] * 2 + [0.5] * 4)
    weight = score_weights(particle, pt)
    assert weight.sum() == pytest.approx(1)
    assert weight[4:9].sum() == 0  # three hits, and noise
    assert weight[0] == pytest.approx(5 * weight[-1])


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("truth", lambda t: t.replace(t.split("\n")[1].split(",")[1], "1.5e15"), "whole numbers"),
        ("hits", lambda t: t[:-20], "found a truncated file"),
        ("hits", lambda t: t.replace("volume_id", "volume"), "found none volume_id"),
        ("hits", lambda t: t.split("\n")[0] + "\n", "expected at least one hit, found none"),
        ("hits", lambda t: t.replace("\n2,", "\n2,99999,0,0,8,2,1\n3,", 1), "expected hits within"),
        ("truth", lambda t: "\n".join(t.split("\n")[:9]) + "\n", "the truth of the same"),
    ],
)
def test_damaged_tables_are_told(hits, table, change, said):
    path = hits.with_name(hits.name.replace("hits", table))
    rewrite(path, change)
    with pytest.raises(InputError, match=said) as error:
        read_event(hits)
    assert str(path) in str(error.value)


def test_a_gzip_file_that_ends_early(hits):
    hits.write_bytes(hits.read_bytes()[:200])
    with pytest.raises(InputError, match=r"expected a whole table .*found a truncated one"):
        read_event(hits)


def test_a_folder_without_events(tmp_path):
    with pytest.raises(InputError, match=r"expected files event<number>-hits.csv"):
        list_events(tmp_path)
