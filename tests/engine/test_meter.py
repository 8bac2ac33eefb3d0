"""Energy, load and memory: sums over wraps, and nothing where something could not be read."""

import json
from types import SimpleNamespace

import jax
import pytest
from helpers.toy import TOY, ToyConfig

from hepjax.engine import meter as metering
from hepjax.engine.config import MeshConfig, TrainConfig
from hepjax.engine.counters import Counter, Found
from hepjax.engine.meter import Meter, grown, peaks, per_event
from hepjax.run import train


class Values:
    """What a counter or a load says, one value after the other."""

    def __init__(self, *values):
        self.values = list(values)

    def __call__(self):
        value = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        if value is None:
            raise OSError("gone")
        return float(value)


def counter(*values, kind="cpu", span=100.0):
    return Counter(kind, "one", Values(*values), span)


def test_a_counter_that_wraps_around():
    assert grown(counter(0), 90, 95) == 5
    assert grown(counter(0), 90, 10) == 20
    assert grown(counter(0, span=None), 90, 10) is None  # a driver that was loaded again
    meter = Meter([Found((counter(90, 95, 10, 40),))])
    assert meter.read()["joules"] == {"cpu": 5}
    meter._sample()
    assert meter.read()["joules"] == {"cpu": 5 + 15 + 30}


def test_counters_of_a_kind_add_up_and_kinds_stay_apart():
    found = Found((counter(1, 4), counter(2, 8)))
    gpus = Found((counter(5, 5.5, kind="gpu", span=None),))
    assert Meter([found, gpus]).read()["joules"] == {"cpu": 9, "gpu": 0.5}


def test_energy_that_could_not_be_read_once_is_absent():
    meter = Meter([Found((counter(1, 2, None, 9), counter(1))), Found((counter(3, kind="gpu"),))])
    assert meter.read()["joules"] == {"cpu": 1, "gpu": 0}
    assert meter.read()["joules"] == {"gpu": 0}
    assert meter.read()["joules"] == {"gpu": 0}
    meter.restart()
    assert meter.read()["joules"] == {"cpu": 0, "gpu": 0}
    assert "joules" not in Meter([Found((counter(None),))]).read()
    assert "joules" not in Meter(()).read()


def test_load_is_the_mean_of_what_was_sampled():
    meter = Meter([Found(load=Values(0.2, 0.6, None, 1.0))])
    assert "gpu_utilisation" not in meter.read()
    for _ in range(4):
        meter._sample(loads=True)
    assert meter.read()["gpu_utilisation"] == pytest.approx(0.6)


def test_a_thread_reads_and_ends(monkeypatch):
    monkeypatch.setattr(metering, "INTERVAL", 0.001)
    found = Found((Counter("cpu", "one", iter(range(0, 10**6, 60)).__next__, 100.0),))
    with Meter([found]) as meter:
        while meter.read()["joules"]["cpu"] < 600:  # more than the counter can hold
            pass
    assert not meter._thread.is_alive()
    with Meter(()) as meter:
        assert not meter._thread.is_alive()


def test_memory_of_devices_that_tell_it():
    def device(stats):
        return SimpleNamespace(memory_stats=lambda: stats)

    known = [device({"peak_bytes_in_use": 7}), device({"peak_bytes_in_use": 9})]
    assert peaks(known)["peak_device_bytes"] == 9
    for unknown in ([], [*known, device(None)], [device({"bytes_in_use": 3})]):
        assert set(peaks(unknown)) == {"peak_host_bytes"}
    assert 2**24 < peaks(())["peak_host_bytes"] < 2**40
    assert "peak_device_bytes" not in peaks(jax.devices())


def test_joules_an_event():
    assert per_event({"joules": {"cpu": 10.0}}, 4)["joules_per_event"] == {"cpu": 2.5}
    assert per_event({"seconds": 1.0}, 4) == {"events": 4, "seconds": 1.0}


def test_a_run_says_what_its_later_epochs_took(tmp_path, monkeypatch):
    found = Found((Counter("cpu", "one", iter(range(10**6)).__next__, None),))
    monkeypatch.setattr(metering, "of_devices", lambda devices: (found,))
    cfg = ToyConfig(TrainConfig(batch_size=8, epochs=3), MeshConfig(devices=1))
    train(TOY, cfg, tmp_path / "run")
    resources = json.loads((tmp_path / "run" / "hepjax.json").read_text())["resources"]
    assert resources["events"] == 2 * 6 * 8
    assert resources["seconds"] > 0
    assert resources["joules"]["cpu"] >= 1
    each = resources["joules"]["cpu"] / resources["events"]
    assert resources["joules_per_event"]["cpu"] == pytest.approx(each, rel=1e-4)
    assert 0 < resources["cpu_utilisation"] < 2
