"""The groups of settings that every workload shares, joined in ``RunConfig``: typed and frozen.

A workload adds its own groups in a subclass. ``engine/bounds.py`` says what values may be,
``engine/settings.py`` makes a configuration from a file and the command line.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from hepjax.engine.bounds import (
    Bound,
    Count,
    CountOrNone,
    FilePath,
    Positive,
    Rule,
    Seed,
    check,
)


@dataclass(frozen=True)
class TrainConfig:
    """How long and how to train. Sizes are numbers of events."""

    seed: Seed = 0
    """Seed of initial weights, order of events, and noise."""
    batch_size: Count = 128
    """Events in an update, over all devices together."""
    accumulate: Count = 1
    """Micro-batches of a device in an update (gradient accumulation). They need less memory and
    give the same gradient, except with batch norm, whose statistics are those of a micro-batch."""
    epochs: Count = 25
    """Passes through the training events."""
    steps: CountOrNone = 0
    """Updates after which training stops; 0: after ``epochs``."""
    stop_after: CountOrNone = 0
    """Epochs without a better validation score after which training ends (early stopping); 0:
    never. The best epoch is kept in any case."""
    record_every: Count = 20
    """Updates between two records. The host waits for the device at records only."""
    log: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ()
    """Where records go beside ``metrics.jsonl``, see docs/reference/records.md."""
    keep_compiled: bool = True
    """Keep compiled programs in the user's cache folder, see engine/compilation.py."""
    precision: Literal["float32", "bfloat16", "float32_highest"] = "float32"
    """Type of activations. Parameters, batch statistics and losses stay float32. On GPUs and TPUs
    float32 multiplies numbers that are rounded first (on NVIDIA GPUs to TF32, 10 bits of mantissa);
    ``float32_highest`` does not, at a fraction of the speed. On CPUs the two are the same."""
    on_nonfinite: Literal["stop", "skip"] = "stop"
    """What follows a non-finite update, which is never applied: stop, or go on without it."""
    max_skipped: Count = 20
    """Skipped updates in a row after which training stops."""
    warm_start: FilePath = ""
    """Run directory whose best epoch gives the initial state of a new run: all arrays of the same
    name and shape, where its networks differ."""
    warm_schedule: Literal["reset", "keep"] = "reset"
    """Whether a warm start begins the learning-rate schedule and the optimizer's state anew, or
    takes them from the earlier run, which then has the same networks and optimizer."""
    members: Count = 1
    """Trainings side by side in one program (a population). They differ in initial weights and
    noise; what the run answers is their mean, with its spread."""
    member_rates: tuple[Positive, ...] = ()
    """Learning rate of each member; by default all have that of the optimizer."""
    exchange: Literal["none", "best", "tournament"] = "none"
    """What members do after each epoch. ``best``: the worst quarter takes over state and learning
    rate of the best quarter, the rate times 0.8 or 1.25 (population-based training).
    ``tournament``: pairs of GANs judge each other's generators on validation events of their own
    and take the better ones (LTFB)."""
    freeze: tuple[str, ...] = ()
    """Parts of the model that training leaves as they are, by the path of their arrays:
    ``discriminator/params/Conv3D_0``, or with ``*``, ``generator/params/*/bias``."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield (
            len(self.member_rates) in (0, self.members),
            "member_rates", f"none, or one for each of the {self.members} members",
        )  # fmt: skip
        yield self.exchange == "none" or self.members > 1, "exchange", "none with one member"

    @property
    def dtype(self) -> str:
        """Name of the type of activations."""
        return self.precision.removesuffix("_highest")


@dataclass(frozen=True)
class MeshConfig:
    """Which devices take part, and how state and batch lie on them (see engine/mesh.py)."""

    layout: Literal["replicated", "fsdp", "hybrid", "channel", "spatial", "members"] = "replicated"
    """Sharding of parameters and events: the table in engine/mesh.py."""
    devices: CountOrNone = 0
    """Number of devices; 0: all. On a CPU more than one are virtual devices."""
    model_devices: Count = 1
    """Devices along the second axis of the mesh. They share an event (spatial), a layer (channel),
    or a copy of the parameters (hybrid)."""
    program: Literal["partitioned", "explicit"] = "partitioned"
    """One program that the compiler partitions over the devices, or one program a device with the
    all-reduces written out (``shard_map``)."""
    batch_norm: Literal["global", "local"] = "global"
    """Batch statistics of all events, or of the events of each device, as Horovod has them."""
    overlap: bool = False
    """On TPUs: all-reduce gradients while the backward pass goes on."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield (
            self.program == "partitioned" or self.layout == "replicated",
            "layout", "replicated with mesh.program=explicit",
        )  # fmt: skip
        yield (
            self.batch_norm == "global" or self.program == "explicit",
            "batch_norm", "global with mesh.program=partitioned",
        )  # fmt: skip
        yield (
            self.layout not in ("replicated", "fsdp", "members") or self.model_devices == 1,
            "model_devices",
            f"1 with mesh.layout={self.layout} (hybrid, channel and spatial have a second axis)",
        )


@dataclass(frozen=True)
class InputConfig:
    """How events reach the update. Only ``window`` changes which events form a batch."""

    window: Count = 8192
    """Events that are shuffled together: whole blocks in random order fill a window."""
    threads: Count = 2
    """Threads that read."""
    prefetch: Count = 4
    """Batches read ahead."""
    resident: bool = False
    """Keep all training events in the memory of each device; an epoch then costs no input."""


@dataclass(frozen=True)
class CheckpointConfig:
    """When to save and how many checkpoints to keep. Every epoch ends with one."""

    every_steps: CountOrNone = 0
    """Updates between further checkpoints inside an epoch; 0: none."""
    keep: Annotated[int, Bound(least=2)] = 10
    """Epoch checkpoints kept (one is there to fall back to). The best epoch is one of them."""


@dataclass(frozen=True)
class RunConfig:
    """The groups of settings that every workload has; a workload subclasses it with its own."""

    train: TrainConfig = field(default_factory=TrainConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    input: InputConfig = field(default_factory=InputConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)

    def __post_init__(self) -> None:
        check(self)


RESUMABLE = (
    *("mesh.devices", "mesh.model_devices", "mesh.layout", "mesh.overlap"),
    *("input.threads", "input.prefetch", "input.resident", "checkpoint."),
    *("train.record_every", "train.epochs", "train.steps", "train.keep_compiled"),
    *("train.stop_after", "train.log"),
)
"""Settings, or beginnings of their names, that may change when a run is resumed. They change
neither the model nor its data nor its noise. A larger train.epochs or train.steps extends a run."""
