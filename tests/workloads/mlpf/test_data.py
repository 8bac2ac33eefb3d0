"""Training and validation events from configurations, and what ``inspect`` says of files."""

import json

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.event_files import KEYS, events, lists, write_hdf5, write_pickle, write_tfds

from hepjax import InputError
from hepjax.cli import main
from hepjax.engine.config import InputConfig
from hepjax.engine.input import evaluation_batches, per_epoch, training_batches
from hepjax.physics.particleflow.inspect import inspect, text
from hepjax.workloads.mlpf import data
from hepjax.workloads.mlpf.config import DataConfig, MLPFConfig

MADE = events(24, seed=1)
ELEMENTS = sum(len(e["X"]) for e in MADE)


def config(*files, **settings):
    return MLPFConfig(
        data=DataConfig(files=tuple(map(str, files)), **{"buckets": (4, 8, 12), **settings})
    )


def test_the_last_events_are_for_validation(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", MADE)
    sources = data.sources(config(path, validation_fraction=0.25))
    assert (len(sources.train), len(sources.validation)) == (18, 6)
    batch = sources.validation.padded(np.arange(6), 2)
    np.testing.assert_array_equal(batch["n"], [len(e["X"]) for e in MADE[18:]])
    with pytest.raises(InputError, match=r"data\.validation_fraction: .* of 24, found 0\.99"):
        data.sources(config(path, validation_fraction=0.99))


def test_top_pairs_for_training_and_multijets_for_validation(tmp_path):
    top = write_pickle(tmp_path / "tev14_pythia8_ttbar_0_0.pkl.bz2", lists(MADE[:20]))
    qcd = write_pickle(tmp_path / "tev14_pythia8_qcd_10_0.pkl.bz2", lists(MADE[20:]))
    sources = data.sources(config(top, validation_files=(str(qcd),)))
    assert (len(sources.train), len(sources.validation)) == (20, 4)
    np.testing.assert_array_equal(sources.validation.elements, [len(e["X"]) for e in MADE[20:]])


def test_cut_events_are_counted(tmp_path, capsys):
    path = write_hdf5(tmp_path / "a.h5", MADE)
    over = [len(e["X"]) - 8 for e in MADE if len(e["X"]) > 8]
    with pytest.raises(InputError, match="at most 8 elements"):
        data.sources(config(path, buckets=(4, 8)))
    data.sources(config(path, buckets=(4, 8), too_long="truncate"))
    said = capsys.readouterr().err
    assert f"{len(over)} of 24 events are longer than 8 elements and lose {sum(over)}" in said


def test_an_epoch_of_a_file_compiles_once_a_bucket(tmp_path):
    source = data.sources(config(write_hdf5(tmp_path / "a.h5", MADE))).train
    step = jax.jit(lambda batch: (batch["X"][..., 0] > 0).sum() - batch["n"].sum())
    count = per_epoch(source, 3)
    seen = []
    for batch in training_batches(source, InputConfig(window=12), 3, 0, 0, 2 * count):
        assert int(step({k: jnp.asarray(v) for k, v in batch.items()})) == 0
        seen.extend(batch["n"])
    assert len(seen) == 2 * 3 * count
    assert step._cache_size() == len(np.unique(source.bucket))


def test_validation_sees_all_elements(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", MADE)
    source = data.open_events(config(path), [path])
    batches = list(evaluation_batches(source, 5))
    assert sum((b["n"] * b["mask"]).sum() for b in batches) == ELEMENTS
    pt = sum((b["ygen"][..., 2].sum(1) * b["mask"]).sum(dtype=float) for b in batches)
    assert pt == pytest.approx(sum(e["ygen"][:, 2].sum(dtype=float) for e in MADE), rel=1e-6)


def test_inspect_counts_what_was_made(tmp_path):
    report = inspect(write_hdf5(tmp_path / "a.h5", MADE))
    assert (report["events"], report["elements"]) == (24, ELEMENTS)
    tables = {key: np.concatenate([e[key] for e in MADE]) for key in KEYS}
    assert report["types"]["2"]["per_event"] == (tables["X"][:, 0] == 2).sum() / 24
    for label, row in enumerate(report["classes"]["ygen"]):
        of = tables["ygen"][tables["ygen"][:, 0] == label]
        assert row["per_event"] == len(of) / 24
        assert row["energy_sum_gev"] == pytest.approx(of[:, 6].sum(dtype=float) / 24)
    assert np.trace(report["confusion"]) == ELEMENTS  # candidates have the class of the target
    assert report["unassociated_per_event"]["mean"] == np.arange(24).mean()
    assert sum(report["spectra"]["elements"]["events"]) == 24
    assert (
        sum(map(sum, report["spectra"]["target_pt"].values())) == (tables["ygen"][:, 0] > 0).sum()
    )
    assert report["problems"] == []
    assert any(line.startswith("1 charged hadron") for line in text(report))


def test_inspect_tells_what_a_published_file_leaves_out(tmp_path):
    """Neutrals without pt, charged without energy, leptons with the sign of their PDG code."""
    content = lists(MADE)
    for X, gen, cand in zip(*content.values(), strict=True):
        cand[cand[:, 0] == 3, 2] = 0
        cand[np.isin(cand[:, 0], (1, 4)), 6] = 0
        gen[gen[:, 0] == 4, 1] = 1
        assert X.shape[1] == 12
    filled = inspect(write_pickle(tmp_path / "a.pkl.bz2", content))
    whole = inspect(write_hdf5(tmp_path / "a.h5", MADE))
    assert whole["lepton_charge"] == 1.0
    assert 0.2 < filled["lepton_charge"] < 0.8
    assert [p.split(" is 0 ")[0] for p in filled["problems"][1:]] == [
        "pt of neutrals", "energy of charged",
    ]  # fmt: skip
    for a, b in zip(filled["classes"]["ycand"], whole["classes"]["ycand"], strict=True):
        assert a["pt_sum_gev"] == pytest.approx(b["pt_sum_gev"], rel=1e-4)
        assert a["energy_sum_gev"] == pytest.approx(b["energy_sum_gev"], rel=1e-4)


def test_inspect_counts_broken_rows(tmp_path, capsys):
    path = write_hdf5(tmp_path / "a.h5", MADE)
    with h5py.File(path, "a") as file:
        row = file["offsets"][3]
        file["X"][row, 5] = np.nan
        file["ygen"][row + 1, 0] = 7
    report = inspect(path)
    assert report["checks"]["first_bad_event"] == 3
    assert sorted(report["checks"]["broken_rows"].values()) == [1, 1]
    assert main(["inspect", str(path), "--quiet"]) == 2
    assert "expected finite numbers, the first in event 3" in capsys.readouterr().out


@pytest.mark.parametrize("layout", ["h5", "pkl.bz2", "tfds", "split"])
def test_inspect_command(tmp_path, capsys, layout):
    path = tmp_path / f"a.{layout}"
    if layout == "h5":
        write_hdf5(path, MADE)
    elif layout == "pkl.bz2":
        write_pickle(path, lists(MADE))
    elif layout == "tfds":
        path = write_tfds(tmp_path, {"train": MADE}).parent.parent
    else:
        path = f"{write_tfds(tmp_path, {'train': MADE, 'test': MADE[:3]})}:train"
    capsys.readouterr()
    assert main(["inspect", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["elements"] == ELEMENTS


def test_inspect_draws(tmp_path):
    pytest.importorskip("mplhep")
    path = write_hdf5(tmp_path / "a.h5", MADE)
    inspect(path, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="expected to write it"):
        inspect(path, tmp_path / "none" / "a.png")


def test_the_reference_events_have_the_known_rule_based_scores(reference_data):
    """Delphes' own particle flow: neutral hadrons 0.89 found, 0.06 fake."""
    report = inspect(reference_data / "mlpf_ttbar_pu200.h5")
    confusion = np.array(report["confusion"])
    assert confusion.sum() == 254996
    assert confusion[2, 2] / confusion[2].sum() == pytest.approx(0.893, abs=0.001)
    assert 1 - confusion[2, 2] / confusion[:, 2].sum() == pytest.approx(0.064, abs=0.001)
    assert report["lepton_charge"] > 0.9
    assert report["unassociated_per_event"]["mean"] == pytest.approx(20517.24)
