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
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from benchmarks.faults import signal_commands as commands
from benchmarks.faults.signal_commands import HEPJAX, TRAININGS, Ground
from benchmarks.faults.signal_play import play
from benchmarks.faults.signal_rounds import NUMBERS, Round, rounds, table
from hepjax.engine.checkpoint import complete_steps


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
