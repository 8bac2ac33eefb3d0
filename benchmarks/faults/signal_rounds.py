"""Rounds of signals: what is drawn for each, what came of it, and the table of many."""

import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.faults.signal_commands import COMMANDS, TRAININGS

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PAUSES = (0.0, 0.1, 0.7, 1.5)
"""Seconds between the signals of a round that has several."""
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
