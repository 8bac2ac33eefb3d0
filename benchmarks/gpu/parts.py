"""The parts of a short loan of a GPU, in the order of their value."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Part:
    """One question, answered by one process that writes JSON."""

    name: str
    question: str
    module: str
    words: tuple[str, ...]
    limit: int
    """Seconds after which it is ended."""
    least: int
    """Seconds without which it is not begun: start, compilation and a few updates."""
    environment: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """Modules without which it is skipped."""
    option: str = "--json"
    """Of the module: the file to write."""
    keeps: str = ""
    """Name of a copy of that file in OUT, for a file that is of use alone."""

    def command(self, path: str) -> list[str]:
        """What is run; ``path`` takes the figures."""
        return [sys.executable, "-m", self.module, *self.words, self.option, path]


@dataclass(frozen=True)
class Sizes:
    """Networks, batches and numbers of one kind of call."""

    showers: str = "gan3d/published"
    events: str = "mlpf/benchmark"
    jets: str = "tagger/top"
    started: tuple[str, ...] = ("gan3d/published", "tagger/top", "mlpf/benchmark")
    batches: tuple[int, int, int] = (256, 16, 1024)
    """Of showers, particle-flow events and jets."""
    more_jets: tuple[int, ...] = (256, 4096)
    x3_jets: int = 256
    compared: tuple[int, int, int] = (4, 1, 16)
    compared_elements: int = 1280
    generated: tuple[str, ...] = ("1", "64", "1024")
    forms: tuple[str, ...] = ("xla", "blocks", "bands", "products")
    """Values of HEPJAX_CONV3D."""
    half: str = "bfloat16"
    updates: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    engine: tuple[str, ...] = ("--engine", "4")
    epoch: int = 64
    """Updates in an epoch of the engine."""
    ceilings: tuple[str, ...] = ()
    torch: tuple[str, ...] = ()
    layers: tuple[str, ...] = (
        "--batch",
        "128",
        "--rounds",
        "3",
        "--precision",
        "bfloat16",
        "float32",
    )
    """Forms are many: the part is for a call of its own (--only layers)."""
    others: tuple[tuple[str, ...], ...] = (
        ("pretrained/showers-25",), ("calo/shape",), ("calo/flow",), ("wgan/photons",),
        ("wgan/photons", "replicas=30"), ("wgan/photons", "replicas=300"), ("unfold/demo",),
        ("unfold/demo", "train.members=100"), ("tracking/published",), ("waveforms/conv",),
        ("fields/published",),
    )  # fmt: skip
    """Configurations of the other workloads, with settings."""
    drawn: tuple[str, ...] = ()
    """Sizes of batches of generated showers."""
    rounds: str = "5"
    patience: int = 1
    """Times the limits."""


FULL = Sizes()
REHEARSAL = Sizes(
    showers="gan3d/small", events="mlpf/demo", started=("tagger/demo",), batches=(2, 1, 4),
    more_jets=(2,), x3_jets=2, compared=(2, 1, 2), compared_elements=256, generated=("1",),
    forms=("blocked", "xla"), half="float32", updates=("--updates", "2", "--rounds", "1"),
    elements=("--elements", "256"), engine=("--engine", "2"), epoch=4,
    ceilings=("--size", "256", "--megabytes", "8", "--rounds", "1"), torch=("--forms", "eager"),
    layers=("--model", "gan3d-16", "--batch", "1", "--rounds", "1", "--precision", "float32"),
    others=(("pretrained/showers-25",), ("calo/flow", "train.batch_size=2"),
            ("unfold/demo", "train.members=4", "train.batch_size=64")),
    drawn=("--batches", "2"), rounds="1", patience=20,
)  # fmt: skip
"""For a CPU that others use too: it takes minutes for what a GPU and its host do in seconds."""
UPDATES, TORCH, AGREEMENT, OTHERS = (
    f"benchmarks.gpu.{name}" for name in ("updates", "torch_updates", "agreement", "workloads")
)
FLAGS = {
    "nhwc": "--xla_gpu_force_conv_nhwc=true",
    "graphs": "--xla_gpu_enable_command_buffer="
    "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,CONVOLUTION",
    "autotune 2": "--xla_gpu_autotune_level=2",
    "triton": "--xla_gpu_enable_triton_gemm=true",
}
"""Options of XLA that hepjax does not take unless a measurement says so."""
WEIGHTS_ON_CPU = {"JAX_PLATFORMS": "cpu"}
"""PyTorch's networks take them from jax, which would take the memory of the GPU."""


def parts(sizes: Sizes) -> list[Part]:
    """All parts, the most valuable first."""
    s = sizes
    showers, events, jets = s.batches
    gan = _update(s, "gan3d", s.showers, showers, s.half)
    first = (
        Part("ceilings", "matrix products and copies", "benchmarks.gpu.ceilings", s.ceilings,
             40, 15),
        _update(s, "gan3d", s.showers, showers, s.half, "and epochs of the engine", *s.engine,
                "--events", str(s.epoch * showers), "--profile"),
        _update(s, "mlpf", s.events, events, s.half, "", "--profile"),
        _update(s, "tagger", s.jets, jets, s.half, "and epochs of the engine", *s.engine,
                "--events", str(s.epoch * jets), "--profile"),
        _flagged(gan, "nhwc"),
        _torch(s, "torch gan3d", s.showers, showers),
        _agreement(s, "agreement gan3d", s.showers, s.compared[0]),
        _torch(s, "torch mlpf", s.events, events),
        _torch(s, "torch tagger", s.jets, jets),
    )  # fmt: skip
    forms = (_update(s, f"gan3d {form}", s.showers, showers, s.half, form=form) for form in s.forms)
    least, *more = s.more_jets
    then = (
        _generation(s, "generation"),
        _flagged(_generation(s, "generation"), "graphs"),
        _update(s, "mlpf f32", s.events, events, "float32"),
        _update(s, f"tagger {least}", s.jets, least, s.half),
        _flagged(_update(s, f"tagger {least}", s.jets, least, s.half), "graphs"),
        *(_update(s, f"tagger {n}", s.jets, n, s.half) for n in more),
        _agreement(s, "agreement mlpf", s.events, s.compared[1]),
        _agreement(s, "agreement tagger", s.jets, s.compared[2]),
        _update(s, "tagger x3", "tagger/top_x3", s.x3_jets, s.half),
        _flagged(gan, "graphs"),
        _flagged(gan, "autotune 2"),
        _flagged(_update(s, "mlpf", s.events, events, s.half), "triton"),
        Part("starts", "command to first update, without and with kept programs",
             "benchmarks.speed.starts", ("--config", *s.started), 240, 120),
        _update(s, "gan3d f32", s.showers, showers // 2, "float32"),
        _update(s, "gan3d f32 xla", s.showers, showers // 2, "float32", form="xla"),
        Part("layers", "single convolutions: the table of forms that HEPJAX_CONV3D_CHOICES names",
             "benchmarks.speed.conv3d", s.layers, 520, 120,
             option="--choices", keeps="conv_choices.json"),
    )  # fmt: skip
    every = (*first, *forms, *then, *_others(s))
    return [replace(part, limit=s.patience * part.limit) for part in every]


def settings() -> list[tuple[str, str, str]]:
    """Pairs of parts that differ by one setting: with it, without it, and the setting."""
    pairs = [(f"gan3d {form}", "gan3d", f"HEPJAX_CONV3D={form}") for form in FULL.forms]
    pairs.append(("gan3d f32 xla", "gan3d f32", "HEPJAX_CONV3D=xla"))
    least = f"tagger {FULL.more_jets[0]}"
    flagged = [
        ("gan3d", "nhwc"), ("generation", "graphs"), (least, "graphs"), ("gan3d", "graphs"),
        ("gan3d", "autotune 2"), ("mlpf", "triton"),
    ]  # fmt: skip
    return [
        *((f"{part} {flag}", part, f"XLA_FLAGS={FLAGS[flag]}") for part, flag in flagged), *pairs,
    ]  # fmt: skip


def _flagged(part: Part, flag: str) -> Part:
    """The same part with an option of XLA beside those of the user."""
    given = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS[flag]}".strip()
    # Nothing kept: the start is compared as well, with that of the first part without the option.
    more = {"XLA_FLAGS": given, "HEPJAX_COMPILATION_CACHE": "off"}
    return replace(
        part, name=f"{part.name} {flag}", question=f"{part.question}, with {FLAGS[flag]}",
        environment=part.environment | more,
    )  # fmt: skip


def _generation(s: Sizes, name: str) -> Part:
    words = ("--config", s.showers, "--no-torch", "--precision", s.half, "--rounds", s.rounds)
    return Part(name, "milliseconds a generated shower", "benchmarks.speed.generate",
                (*words, "--batch", *s.generated), 60, 25)  # fmt: skip


def _others(s: Sizes) -> Iterator[Part]:
    """Updates of the other workloads, and showers of the packaged generator."""
    for config, *more in s.others:
        drawn = config.startswith("pretrained")
        question = (
            f"{'milliseconds a shower of' if drawn else 'update of'} {config} {' '.join(more)}"
        )
        words = ("--config", config, *(s.drawn if drawn else s.updates), *more)
        yield Part(" ".join((config, *more)), question.strip(), OTHERS, words, 110, 45)


def _update(
    s: Sizes, name: str, config: str, batch: int, precision: str, more: str = "", *words: str,
    form: str = "",
) -> Part:  # fmt: skip
    where = {"HEPJAX_CONV3D": form} if form else {}
    question = f"update of {config}, {precision}, batch {batch} {more or form}".rstrip()
    return Part(name, question, UPDATES, (*_sizes(s, config, batch, precision), *words), 110, 45,
                where)  # fmt: skip


def _torch(s: Sizes, name: str, config: str, batch: int) -> Part:
    question = f"update of {config} in PyTorch, eager and compiled, {s.half}, batch {batch}"
    words = (*_sizes(s, config, batch, s.half), *s.torch)
    return Part(name, question, TORCH, words, 90, 30, WEIGHTS_ON_CPU, ("torch",))


def _sizes(s: Sizes, config: str, batch: int, precision: str) -> tuple[str, ...]:
    words = ("--config", config, "--batch", str(batch), "--precision", precision, *s.updates)
    return (*words, *(s.elements if config == s.events else ()))


def _agreement(s: Sizes, name: str, config: str, batch: int) -> Part:
    words = ("--config", config, "--batch", str(batch), "--elements", str(s.compared_elements))
    question = f"one update of {config} against the CPU, float32 highest, batch {batch}"
    return Part(name, question, AGREEMENT, words, 100, 50)
