"""Times of a trained generator by batch, and against the clock of a full simulation."""

import numpy as np
import pytest

from hepjax.bench import generation
from hepjax.formats.showers.clock import Clock, processor_name


class Run:
    """Stands for a run: remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def generated_batches(self, conditions, seed, batch_size):
        self.asked.append((conditions, batch_size))
        yield np.zeros(1)


def test_every_batch_is_timed_after_one_that_compiles(monkeypatch):
    monkeypatch.setattr(generation, "ENOUGH", 2)
    run = Run()
    rows = generation.timed(run, {"energy": np.array([10.0, 30.0])}, batches=(1, 5))
    assert [row["batch"] for row in rows] == [1, 5]
    assert [row["batches"] for row in rows] == [2, 2]
    assert [batch for _, batch in run.asked] == [1] * 3 + [5] * 3
    assert run.asked[-1][0]["energy"].tolist() == [10, 30, 10, 30, 10]
    assert all(row["ms"] >= 0 and "speed_up" not in row for row in rows)


def test_a_slow_generator_is_timed_once(monkeypatch):
    monkeypatch.setattr(generation, "LIMIT", 0.0)
    (row,) = generation.timed(Run(), {"energy": np.ones(1)}, batches=(2,))
    assert row["batches"] == 1


@pytest.mark.parametrize("same", [True, False])
def test_the_speed_up_is_of_showers_of_these_energies(same, monkeypatch):
    """100 s for 200 GeV there; 30 s for 2 x 3 showers of 20 GeV here: twice as fast."""
    processor = processor_name() if same else "abacus"
    clock = Clock("Geant4", processor, np.array([50.0, 150.0]), np.array([25.0, 75.0]))
    cpu = iter([0.0, 30.0])
    monkeypatch.setattr(generation, "ENOUGH", 2)
    monkeypatch.setattr(generation.time, "process_time", lambda: next(cpu))
    (row,) = generation.timed(Run(), {"energy": np.array([20.0])}, clock, batches=(3,))
    assert row["speed_up"] == pytest.approx(2)
    assert row["cpu_ms"] == pytest.approx(5000)
    (line,) = generation.text([row], clock.engine)
    assert "2 times less than Geant4" in line
    assert ("another processor" in line) != same
