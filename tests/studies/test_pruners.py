"""Who goes on and who stops, by known answers."""

import pytest

from hepjax.studies import pruners
from hepjax.studies.study import Stage, Trial


def trial(number, *scores):
    stages = [Stage({"status": "stopped", "score": score}, 1, 0) for score in scores]
    return Trial(number, {}, tuple(stages))


def test_stages_grow_threefold_to_the_whole():
    assert pruners.stages("asha", 9, 1) == (1, 3, 9)
    assert pruners.stages("asha", 10, 2) == (3, 10)
    assert pruners.stages("asha", 4, 4) == (4,)
    assert pruners.stages("none", 9, 1) == (9,)


def test_the_best_third_goes_on():
    three = [trial(0, 0.5), trial(1, 0.2), trial(2, 0.9)]
    assert pruners.promoted("asha", three[:2], 3) is None
    assert pruners.promoted("asha", three, 3) == (1, 1)
    taken = [three[0], trial(1, 0.2, None), three[2]]
    assert pruners.promoted("asha", taken, 3) is None
    assert pruners.promoted("none", three, 3) is None


def test_the_furthest_trial_goes_on_first():
    nine = [trial(k, 1.0 - k / 10, 0.5 - k / 100) for k in range(3)]
    nine += [trial(k, 1.0 + k) for k in range(3, 12)]
    assert pruners.promoted("asha", nine, 3) == (2, 2)


def test_a_trial_that_failed_never_goes_on():
    failed = [Trial(k, {}, (Stage({"status": "failed", "reason": "nan"}, 1, 0),)) for k in range(3)]
    assert pruners.promoted("asha", failed, 3) is None


def test_brackets_of_hyperband_begin_later_and_are_fewer():
    firsts = [pruners.first_stage("hyperband", number, 3) for number in range(13)]
    assert [firsts.count(k) for k in range(3)] == [9, 3, 1]
    assert pruners.first_stage("asha", 12, 3) == 0


def test_the_median_rule():
    others = [[1.0, 0.9], [1.0, 0.8], [1.0, 0.7], [1.0, 0.6], [1.0, 0.5]]
    assert pruners.below_median([0.95, 0.71], others)
    assert not pruners.below_median([0.95, 0.69], others)
    assert not pruners.below_median([0.95, 0.71], others[:4])


@pytest.mark.parametrize("curve", [[0.6, 5.0]])
def test_the_best_epoch_so_far_counts(curve):
    others = [[1.0, 0.7]] * 5
    assert not pruners.below_median(curve, others)
