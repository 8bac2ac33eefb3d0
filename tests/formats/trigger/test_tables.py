"""Files of trigger events: written and read again, and every kind of bad file in one line."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hepjax import InputError
from hepjax.formats.trigger.pixels import classes_of, read_clusters
from hepjax.formats.trigger.tables import (
    Events,
    is_trigger,
    list_tables,
    read_events,
    task_of,
)
from hepjax.formats.trigger.tasks import PIXELS, TASKS, mixture, task
from hepjax.formats.trigger.writer import write_clusters, write_events

JETS = TASKS["jets"]


def some(count=6, name="jets", seed=0):
    rng = np.random.default_rng(seed)
    size, classes = len(TASKS[name].inputs), len(TASKS[name].classes)
    return Events(
        rng.normal(size=(count, size)).astype(np.float32),
        rng.integers(0, classes, count).astype(np.int32),
    )


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "events"
    out.mkdir()
    write_events(out / "a.parquet", [some(4), some(2, seed=1)], "jets", {})
    write_events(out / "b.parquet", [some(3, seed=2)], "jets", {})
    return out


def test_what_is_written_is_read(folder):
    found = read_events([folder], JETS)
    wanted = [some(4), some(2, seed=1), some(3, seed=2)]
    np.testing.assert_array_equal(found.inputs, np.concatenate([e.inputs for e in wanted]))
    np.testing.assert_array_equal(found.label, np.concatenate([e.label for e in wanted]))
    assert task_of(folder) == "jets"
    assert is_trigger(folder / "a.parquet")


def test_other_columns_and_orders_are_as_good(tmp_path):
    events, path = some(), tmp_path / "open_ml.parquet"
    columns = {n: events.inputs[:, k].astype(float) for k, n in enumerate(JETS.inputs)}
    names = [JETS.classes[k] for k in events.label]
    pq.write_table(
        pa.table({"more": np.arange(6), "class": names, **dict(reversed(columns.items()))}), path
    )
    found = read_events([path], JETS)
    np.testing.assert_array_equal(found.inputs, events.inputs)
    assert task_of(path) == "jets"


def test_events_without_classes_are_read(tmp_path):
    events, path = some(), tmp_path / "events.parquet"
    pq.write_table(pa.table({n: events.inputs[:, k] for k, n in enumerate(JETS.inputs)}), path)
    assert read_events([path], JETS).label is None


def damaged(tmp_path, **changed):
    events, path = some(), tmp_path / "bad.parquet"
    columns = {n: events.inputs[:, k] for k, n in enumerate(JETS.inputs)} | {"class": ["g"] * 6}
    columns |= changed
    pq.write_table(pa.table({k: v for k, v in columns.items() if v is not None}), path)
    return path


BAD = {
    "infinite": ({"zlogz": np.array([0, 1, np.inf, 0, 0, 0])},
                 r"finite numbers in the column zlogz, found inf in row 3; remove"),
    "empty": ({"zlogz": [0.0, None, 0.0, 0.0, 0.0, 0.0]},
              r"finite numbers in the column zlogz, found nan in row 2"),
    "missing": ({"c2_b1_mmdt": None}, r"16 columns from zlogz to multiplicity, found none c2_b1"),
    "class": ({"class": ["g", "b", "g", "g", "g", "g"]}, r"classes g, q, t, w, z .* found 'b'"),
    "text": ({"zlogz": ["a"] * 6}, r"a Parquet file of numbers, found"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_tables(tmp_path, kind):
    changed, message = BAD[kind]
    with pytest.raises(InputError, match=f"bad.parquet: expected .*{message}") as error:
        read_events([damaged(tmp_path, **changed)], JETS)
    assert "\n" not in str(error.value)


def test_no_table_at_all(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and then something else PAR1")
    with pytest.raises(InputError, match=r"expected a Parquet file of numbers"):
        read_events([tmp_path], JETS)
    assert task_of(tmp_path) is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected files \*.parquet"):
        list_tables([tmp_path / "empty"])


def clusters(count=5):
    rng = np.random.default_rng(0)
    charge = rng.poisson(2.0, (count, *PIXELS)) * 100.0
    return charge, {"y-local": rng.normal(size=count), "pt": rng.normal(0, 0.4, count)}


def test_clusters_become_profiles(tmp_path):
    charge, labels = clusters()
    path = write_clusters(tmp_path, 16401, charge, labels)
    assert path.name == "recon2D_d16401.parquet"
    events = read_events([tmp_path], TASKS["pixels"])
    np.testing.assert_allclose(events.inputs[:, :13], charge.sum(axis=2))
    np.testing.assert_allclose(events.inputs[:, 13], labels["y-local"], rtol=1e-6)
    assert events.label.tolist() == classes_of(labels["pt"]).tolist()
    assert classes_of(np.array([0.3, -0.3, 0.1, -0.1])).tolist() == [0, 0, 1, 2]
    assert task_of(tmp_path) == "pixels"


def test_bad_clusters(tmp_path):
    charge, labels = clusters()
    path = write_clusters(tmp_path, 1, charge, labels)
    with pytest.raises(InputError, match=r"found clusters of pixels; set data.task=pixels"):
        read_events([tmp_path], JETS)
    beside = tmp_path / "labels_d00001.parquet"
    pq.write_table(pa.table({k: v[:3] for k, v in labels.items()}), beside)
    with pytest.raises(InputError, match=r"labels_d.*expected the 5 rows of recon2D_d.*found 3"):
        read_clusters(path)
    beside.unlink()
    with pytest.raises(InputError, match=r"expected the labels of recon2D_d00001.parq.*none"):
        read_clusters(path)


def test_an_unknown_task():
    with pytest.raises(
        InputError, match=r"task: expected one of toy, linear, jets, .*found 'none'"
    ):
        task("none")


def test_the_posterior_is_the_ratio_of_densities():
    from scipy.stats import multivariate_normal

    known = mixture("toy")
    x = np.random.default_rng(0).normal(size=(5, 16))
    pairs = zip(known.mean, known.spread, strict=True)
    density = np.stack([multivariate_normal(m, s @ s.T).pdf(x) for m, s in pairs], axis=1)
    np.testing.assert_allclose(
        known.posterior(x), density / density.sum(axis=1, keepdims=True), rtol=1e-6
    )
