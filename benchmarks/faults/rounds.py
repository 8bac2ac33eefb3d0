"""One round of each fault: begin a training, hurt it, see how it ends, resume, compare.

Each function takes the ground and gives a ``Round``; it raises ``FailedError`` when the training
hangs, ends with another exit code or leaves rubbish, and ``SkipError`` where it cannot be done.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.faults.ground import (
    HEARTBEAT,
    SLACK,
    TOTAL,
    Ground,
    Job,
    Round,
    SkipError,
    require,
    saved,
    steps_done,
)
from benchmarks.faults.hosts import ADDRESSES, two_hosts

KILLED, ABORTED, REFUSED = 128 + signal.SIGKILL, 128 + signal.SIGABRT, 2
GRACE = 30
"""Seconds in which a notice has to lead to a saved end."""


def kill(ground: Ground) -> Round:
    """SIGKILL of one of two processes at a random moment; the other notices by itself."""
    run, began = ground.new_run(), time.monotonic()
    job = ground.start(run, 2)
    ground.reach_step(job, run)
    return _killed(ground, job, run, began, ground.random.randrange(2))


def _killed(ground: Ground, job: Job, run: Path, began: float, victim: int) -> Round:
    """Kill one of two processes: the other ends within the heartbeat, and all resumes."""
    moment = job.send(victim, signal.SIGKILL)
    codes = job.codes(HEARTBEAT + SLACK)
    require(codes[victim] == KILLED, f"process {victim} had ended before the fault")
    survivor = f"the survivor ended with {codes[1 - victim]}: {job.text()[-900:]}"
    require(codes[1 - victim] == ABORTED, survivor)
    notice = time.monotonic() - moment
    return ground.resumed(run, 2, began, notice)


def launcher(ground: Ground) -> Round:
    """SIGKILL of one of two processes of ``hepjax launch local``, which starts them again."""
    run, began = ground.new_run(), time.monotonic()
    # More than it takes: a machine that stands still past the heartbeat is a fault too.
    job = ground.launch(run, 2, restarts=3)
    ground.reach_step(job, run)
    children = Path(f"/proc/{job.processes[0].pid}/task/{job.processes[0].pid}/children")
    victims = [int(word) for word in children.read_text().split()]
    os.kill(ground.random.choice(victims), signal.SIGKILL)
    moment = time.monotonic()
    ground.reach(job, run, lambda: "starting again" in job.text())
    notice = time.monotonic() - moment
    require(job.codes() == [0], f"the launcher ended with an error: {job.text()[-300:]}")
    return ground.judge(run, 2, began, notice)


def terminate(ground: Ground) -> Round:
    """SIGTERM or SIGINT to a process alone: saved within the grace, code 143 or 130."""
    run, began = ground.new_run(), time.monotonic()
    number = ground.random.choice([signal.SIGTERM, signal.SIGINT])
    job = ground.start(run)
    ground.reach_step(job, run)
    return _saved(ground, job, run, began, job.send(0, number), [128 + number])


def preempt(ground: Ground) -> Round:
    """A signal, such as the notice of a preemption, to one of two: both save the same step."""
    run, began = ground.new_run(), time.monotonic()
    job = ground.start(run, 2)
    ground.reach_step(job, run)
    number = ground.random.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    moment = job.send(ground.random.randrange(2), number)
    return _saved(ground, job, run, began, moment, [128 + number] * 2)


def _saved(
    ground: Ground, job: Job, run: Path, began: float, moment: float, expected: list[int]
) -> Round:
    codes = job.codes(GRACE)
    notice = time.monotonic() - moment
    require(codes == expected, f"codes {codes}, not {expected}: {job.text()[-300:]}")
    require(saved(run)[-1] == steps_done(run), "the last update on record was not saved")
    return ground.resumed(run, len(codes), began, notice)


def save_alone(ground: Ground) -> Round:
    """SIGKILL of a process alone while a checkpoint is being written."""
    run, began = ground.new_run(), time.monotonic()
    job = ground.start(run)
    _reach_save(ground, job, run)
    job.send(0, signal.SIGKILL)
    require(job.codes() == [KILLED], "the training had ended before the fault")
    return ground.resumed(run, 1, began)


def save_group(ground: Ground) -> Round:
    """SIGKILL of one of two processes while both write a checkpoint."""
    run, began = ground.new_run(), time.monotonic()
    job = ground.start(run, 2)
    _reach_save(ground, job, run)
    return _killed(ground, job, run, began, ground.random.randrange(2))


def _reach_save(ground: Ground, job: Job, run: Path) -> None:
    """Wait for a save to be under way: a temporary folder, or one without its manifest."""
    folder = run / "checkpoints"
    after = ground.random.randrange(4, TOTAL - 12, 4)
    ground.reach(job, run, lambda: bool(saved(run)) and saved(run)[-1] >= after)
    ground.reach(
        job, run, lambda: any(p.name[5:] not in map(str, saved(run)) for p in folder.iterdir())
    )
    time.sleep(ground.random.uniform(0, 0.03))


DAMAGES: dict[str, Callable[[Path, int], object]] = {
    "flip": lambda path, where: _flip(path, where),
    "truncate": lambda path, where: os.truncate(path, where // 8),
    "remove": lambda path, where: path.unlink(),
}


def _flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def damage_every_file(ground: Ground) -> Iterator[Round]:
    """A flipped bit in, a piece missing of, and the loss of each file of the newest checkpoint."""
    base = _interrupted_run(ground, 1)
    newest = base / "checkpoints" / f"step_{saved(base)[-1]}"
    for path in sorted(p for p in newest.rglob("*") if p.is_file()):
        for kind in DAMAGES:
            run = ground.new_run()
            shutil.copytree(base, run, dirs_exist_ok=True)
            if not _damage(ground, run / path.relative_to(base), kind):
                continue
            code, said = ground.resumed_here(run)
            require(code == 0, f"{kind} {path.name}: code {code}: {said}")
            yield _fell_back(ground, run, said, f"{kind} {path.relative_to(newest)}")


def damage_group(ground: Ground) -> Round:
    """Damage to a random file of the newest checkpoint of two processes."""
    run = _interrupted_run(ground, 2)
    newest = run / "checkpoints" / f"step_{saved(run)[-1]}"
    path = ground.random.choice([p for p in newest.rglob("*") if p.is_file() and p.stat().st_size])
    kind = ground.random.choice(list(DAMAGES))
    _damage(ground, path, kind)
    round_ = ground.resumed(run, 2, time.monotonic())
    said = run.with_name(run.name + ".log").read_text()
    require(newest.name in said, f"{kind} {path.name}: no word about it: {said[-300:]}")
    return replace(round_, fell_back=True, goodput=None)


def _interrupted_run(ground: Ground, processes: int) -> Path:
    """A run that ended at update 30, with a checkpoint at 28 to fall back to."""
    run = ground.new_run()
    job = ground.start(run, processes, steps=30)
    require(job.codes() == [0] * processes, job.text()[-300:])
    return run


def _damage(ground: Ground, path: Path, kind: str) -> bool:
    """Damage a file at a random place; an empty one can only be removed."""
    bits = 8 * path.stat().st_size
    if not bits and kind != "remove":
        return False
    DAMAGES[kind](path, ground.random.randrange(max(bits, 1)))
    return True


def _fell_back(ground: Ground, run: Path, said: str, what: str) -> Round:
    require("step_30" in said, f"{what}: no word about it: {said!r}")
    return Round(ground.equals(run), fell_back=True)


def disk_full(ground: Ground) -> Round:
    """No space left at a random moment: one line, code 2; with more space it resumes."""
    run, began = ground.new_run(), time.monotonic()
    size = ground.random.randrange(120, 420, 4)
    with _tmpfs(run, f"{size}k"):
        before = _refused(ground.start(run), run)
        _mount("-o", "remount,size=64m", str(run))
        require(saved(run) == before, "a checkpoint was lost")
        return ground.resumed(run, 1, began)


@contextlib.contextmanager
def _tmpfs(folder: Path, size: str) -> Iterator[None]:
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _mount(*words: str) -> None:
    deadline = time.monotonic() + GRACE
    while True:
        done = subprocess.run(["mount", *words], capture_output=True, text=True)
        if done.returncode == 0:
            return
        # As long as a checkpoint is being written below it, a mount does not become read-only.
        if "busy" not in done.stderr or time.monotonic() > deadline:
            raise SkipError(f"mounting is not allowed here: {done.stderr.strip()[:80]}")
        time.sleep(0.001)


def file_limit(ground: Ground) -> Round:
    """No file may grow beyond a random size (ulimit -f), the full disk of one without rights."""
    run, began = ground.new_run(), time.monotonic()
    blocks = str(ground.random.randrange(1, 10))
    job = ground.start(
        run, wrap=lambda _, command: ["sh", "-c", 'ulimit -f "$0"; exec "$@"', blocks, *command]
    )
    _refused(job, run)
    return ground.resumed(run, 1, began)


def read_only(ground: Ground) -> Round:
    """The folder of checkpoints becomes read-only in mid-training: one line, code 2."""
    run, began = ground.new_run(), time.monotonic()
    job = ground.start(run)
    ground.reach_step(job, run)
    with _frozen(run / "checkpoints"):
        before = _refused(job, run)
    require(saved(run) == before, "a checkpoint was lost")
    return ground.resumed(run, 1, began)


@contextlib.contextmanager
def _frozen(folder: Path) -> Iterator[None]:
    """A folder that nobody can write to; modes do not bind root, mounts do."""
    if os.geteuid() == 0:
        _mount("--bind", str(folder), str(folder))
        try:
            _mount("-o", "remount,bind,ro", str(folder))
            yield
        finally:
            # Lazily: the training may be in there.
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    else:
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)


def _refused(job: Job, run: Path) -> list[int]:
    """One line and code 2; the checkpoints that are left."""
    codes, said = job.codes(), job.text()
    require(codes == [REFUSED] * len(codes), f"codes {codes}: {said[-400:]}")
    # Not the only line: tensorstore prints what its other threads think of a failed write.
    told = any(line.startswith("hepjax: error: ") for line in said.splitlines())
    require(told, f"unclear: {said[-400:]}")
    return saved(run)


def data_lost(ground: Ground) -> Round:
    """A data file is removed, cut short or overwritten in mid-training: a clear end, no hang."""
    return _data_lost(ground, 1)


def data_lost_group(ground: Ground) -> Round:
    """The same with two processes, whose readers may not all meet the damage."""
    return _data_lost(ground, 2)


def _data_lost(ground: Ground, processes: int) -> Round:
    run, began = ground.new_run(), time.monotonic()
    path = ground.random.choice(sorted((ground.folder / "data").iterdir()))
    good = path.read_bytes()
    job = ground.start(run, processes)
    try:
        ground.reach_step(job, run)
        # Not in place: a reader that has the file open must not see half of each.
        damaged = path.with_name("damaged")
        kind = ground.random.choice(["remove", "truncate", "overwrite"])
        keep = ground.random.randrange(len(good) // 2)
        damaged.write_bytes(good[:keep] if kind == "truncate" else os.urandom(len(good)))
        os.replace(damaged, path)
        if kind == "remove":
            path.unlink()
        moment = time.monotonic()
        codes, said = job.codes(), job.text()
        notice = time.monotonic() - moment
    finally:
        path.write_bytes(good)
    require(REFUSED in codes, f"{kind}: codes {codes}: {said[-400:]}")
    require(set(codes) <= {REFUSED, ABORTED}, f"{kind}: codes {codes}: {said[-400:]}")
    require(path.name in said, f"{kind}: no word about {path.name}: {said[-400:]}")
    return ground.resumed(run, processes, began, notice)


def network(ground: Ground) -> Round:
    """The cable between two hosts is pulled: both end within the heartbeat; plugged in, resumed."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        raise SkipError("network namespaces need root and iproute2")
    with contextlib.ExitStack() as stack:
        try:
            hosts = stack.enter_context(two_hosts())
        except (OSError, subprocess.CalledProcessError) as error:
            raise SkipError(f"network namespaces are not allowed here: {error}") from None
        run, began = ground.new_run(), time.monotonic()
        job = ground.start(run, 2, host=ADDRESSES[0], wrap=hosts.on)
        ground.reach_step(job, run)
        hosts.cable("down")
        moment = time.monotonic()
        codes = job.codes(2 * HEARTBEAT + SLACK)
        notice = time.monotonic() - moment
        require(codes == [ABORTED] * 2, f"codes {codes}: {job.text()[-400:]}")
        hosts.cable("up")
        return ground.resumed(run, 2, began, notice, wrap=hosts.on, host=ADDRESSES[0])


FAULTS: dict[str, tuple[Callable[[Ground], Round | Iterator[Round]], int]] = {
    "kill": (kill, 20),
    "launcher": (launcher, 3),
    "terminate": (terminate, 4),
    "preempt": (preempt, 4),
    "save-alone": (save_alone, 6),
    "save-group": (save_group, 6),
    "damage": (damage_every_file, 1),
    "damage-group": (damage_group, 2),
    "disk-full": (disk_full, 6),
    "file-limit": (file_limit, 4),
    "read-only": (read_only, 2),
    "data-lost": (data_lost, 4),
    "data-lost-group": (data_lost_group, 4),
    "network": (network, 3),
}
"""Name of a fault, the function of one round (``damage``: a round for each file), how many."""
