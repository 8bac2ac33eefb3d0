"""Who may take over a job, by heartbeats that are seen to stand still and no clock."""

import os
import subprocess
import time

import pytest

from hepjax.studies import leases, shared_files

PATIENCE = 0.4


def foreign(path):
    """A lease of a worker on another machine."""
    shared_files.create(path, leases.here() | {"space": "another machine"})
    return path


@pytest.fixture
def clock(monkeypatch):
    """A monotonic clock that the test turns."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_one_worker_has_a_job(tmp_path):
    first = leases.take(tmp_path, "0001.s0", 0, PATIENCE, {})
    assert first is not None
    assert leases.take(tmp_path, "0001.s0", 0, PATIENCE, {}) is None


def test_a_lease_that_beats_is_never_over(tmp_path, clock):
    lease, watch = foreign(tmp_path / "0001.s0.L0"), leases.Watch(PATIENCE)
    for count in range(20):
        leases.beat(lease).write_text(str(count))
        clock[0] += 0.9 * PATIENCE
        assert not watch.is_over(lease)


def test_a_heartbeat_that_stands_still_is_over_after_the_patience(tmp_path, clock):
    lease, watch = foreign(tmp_path / "0001.s0.L0"), leases.Watch(PATIENCE)
    assert not watch.is_over(lease)
    clock[0] += 0.9 * PATIENCE
    assert not watch.is_over(lease)
    clock[0] += 0.2 * PATIENCE
    assert watch.is_over(lease)


@pytest.mark.parametrize("apart", [-600, 600])
def test_clocks_apart_by_minutes_change_nothing(tmp_path, clock, apart):
    lease, watch = foreign(tmp_path / "0001.s0.L0"), leases.Watch(PATIENCE)
    leases.beat(lease).write_text("7")
    for path in (lease, leases.beat(lease)):
        os.utime(path, (time.time() + apart,) * 2)
    assert not watch.is_over(lease)
    leases.beat(lease).write_text("8")
    os.utime(leases.beat(lease), (time.time() + apart,) * 2)
    clock[0] += 2 * PATIENCE
    assert not watch.is_over(lease)


def test_an_ended_process_of_this_machine_is_seen_at_once(tmp_path):
    process = subprocess.Popen(["sleep", "60"])
    worker = leases.here() | {"pid": process.pid, "start": leases._start(process.pid)}
    shared_files.create(tmp_path / "0001.s0.L0", worker)
    watch = leases.Watch(1e5)
    assert not watch.is_over(tmp_path / "0001.s0.L0")
    process.kill()
    process.wait()
    assert watch.is_over(tmp_path / "0001.s0.L0")


def test_a_worker_that_was_stopped_gives_up(tmp_path, clock):
    lease = leases.take(tmp_path, "0001.s0", 0, PATIENCE, {})
    lease.check()
    clock[0] += 0.6 * PATIENCE
    with pytest.raises(leases.LostError):
        lease.check()


def test_a_worker_whose_job_was_taken_over_notices(tmp_path):
    with leases.take(tmp_path, "0001.s0", 0, PATIENCE, {}) as lease:
        assert leases.take(tmp_path, "0001.s0", 1, PATIENCE, {}) is not None
        end = time.monotonic() + 30
        while not lease.lost and time.monotonic() < end:
            time.sleep(0.01)
        with pytest.raises(leases.LostError):
            lease.check()


def test_a_job_that_was_left_is_free_at_once(tmp_path):
    lease = leases.take(tmp_path, "0001.s0", 0, PATIENCE, {})
    watch = leases.Watch(1e5)
    assert not watch.is_over(lease.path)
    lease.release()
    assert watch.is_over(lease.path)


def test_the_heartbeat_goes_on_and_ends(tmp_path):
    with leases.take(tmp_path, "0001.s0", 0, PATIENCE, {}) as lease:
        end = time.monotonic() + 30
        while not leases.beat(lease.path).exists() and time.monotonic() < end:
            time.sleep(0.01)
        assert int(leases.beat(lease.path).read_text()) > 0
    assert not leases.beat(lease.path).exists()
