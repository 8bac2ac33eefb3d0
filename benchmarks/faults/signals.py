"""SIGINT, SIGTERM and SIGHUP at random moments of trainings and of the other verbs: a table.

python -m benchmarks.faults.signals [--rounds 200] [--seed 0] [--minutes M] [--json FILE]
                                    [--folder DIR] [--together FILE ...]

With ``--json FILE`` the same command again plays the rounds that are not in the file yet.
``--together`` plays none and prints the table of several such files, of different seeds.

A round is right if the command ends with 128 + the number of the first signal (a process that is
signalled before it ends is never a success), in time, with neither "bug" nor "Traceback" nor a
crash. A training has then saved its last update, if it was asked once in mid-training; each
workload has one run directory, in which every round goes on, and at the end its state is compared
bit for bit with a training of as many updates that nothing disturbed. Another verb leaves whole
files only, and the same command again leaves what it leaves undisturbed. The exit code is 1 if a
round is not right.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.faults import signal_commands as commands
from benchmarks.faults.signal_commands import COMMANDS, HEPJAX, TRAININGS, Ground
from hepjax.engine import records
from hepjax.engine.checkpoint import complete_steps

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PAUSES = (0.0, 0.1, 0.7, 1.5)
"""Seconds between the signals of a round that has several."""
PATIENCE = 60.0
PF_EXITING = 0x4
"""Of the flags in ``/proc/PID/stat``."""
TIDIED = 10.0
"""Seconds in which a command that has nothing to save ends; on a busy machine."""
MOMENTS = {
    "start": 1.5, "compilation": 4.0, "first update": 0.2, "training": 3.0, "validation": 0.3,
    "save": 0.05, "end": 0.05,
}  # fmt: skip
"""Of a training, each with the seconds after it in which the first signal comes."""
OTHER_MOMENTS = ("start", "work", "work", "work", "end")
"""Of another verb: its first half second, any time, and once its result is printed."""


@dataclass
class Round:
    """What was done and what came of it."""

    command: str
    moment: str
    part: float
    """Where in the moment the first signal comes, 0 to 1."""
    signals: list[str]
    pause: float
    cached: bool
    code: int = 0
    seconds: float = 0.0
    """From the first signal to the end."""
    left: int = 0
    """Temporary files of a command that was ended at once."""
    in_python: bool = False
    """The signal came before the first line of hepjax."""
    wrong: str = ""


def rounds(count: int, seed: int) -> Iterator[Round]:
    """So many rounds, drawn from the seed alone: two in five are trainings."""
    draw = random.Random(seed)
    trainings = [(f"train {w}", moment) for moment in MOMENTS for w in TRAININGS]
    others = [(c, moment) for moment in OTHER_MOMENTS for c in COMMANDS]
    draw.shuffle(trainings)
    draw.shuffle(others)
    for number in range(count):
        fifth, rest = divmod(number, 5)
        among, index = (trainings, 2 * fifth + rest) if rest < 2 else (others, 3 * fifth + rest - 2)
        command, moment = among[index % len(among)]
        first = draw.choice(NUMBERS)
        same = draw.random() < 0.7
        later = [first if same else draw.choice(NUMBERS) for _ in range(draw.choice([0, 0, 1, 2]))]
        yield Round(
            command, moment, draw.random(), [n.name for n in (first, *later)], draw.choice(PAUSES),
            draw.random() < 0.5,
        )  # fmt: skip


def play(one: Round, ground: Ground) -> None:
    """Start the command, wait, send, look; fills in the rest of the round."""
    verb, _, workload = one.command.partition(" ")
    if verb == "train":
        _play_training(one, ground, workload)
    else:
        _play_other(one, ground)


def _play_training(one: Round, ground: Ground, workload: str) -> None:
    run = ground.folder / "rounds" / workload
    for attempt in range(6):
        if _interrupt_training(one, ground, workload, run, 0.6**attempt) or one.wrong:
            break
    else:
        one.wrong = "ended before the signal, six times"
    if one.wrong:
        return
    said = _said(ground)
    one.wrong = _wrong(one, said)
    if not one.wrong and "saved at step" in said:
        saved = complete_steps(run / "checkpoints")[-1]
        done = max(r.get("step", 0) for r in _records(run))
        one.wrong = "" if saved == done else f"saved {saved}, but there were {done} updates"
    elif not one.wrong and one.moment == "training" and (len(one.signals) == 1 or one.pause < 0.3):
        one.wrong = f"not saved: {said[-400:]}"


def _interrupt_training(
    one: Round, ground: Ground, workload: str, run: Path, earlier: float
) -> bool:
    """Whether the training was there to hear the first signal."""
    known, steps = len(_records(run)), complete_steps(run / "checkpoints")
    last = (steps[-1] if steps else 0) + 4
    words = ground.training(workload, run, last if one.moment == "end" else None)
    child = _start(words, ground, one.cached)
    reached: dict[str, Callable[[], bool]] = {
        "start": lambda: True,
        "compilation": lambda: "compiling the update" in _said(ground),
        "first update": lambda: "compiled in" in _said(ground),
        "training": lambda: len(_records(run)) > known + 1,  # the first says: resumed
        "validation": lambda: _ends_an_epoch(_records(run)[known:]),
        "save": lambda: any("-tmp" in p.name for p in (run / "checkpoints").glob("*")),  # of Orbax
        "end": lambda: " updates" in _said(ground),
    }
    after = MOMENTS[one.moment] * one.part * earlier
    return _send(one, child, ground, reached[one.moment], after)


def _ends_an_epoch(recent: list[dict]) -> bool:
    """Whether the last record is of an update after which there is a validation."""
    train = [r for r in recent if r["event"] == "train"]
    return bool(train) and recent[-1] is train[-1] and float(train[-1]["epoch"]).is_integer()


def _play_other(one: Round, ground: Ground) -> None:
    normal = commands.undisturbed(one.command, ground)
    for attempt in range(6):
        out = commands.new_folder(ground)
        words = COMMANDS[one.command](ground, out)
        child = _start(words, ground, one.cached)
        long = {"start": min(0.5, normal.seconds), "work": normal.seconds, "end": 0.05}[one.moment]
        reached = partial(_has_result, ground) if one.moment == "end" else lambda: True
        # A command that was faster than before has ended already: once more, a little earlier.
        if _send(one, child, ground, reached, long * one.part * 0.85**attempt):
            break
    else:
        one.wrong = one.wrong or "ended before the signal, six times"
    if one.wrong:
        return
    one.wrong = _wrong(one, _said(ground))
    found = commands.contents(out)
    hidden = [name for name in found if commands.temporary(name)]
    one.left = len(hidden)
    whole = {name: digest for name, digest in found.items() if name not in hidden}
    if not one.wrong and (half := commands.unfinished(whole, normal.files, out)):
        one.wrong = f"half-written: {half}"
    if not one.wrong and one.seconds > TIDIED:
        one.wrong = f"ended after {one.seconds:.1f} s"
    if one.wrong or not any(out.iterdir()):
        return  # where nothing is left, the command again is the undisturbed one
    again = subprocess.run(
        [*HEPJAX, *words], env=ground.variables(True), capture_output=True, text=True, check=False
    )
    if again.returncode:
        one.wrong = f"again: code {again.returncode}: {again.stderr[-400:]}"
        return
    found = {k: v for k, v in commands.contents(out).items() if not commands.temporary(k)}
    if found.keys() != normal.files.keys() or commands.unfinished(found, normal.files, out):
        one.wrong = f"again: other files, {sorted(found)}"


def _has_result(ground: Ground) -> bool:
    return bool((ground.folder / "stdout").read_bytes())


def _start(words: list[str], ground: Ground, cached: bool) -> subprocess.Popen:
    with (ground.folder / "stdout").open("w") as out, (ground.folder / "stderr").open("w") as err:
        return subprocess.Popen(
            [*HEPJAX, *words], stdout=out, stderr=err, env=ground.variables(cached)
        )


def _send(
    one: Round, child: subprocess.Popen, ground: Ground, reached: Callable[[], bool], after: float
) -> bool:
    """Wait for the moment and send the signals; whether the command was there to hear the first."""
    try:
        deadline = time.monotonic() + 3 * PATIENCE
        while not reached() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        if child.poll() is None and time.monotonic() >= deadline:
            one.wrong = f"no {one.moment} in {3 * PATIENCE:g} s, nothing was sent"
            return False
        time.sleep(after)
        began = time.monotonic()
        if is_leaving(child.pid):
            child.wait(PATIENCE)
        if child.poll() is not None:
            if child.returncode:
                one.wrong = f"failed before the signal: {child.returncode}: {_said(ground)[-400:]}"
            return False
        for name in one.signals:
            child.send_signal(signal.Signals[name])  # to one that has ended it is none
            with suppress(subprocess.TimeoutExpired):
                child.wait(one.pause)
        one.code = child.wait(PATIENCE)
        one.seconds = time.monotonic() - began
    except subprocess.TimeoutExpired:
        one.wrong = f"did not end in {PATIENCE:g} s: {_said(ground)[-300:]}"
        return False
    finally:
        child.kill()
        child.wait()
    return True


def is_leaving(pid: int) -> bool:
    """Whether the system takes a process apart already; it hears no signal any more."""
    with suppress(OSError):
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return after_name[0] != "Z" and bool(int(after_name[6]) & PF_EXITING)
    return False


def _wrong(one: Round, said: str) -> str:
    one.in_python = _in_python(one, said)
    if one.in_python:
        return ""
    sent = [signal.Signals[name] for name in one.signals]
    # Of signals that are sent together the system may deliver any first.
    first = sent if one.pause == 0 else sent[:1]
    if one.code not in (*(128 + n for n in first), *(-n for n in first)):
        return f"code {one.code}: {said[-400:]}"
    for word in ("hepjax: bug", "Traceback", "Fatal Python error"):
        if word in said:
            return f"says {word}: {said[-400:]}"
    return ""


def _in_python(one: Round, said: str) -> bool:
    """Whether a SIGINT came before the first line of hepjax: Python answers it with a traceback.

    The code is then 1 or that of SIGINT; nothing that hepjax is made of has run.
    """
    return (
        one.moment == "start" and one.signals[0] == "SIGINT" and "KeyboardInterrupt" in said
        and one.code in (1, 130, -2) and f"{os.sep}hepjax{os.sep}" not in said
    )  # fmt: skip


def _said(ground: Ground) -> str:
    return (ground.folder / "stderr").read_text() + (ground.folder / "stdout").read_text()


def _records(run: Path) -> list[dict]:
    return records.read(run / "metrics.jsonl")


def compare(ground: Ground) -> dict[str, str]:
    """Of each workload's interrupted training: whether its state is that of an undisturbed one."""
    import jax
    import numpy as np

    from hepjax import run as runs
    from hepjax.engine.checkpoint import restore
    from hepjax.engine.step import init_state

    verdicts, here = {}, jax.sharding.SingleDeviceSharding(jax.devices()[0])
    for workload in TRAININGS:
        run = ground.folder / "rounds" / workload
        if not (steps := complete_steps(run / "checkpoints")):
            continue
        whole = ground.folder / "whole" / workload
        commands.call(
            [*HEPJAX, *ground.training(workload, whole, steps[-1]), "--quiet"],
            ground.variables(True),
        )
        opened = runs.load(whole)
        shapes = jax.eval_shape(lambda o=opened: init_state(o.workload, o.cfg))
        wanted = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=here), shapes
        )
        states = [
            jax.tree.leaves(jax.device_get(restore(r / "checkpoints", steps[-1], wanted)))
            for r in (run, whole)
        ]
        equal = all(np.array_equal(a, b) for a, b in zip(*states, strict=True))
        verdicts[workload] = f"{'equal' if equal else 'different'} after {steps[-1]} updates"
    return verdicts


def table(played: list[Round]) -> list[str]:
    """The lines of a Markdown table, a row for each verb and moment."""
    lines = [
        "| command | moment | rounds | several signals | 130 | 143 | 129 | in Python's start "
        "| wrong | seconds to the end, median and most |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str], list[Round]] = {}
    for one in played:
        verb = one.command.split()[0]
        groups.setdefault((verb, one.moment), []).append(one)
    for (verb, moment), of in sorted(groups.items(), key=lambda g: (g[0][0] != "train", g[0])):
        ended = [128 - r.code if r.code < 0 else r.code for r in of if not (r.wrong or r.in_python)]
        seconds = sorted(r.seconds for r in of)
        cells = [
            verb, moment, len(of), sum(len(r.signals) > 1 for r in of),
            *(ended.count(code) for code in (130, 143, 129)), sum(r.in_python for r in of),
            sum(bool(r.wrong) for r in of),
            f"{seconds[len(seconds) // 2]:.1f}, {seconds[-1]:.1f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def main() -> int:
    """Play the rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=90.0, help="begin no round after these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the rounds, before and after")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="keep data and runs here for the next call"
    )
    parser.add_argument("--together", type=Path, nargs="+", metavar="FILE", help="a table of these")
    args = parser.parse_args()
    if args.together:
        played = [Round(**one) for file in args.together for one in json.loads(file.read_text())]
        print("\n".join(table(played)))
        return int(any(one.wrong for one in played))
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    for number in NUMBERS:  # a shell that starts this in the background has some ignored
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    known = json.loads(args.json.read_text()) if args.json and args.json.exists() else []
    played = [Round(**one) for one in known]
    end = time.monotonic() + 60 * args.minutes
    with ExitStack() as stack:
        kept = args.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kept.mkdir(parents=True, exist_ok=True)
        ground = Ground(kept.resolve())
        for one in list(rounds(args.rounds, args.seed))[len(played) :]:
            if time.monotonic() > end:
                break
            play(one, ground)
            played.append(one)
            print(f"{len(played)}: {one}", file=sys.stderr, flush=True)
            if args.json:
                args.json.write_text(json.dumps([asdict(one) for one in played], indent=1))
        print("\n".join(table(played)))
        verdicts = compare(ground) if len(played) == args.rounds else {}
        for workload, verdict in verdicts.items():
            print(f"train {workload}: state {verdict}")
    wrong = any(one.wrong for one in played) or any("different" in v for v in verdicts.values())
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
