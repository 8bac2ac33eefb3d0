"""Real faults in real trainings, a round or two of each."""

import random
from collections.abc import Iterator

import pytest

from benchmarks.faults.campaign import Tally, table
from benchmarks.faults.ground import Ground, Round, SkipError
from benchmarks.faults.rounds import FAULTS


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return Ground(tmp_path_factory.mktemp("faults"), random.Random(0))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost(fault, ground):
    for _ in range(min(2, FAULTS[fault][1])):
        try:
            result = FAULTS[fault][0](ground)
            rounds = list(result) if isinstance(result, Iterator) else [result]
        except SkipError as error:
            pytest.skip(str(error))
        finally:
            ground.clean()
        assert rounds
        assert all(one.equal for one in rounds)


def test_the_table_counts_what_is_silently_wrong():
    tally = Tally("kill", [Round(True, notice=2.0), Round(True, True), Round(False)], ["a hang"])
    assert tally.count(equal=False) == 1
    assert table([tally])[-1] == "| kill | 4 | 1 | 1 | 1 | 1 | 2.00 | - |"
    assert "skipped: no root" in table([Tally("network", skipped="no root")])[-1]
