"""What is said of slow machines and long compilations."""

import time

import pytest

from hepjax.engine import notices


def test_a_long_compilation_is_told_once(capsys):
    with notices.compiling(quiet=False, patience=0.02):
        deadline = time.monotonic() + 10
        while "still" not in (said := capsys.readouterr().err) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "still compiling after" in said
    with notices.compiling(quiet=False, patience=60):
        pass
    with notices.compiling(quiet=True, patience=0):
        time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_file_systems(tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda1 / ext4 rw 0 0\nserver:/x /home nfs4 rw 0 0\n"
        "tmpfs /home/user/tmp tmpfs rw 0 0\nx /my\\040disk lustre rw 0 0\nbroken\n"
    )

    original = notices.file_system

    def kind(path):
        return original(path, str(mounts))

    assert kind("/home/user/runs") == "nfs4"
    assert kind("/home/user/tmp/run") == "tmpfs"
    assert kind("/homes") == "ext4"
    assert kind("/my disk/a") == "lustre"
    assert notices.file_system(tmp_path, str(tmp_path / "none")) == ""
    monkeypatch.setattr(notices, "file_system", kind)
    assert notices.at_start("gpu", ["/home/me/run"]) == [
        "/home/me/run lies on a network file system (nfs4): checkpoints and records take longer "
        "there than on a local disk"
    ]


@pytest.mark.parametrize("asked", ["", "cpu"])
def test_a_gpu_that_is_not_used(tmp_path, monkeypatch, asked):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(notices, "GPUS", (str(tmp_path / "nvidia0"),))
    monkeypatch.setenv("JAX_PLATFORMS", asked)
    monkeypatch.setattr(notices, "file_system", lambda path: "ext4")
    found = notices.at_start("cpu", [tmp_path])
    assert [text[:30] for text in found] == ([] if asked else ["this machine has a GPU that ja"])
    assert notices.at_start("gpu", [tmp_path]) == []
