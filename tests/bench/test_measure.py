"""Timing and repeatability, on the toy of the engine."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.toy import TOY, ToyConfig

from hepjax import InputError
from hepjax.bench.measure import measure
from hepjax.engine.config import MeshConfig, TrainConfig

TINY = ToyConfig(
    train=TrainConfig(seed=1234, batch_size=8, epochs=3, record_every=2**30),
    mesh=MeshConfig(devices=1),
)


def course(measured: dict) -> list[float]:
    """Every loss and score of every epoch."""
    series = [*measured["losses"].values(), *measured["validation"].values()]
    return [value for values in series for value in values]


@pytest.fixture(scope="module")
def once(tmp_path_factory) -> dict:
    return measure(TOY, TINY, tmp_path_factory.mktemp("once"), quiet=True)


def test_throughput_is_events_over_epoch_time_without_the_first(once):
    seconds, rates = np.array(once["epoch_times"]), once["throughput_per_epoch"]
    assert len(seconds) == len(rates) == 3
    assert once["steps_per_epoch"] == 6  # four of the 52 events make no batch
    assert sum(seconds) <= once["train_stop"] - once["train_start"] + 1e-3
    assert once["mean_epoch_time"] == pytest.approx(seconds[1:].mean(), abs=2e-4)
    assert once["mean_throughput"] == pytest.approx(np.mean(rates[1:]), abs=2e-4)
    assert rates == pytest.approx(48 / seconds, rel=0.01)  # times are rounded to 0.1 ms


def test_an_epoch_lasts_as_long_as_its_input(tmp_path):
    slow = measure(TOY, replace(TINY, delay=0.02), tmp_path, quiet=True)
    # Six batches of training and two of validation, two threads.
    assert min(slow["epoch_times"][1:]) > 0.02 * 2


def test_each_epoch_has_its_mean_losses_and_its_scores(once):
    assert {name: len(values) for name, values in once["losses"].items()} == {"loss": 3}
    assert once["losses"]["loss"][2] < once["losses"]["loss"][0]
    assert set(once["validation"]) == {"loss", "n"}


def test_the_same_seed_gives_the_same_bits(once, tmp_path):
    assert course(measure(TOY, TINY, tmp_path, quiet=True)) == course(once)
    other = replace(TINY, train=replace(TINY.train, seed=5))
    assert course(measure(TOY, other, tmp_path, quiet=True)) != course(once)


def test_more_devices_agree_to_rounding(once, tmp_path):
    four = measure(TOY, replace(TINY, mesh=MeshConfig(devices=4)), tmp_path, quiet=True)
    assert course(four) == pytest.approx(course(once), rel=1e-5)


def test_nothing_is_left_and_one_epoch_is_refused(tmp_path):
    one = replace(TINY, train=replace(TINY.train, epochs=1))
    with pytest.raises(InputError, match="epochs: expected at least 2"):
        measure(TOY, one, tmp_path, quiet=True)
    with pytest.raises(InputError, match="at most the 52 training events"):
        measure(TOY, replace(TINY, train=replace(TINY.train, batch_size=56)), tmp_path, quiet=True)
    assert list(tmp_path.iterdir()) == []
