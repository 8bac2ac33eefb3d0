"""A tagger through the engine: it learns, resumes to the same bits, predicts and is judged."""

import signal
from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers.models import model_of
from helpers.tagger import SHAPE, TINY, write_toy

from hepjax.engine import records
from hepjax.engine.checkpoint import restore
from hepjax.engine.config import InputConfig, TrainConfig
from hepjax.engine.step import init_state
from hepjax.engine.train import train
from hepjax.workloads.tagger import answer, validation
from hepjax.workloads.tagger.workload import WORKLOAD

EPOCHS = 6


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    folder = write_toy(tmp_path_factory.mktemp("toy") / "packed", 160)
    data = replace(TINY.data, files=(str(folder),), fractions=(0.6, 0.2, 0.2))
    policy = TrainConfig(batch_size=16, epochs=EPOCHS, record_every=2)
    return replace(TINY, data=data, train=policy)


@pytest.fixture(scope="module")
def straight(cfg, tmp_path_factory):
    run = tmp_path_factory.mktemp("straight")
    return run, train(WORKLOAD, cfg, run, quiet=True).step


def final_state(cfg, run, step):
    abstract = jax.eval_shape(lambda: init_state(WORKLOAD, cfg))
    return jax.device_get(restore(run / "checkpoints", step, abstract))


def trained(cfg, straight):
    """The model of the last epoch on one device."""
    return model_of(WORKLOAD, cfg, final_state(cfg, *straight).model)


def assert_same_bits(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_training_learns(straight):
    rows = [r for r in records.read(straight[0] / "metrics.jsonl") if r["event"] == "validation"]
    assert rows[-1]["auc"] > 0.9
    assert rows[-1]["misranking"] == pytest.approx(1 - rows[-1]["auc"])
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]


def test_resumed_run_equals_the_straight_one_bit_for_bit(cfg, straight, tmp_path):
    stops = iter([None] * 7 + [signal.SIGTERM] * 100)
    train(WORKLOAD, cfg, tmp_path, quiet=True, interrupted=lambda step: next(stops))
    assert train(WORKLOAD, cfg, tmp_path, quiet=True).step == straight[1]
    assert_same_bits(final_state(cfg, tmp_path, straight[1]), final_state(cfg, *straight))


def test_resident_training_equals_the_streamed_one_bit_for_bit(cfg, straight, tmp_path):
    resident = replace(cfg, input=InputConfig(resident=True))
    assert train(WORKLOAD, resident, tmp_path, quiet=True).step == straight[1]
    assert_same_bits(final_state(cfg, tmp_path, straight[1]), final_state(cfg, *straight))


def test_scores_do_not_depend_on_the_batch_and_agree_with_the_validation(cfg, straight):
    model, source = trained(cfg, straight), WORKLOAD.sources(cfg).validation

    def scores_of(batch_size):
        answers = [made["log_odds"] for _, made in model.over(source, batch_size)]
        return answer.score(np.concatenate(answers))

    scores = scores_of(16)
    np.testing.assert_allclose(scores_of(7), scores, atol=1e-6)
    label = source.column("label")
    pairs = np.subtract.outer(scores[label == 1], scores[label == 0])
    exact = np.mean(pairs > 0) + np.mean(pairs == 0) / 2
    rows = records.read(straight[0] / "metrics.jsonl")
    assert rows[-1]["auc"] == pytest.approx(exact, abs=rows[-1]["auc_error"] + 1e-6)


def test_saliency_is_a_picture_for_each_class_and_channel(cfg, straight):
    maps = answer.mean_saliency(cfg, trained(cfg, straight), WORKLOAD.sources(cfg).validation)
    assert [len(row) for row in maps] == [4, 4]
    assert all(picture.shape == SHAPE and picture.max() > 0 for row in maps for picture in row)


def test_area_from_histograms():
    scores = np.zeros((2, 8))
    scores[0, [1, 3]], scores[1, [3, 6]] = [6, 2], [1, 3]
    area, error = validation.auc(scores)
    # Pairs: 6 x 4 and 2 x 3 in order, 2 x 1 tied.
    assert area == pytest.approx((24 + 6 + 1) / 32)
    assert error == pytest.approx(1 / 32)
