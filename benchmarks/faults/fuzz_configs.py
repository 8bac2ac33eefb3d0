"""Mutated configurations, command lines and run directories, for all verbs.

A training that is accepted is followed up to its first update, which is traced and not compiled, so
that a case takes a second; the other verbs do what they are asked to, in small.
"""

import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.faults.fuzz_child import Ended, Said, command, in_child
from benchmarks.faults.fuzz_files import mutate_bytes
from benchmarks.faults.fuzz_ground import DATA, TINY, prepare
from benchmarks.faults.fuzz_samples import MEANING
from hepjax.engine.settings import find_config, flatten, to_settings

Told = tuple[str, str, str]
PACKAGED = (
    "gan3d/small", "gan3d/published", "tagger/demo", "tagger/egamma_vgg", "tagger/quark_gluon",
    "mlpf/demo", "mlpf/dense", "mlpf/sparse",
)  # fmt: skip
VALUES = (
    "", "null", "~", "true", "no", "0", "1", "2", "3", "-1", "1.5", "-0.0", "1e-3", "1e400", ".nan",
    ".inf", "-.inf", "010", "1:30", "1_000", "0x10", "2147483648", "-2147483649",
    "9223372036854775808", "1" * 400, "[]", "[1]", "[[]]", "[1, [2]]", "[0, 0, 0]", "[1, 1, 1]",
    "[[1, 2], [3, 4]]", "[[20, 0.1]]", "{}", "{a: 1}", "text", "'1'", "é", "2020-01-01",
    "2020-99-99", "!!python/object:os.system {}", "!!binary x", "!!set {a}", "!!int x", "&a 1",
    "*a", "[*.h5]", "~/x", "~nobody-here/x", "$HOME", "$NOT_SET", "..", "/", "/dev/null",
    "/proc/self/mem", "jets", "[jets, jets]", "[jets, ./jets]", "[events, jets]", "[showers25]",
    "x" * 5000, "{", "- 1", "? a", "# x", "<<: 1", "a: b: c", "'", '"', "\t", "%", "@", "`", "|",
    ">", "1,2", "1 2", "=", "-", "--",
)  # fmt: skip
KEYS = (
    "", ".", "train", "train.", ".train", "train..seed", "train.seed.x", "workload", "nonsense",
    "Train.seed", "trian.seed", "model", "__class__", "train.__init__", "data", "data.files.0",
    "<<", "é", "x" * 3000, "mesh", "train.seed ", " train.seed",
)  # fmt: skip
WORDS = (
    "", " ", "-1", "0", "1", "2", "3", "7", "1e3", "1.5", "nan", "inf", "-inf", "9" * 30,
    "2147483648", "-2147483649", "none", "é", "x" * 4000, ".", "..", "/", "/dev/null", "~", "~/x",
    "$HOME", "$NOT_SET", "*", "*.h5", "none.h5", "jets", "showers25", "events", "packed", "empty",
    "text.txt", "fifo", "-", "--", "--help", "--version", "--nonsense", "--json", "--quiet",
    "--out", "--seed", "--events", "--devices", "a=b", "=", "10:500", "500:10", "0:1",
    "1:", ":", "GeV", "inch", "pT,ECAL", "0=a,1=b", "9,9", "run", "r/../run",
)  # fmt: skip
LINES: tuple[tuple[str, ...], ...] = (
    ("simulate", "showers", "--events", "2", "--out", "new", "--energy", "10:50", "--seed", "1"),
    ("simulate", "showers", "--events", "2", "--out", "new", "--angle", "60:120"),
    ("simulate", "photons", "--events", "4", "--out", "new", "--energy", "40:60", "--quiet"),
    ("simulate", "jets", "--task", "top", "--events", "2", "--out", "new", "--toy", "--workers",
     "1"),
    ("simulate", "events", "--toy", "--events", "1", "--pileup", "0", "--out", "new", "--format",
     "pkl"),
    ("inspect", "showers25", "--json"), ("inspect", "jets", *MEANING, "--quiet"),
    ("inspect", "events", "--quiet"), ("inspect", "packed", "--json", "--quiet"),
    ("inspect", "showers25", "--unit", "GeV"), ("inspect", "jets", "--shape", "9,9"),
    ("pack", "jets", *MEANING, "--out", "new", "--workers", "1"),
    ("pack", "showers25", "--out", "new", "--unit", "GeV", "--workers", "1", "--json"),
    ("train", "tiny-gan3d.yaml", "--run", "new"), ("train", "mlpf/demo", "--run", "new"),
    ("train", "tiny-tagger.yaml", "train.seed=3", "--run", "new", "--devices", "1"),
    ("evaluate", "run", "--data", "showers25", "--step", "2", "--out", "new"),
    ("evaluate", "--reference", "showers25", "--generated", "none.h5", "--out", "new"),
    ("predict", "run", "--data", "showers25", "--out", "new.parquet", "--batch-size", "4"),
    ("generate", "run", "--events", "2", "--out", "new.h5", "--energy", "10:500", "--seed", "1"),
    ("generate", "run", "--like", "showers25", "--events", "2", "--out", "new.h5", "--json"),
    ("bench", "tagger", "--events", "8", "--batch-size", "4", "--epochs", "2", "--out", "new"),
    ("bench", "mlpf", "--data", "events", "--out", "new", "--devices", "1", "--precision", "f32"),
    ("launch", "local", "-n", "2", "--dry-run", "--", "train", "mlpf/demo"),
    ("launch", "slurm", "--nodes", "2", "--time", "01:00:00", "--", "train", "mlpf/demo"),
    ("launch", "tpu-vm", "--name", "a", "--zone", "b", "--type", "v5litepod-8", "--", "doctor"),
    ("doctor", "--json", "--devices", "2"), ("doctor", "--data", "jets", "--cluster", "none"),
)  # fmt: skip
"""Commands as they should be; a case changes up to three words of one."""


class AcceptedError(BaseException):
    """A training has reached its first update."""


def stop_before_training() -> None:
    """Let trainings of this process go on up to the trace of their first update, and no further."""
    import jax

    from hepjax.engine import begin, parts, train
    from hepjax.engine.mesh import state_shardings
    from hepjax.engine.mesh_checks import require_fit
    from hepjax.engine.step import compiled_step, init_state

    def reached(workload: Any, cfg: Any, mesh: Any, folder: Path, *told: Any) -> Any:
        if cfg.train.warm_start or any(folder.glob("step_*")):
            return begin.begin_or_restore(workload, cfg, mesh, folder, *told)
        abstract = jax.eval_shape(lambda: init_state(workload, cfg))
        parts.require_known(cfg.train.freeze, abstract.model, "train.freeze")
        shardings = state_shardings(cfg.mesh, mesh, abstract)
        require_fit(cfg.mesh, mesh, abstract, shardings)
        source = workload.sources(cfg).train
        spec = workload.spec(cfg, source)
        raw = source[np.arange(cfg.train.batch_size) % len(source)]
        shapes = {k: jax.ShapeDtypeStruct(v.shape, v.dtype) for k, v in raw.items()}
        update = compiled_step(workload, cfg, spec, 1, shardings, mesh, None)
        update.eval_shape(abstract, shapes, None)
        raise AcceptedError

    train.begin_or_restore = reached


class Configs:
    """The cases on configurations and command lines."""

    def __init__(self, work: Path, seed: int, *, trained: bool = True) -> None:
        self.work, self.seed = work, seed
        os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))  # compiled kernels
        os.environ["HOME"] = str(work / "home")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(work / "cache")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        (work / "home").mkdir()
        self.settings = {name: flatten(_defaults(name)) for name in TINY}
        ended = in_child(lambda: prepare(work / "ground", trained), work / "preparing", 300)
        if ended.wrong:
            raise RuntimeError(ended.wrong)

    def play(self, number: int) -> tuple[str, str, Ended]:
        """Case ``number`` of the seed: its subject, what was done, and how it ended."""
        draw = random.Random(f"{self.seed}/configs/{number}")
        kind = draw.choice(["settings", "settings", "text", "line", "line", "line", "run"])
        if kind == "run" and not (self.work / "ground/run").exists():
            kind = "line"
        makers = {
            "settings": self._settings, "text": self._text, "line": self._line, "run": self._run
        }  # fmt: skip
        files, argv = makers[kind](draw)
        case = self.work / f"case-{number}"
        ended = in_child(lambda: self._case(files, argv), case, SECONDS)
        subject = {"settings": "settings", "text": "YAML", "run": "run directory"}.get(kind, LINE)
        subject = subject.format(next(iter(argv), ""))
        return subject, " ".join(argv)[:200] + "".join(f"; {n}" for n in files), ended

    def _case(self, files: dict[str, bytes], argv: list[str]) -> Told:
        shutil.copytree(self.work / "ground", ".", dirs_exist_ok=True, ignore=lambda *_: ["fifo"])
        os.mkfifo("fifo")
        for name, content in files.items():
            Path(name).write_bytes(content)
        before = set(Path().rglob("*"))
        stop_before_training()
        try:
            said = command(argv)
        except AcceptedError:
            return "read", "", ""
        wrong = said.wrong() or (_left_behind(before) if said.code == 2 else "")
        if not wrong and said.code == 0 and not said.out.strip():
            wrong = "exit code 0 without a word"
        return "refused" if said.code == 2 else "read", wrong, _last(said)

    def _settings(self, draw: random.Random) -> tuple[dict[str, bytes], list[str]]:
        name = draw.choice(sorted(TINY))
        config = draw.choice([f"tiny-{name}.yaml"] * 3 + [p for p in PACKAGED if name in p])
        overrides = [f"data.files=[{DATA[name]}]"] if draw.random() < 0.7 else []
        for _ in range(draw.choice([1, 1, 2, 3])):
            key = draw.choice(sorted(self.settings[name]))
            value = _near(self.settings[name][key], draw)
            if draw.random() < 0.5:
                value = draw.choice(VALUES)
            if draw.random() < 0.1:
                key = draw.choice(KEYS)
            overrides.append(f"{key}{draw.choice(['='] * 15 + ['', ' = ', '=='])}{value}")
        return {}, ["train", config, *overrides, "--run", "new"]

    def _text(self, draw: random.Random) -> tuple[dict[str, bytes], list[str]]:
        name = draw.choice(sorted(TINY))
        text = yaml.safe_dump(TINY[name]).encode()
        if draw.random() < 0.3:
            text = find_config(draw.choice(PACKAGED)).read_bytes()
        path = self.work / "mutated.yaml"
        path.write_bytes(text)
        if draw.random() < 0.5:
            mutate_bytes(path, draw)
        else:
            path.write_bytes(_lines(text, draw))
        return {"own.yaml": path.read_bytes()}, ["train", "own.yaml", "--run", "new"]

    def _line(self, draw: random.Random) -> tuple[dict[str, bytes], list[str]]:
        argv = list(draw.choice(LINES))
        for _ in range(draw.choice([1, 1, 2, 3])):
            at = draw.randrange(1, len(argv)) if len(argv) > 1 else 0
            how = draw.choice([*["replace"] * 3, "remove", "insert", "twice", "swap"])
            if how == "replace":
                argv[at] = draw.choice(WORDS)
            elif how == "remove":
                del argv[at]
            elif how == "insert":
                argv.insert(at, draw.choice(WORDS))
            elif how == "twice":
                argv.insert(at, argv[at])
            else:
                other = draw.randrange(1, len(argv)) if len(argv) > 1 else 0
                argv[at], argv[other] = argv[other], argv[at]
            argv = argv or [""]
        return {}, argv

    def _run(self, draw: random.Random) -> tuple[dict[str, bytes], list[str]]:
        ground = self.work / "ground"
        file = draw.choice(sorted(p for p in (ground / "run").rglob("*") if p.is_file()))
        copy = self.work / "mutated.run"
        shutil.copy(file, copy)
        if file.suffix in (".yaml", ".json", ".jsonl") and draw.random() < 0.5:
            copy.write_bytes(_lines(file.read_bytes(), draw))
        else:
            mutate_bytes(copy, draw)
        argv = draw.choice([
            ["generate", "run", "--events", "2", "--out", "new.h5", "--quiet"],
            ["predict", "run", "--data", "showers25", "--out", "new.parquet"],
            ["train", "tiny-gan3d.yaml", "--run", "run", "--quiet"],
            ["train", "tiny-gan3d.yaml", "train.warm_start=run", "--run", "new", "--quiet"],
        ])  # fmt: skip
        return {str(file.relative_to(ground)): copy.read_bytes()}, argv


LINE = "hepjax {}"
SECONDS = 60.0
"""Of processor time; compilations and pages of figures need it."""
RUN_FILES = {"config.yaml", "hepjax.json", "lock"}
"""What a run directory may have before the run has begun."""


def _defaults(name: str) -> dict[str, Any]:
    from hepjax.workloads import table

    return dict(to_settings(table.get(name).Config()))


def _near(value: Any, draw: random.Random) -> str:
    """A value of the same type as a default, which may well be taken."""
    if isinstance(value, bool):
        return str(not value).lower()
    if isinstance(value, int | float):
        factor = draw.choice([0, -1, 0.5, 1, 2, 3, 100])
        return str(int(value * factor) if isinstance(value, int) else value * factor)
    if isinstance(value, list):
        parts = [_near(item, draw) for item in value[: draw.randint(0, len(value))]]
        return f"[{', '.join(parts)}]"
    words = ["replicated", "fsdp", "hybrid", "adam", "rmsprop", "sgd", "bfloat16", "none", "jets"]
    return draw.choice([*words, str(value), str(value), "explicit", "local", "skip", "additive"])


def _lines(text: bytes, draw: random.Random) -> bytes:
    """A text with one of its lines mutated."""
    lines = text.decode().split("\n")
    at = draw.randrange(len(lines))
    how = draw.choice(["remove", "twice", "swap", "indent", "outdent", "value", "value", "before"])
    if how == "remove":
        del lines[at]
    elif how == "twice":
        lines.insert(at, lines[at])
    elif how == "swap":
        other = draw.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif how == "indent":
        lines[at] = draw.choice([" ", "  ", "\t"]) + lines[at]
    elif how == "outdent":
        lines[at] = lines[at].lstrip()
    elif how == "value":
        lines[at] = lines[at].partition(":")[0] + ": " + draw.choice(VALUES)
    else:
        lines.insert(at, draw.choice(["---", "...", "%YAML 9.9", "\ufeff", "- 1", "&a [*a]", "\0"]))
    return draw.choice(["\n", "\n", "\n", "\r\n", "\r"]).join(lines).encode()


def _left_behind(before: set[Path]) -> str:
    """What a refused command left in the working directory; empty if it is nothing."""
    left = sorted(
        str(p) for p in set(Path().rglob("*")) - before
        if p.name not in RUN_FILES and not any(p.glob("lock")) and p.name != "runs"
    )  # fmt: skip
    return f"left behind: {', '.join(left[:3])}" if left else ""


def _last(said: Said) -> str:
    return (said.err.strip().splitlines() or [""])[-1]
